//! The names of a node: which service provides which, and what each name is bound to.

use super::address::{Address, Locator};
use super::dynamic::{ByName, Dynamic, ServiceDescription};
use super::provider::{Provide, check_locator};
use crate::cell::kind::Kind;
use crate::node::{NodeInner, RefError};
use crate::service::contract::Contract;
use crate::service::message::Message;
use dashmap::DashMap;
use odeon_core::{Refusal, ServiceName};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

struct Entry {
    dynamic: Arc<dyn Dynamic>,
    /// An `Arc<dyn Provide<M>>` of the contract's message type.
    provider: Box<dyn Any + Send + Sync>,
    kind: Arc<Kind>,
}

/// The names of a node.
#[derive(Default)]
pub(crate) struct Registry {
    entries: DashMap<ServiceName, Entry>,
    bindings: BTreeMap<ServiceName, ServiceName>,
}

impl Registry {
    /// With names that stand for others: a service may depend on a contract without knowing who provides it.
    pub(crate) fn with_bindings(bindings: BTreeMap<ServiceName, ServiceName>) -> Self {
        Self { entries: DashMap::new(), bindings }
    }

    fn bound<'a>(&'a self, name: &'a ServiceName) -> &'a ServiceName {
        self.bindings.get(name).unwrap_or(name)
    }

    pub(crate) fn insert<C: Contract>(
        &self,
        description: ServiceDescription,
        kind: Arc<Kind>,
        provider: Arc<dyn Provide<C::Message>>,
    ) {
        let name = description.name.clone();
        let dynamic = ByName::<C> { description, kind: kind.clone(), provider: provider.clone() };
        self.entries.insert(name, Entry { dynamic: Arc::new(dynamic), provider: Box::new(provider), kind });
    }

    /// By name, for bytes.
    pub(crate) fn dynamic(&self, name: &ServiceName) -> Option<Arc<dyn Dynamic>> {
        self.entries.get(self.bound(name)).map(|e| e.dynamic.clone())
    }

    /// All, by name.
    pub(crate) fn all(&self) -> Vec<(Arc<dyn Dynamic>, Arc<Kind>)> {
        let mut all: Vec<_> = self.entries.iter().map(|e| (e.dynamic.clone(), e.kind.clone())).collect();
        all.sort_by(|a, b| a.0.describe().name.cmp(&b.0.describe().name));
        all
    }

    /// By name, for a known message type.
    pub(crate) fn provider<M: Message>(&self, name: &ServiceName) -> Result<Arc<dyn Provide<M>>, Refusal> {
        let entry = self
            .entries
            .get(self.bound(name))
            .ok_or_else(|| Refusal::UnknownService { service: name.to_string() })?;
        entry.provider.downcast_ref::<Arc<dyn Provide<M>>>().cloned().ok_or_else(|| {
            let have = entry.dynamic.describe();
            Refusal::WrongContract {
                service: name.to_string(),
                have: format!("{} {}", have.contract, have.version),
                want: std::any::type_name::<M>().into(),
            }
        })
    }

    /// A reference; to a service that does not exist yet, it looks again when used.
    pub(crate) fn address<C: Contract>(
        &self,
        name: &str,
        key: Option<&str>,
        node: Weak<NodeInner>,
    ) -> Result<Address<C::Message>, RefError> {
        let service: ServiceName = name.parse()?;
        let locator = Locator { service, key: key.map(Arc::from) };
        match self.provider::<C::Message>(&locator.service) {
            Ok(provider) => {
                check_locator(&locator, provider.keyed()).map_err(RefError::Refused)?;
                Ok(Address::to_provider(locator, provider))
            }
            Err(Refusal::UnknownService { .. }) => Ok(Address::late(locator, node)),
            Err(refusal) => Err(RefError::Refused(match refusal {
                Refusal::WrongContract { service, have, .. } => {
                    Refusal::WrongContract { service, have, want: format!("{} {}", C::NAME, C::VERSION) }
                }
                other => other,
            })),
        }
    }
}
