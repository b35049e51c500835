//! The names of a node: which service provides which, and what each name is bound to.

use super::address::{Address, Locator};
use super::away::{Away, Far, There};
use super::dynamic::{ByName, Dynamic, ServiceDescription, ServiceKind};
use super::provider::{Provide, check_locator};
use crate::cell::kind::Kind;
use crate::node::{NodeInner, RefError};
use crate::placement::Placement;
use crate::remote::Spoken;
use crate::service::contract::Contract;
use crate::service::message::Message;
use dashmap::DashMap;
use odeon_core::{NodeId, Refusal, ServiceName};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

struct Entry {
    dynamic: Arc<dyn Dynamic>,
    /// An `Arc<dyn Provide<M>>` of the contract's message type.
    provider: Box<dyn Any + Send + Sync>,
    kind: Arc<Kind>,
}

/// Who provides a service, and of what kind it is.
type Found<C> = (Arc<dyn Provide<<C as Contract>::Message>>, ServiceKind);

/// The names of a node.
#[derive(Default)]
pub(crate) struct Registry {
    entries: DashMap<ServiceName, Entry>,
    bindings: BTreeMap<ServiceName, ServiceName>,
    /// Where entities and singletons are, if the cluster group says so.
    placement: Option<Arc<Placement>>,
}

impl Registry {
    /// With names that stand for others: a service may depend on a contract without knowing who provides it.
    pub(crate) fn new(
        bindings: BTreeMap<ServiceName, ServiceName>,
        placement: Option<Arc<Placement>>,
    ) -> Self {
        Self { entries: DashMap::new(), bindings, placement }
    }

    /// What it takes to find the receivers of a service elsewhere, if they are placed.
    pub(crate) fn away(&self, name: &ServiceName, node: &Weak<NodeInner>, spoken: Spoken) -> Option<Away> {
        self.away_of(self.kind(name)?, name, node, spoken)
    }

    fn away_of(
        &self,
        kind: ServiceKind,
        name: &ServiceName,
        node: &Weak<NodeInner>,
        spoken: Spoken,
    ) -> Option<Away> {
        let placement = self.placement.as_ref().filter(|_| kind != ServiceKind::Stateless)?;
        Some(Away::new(placement.clone(), self.bound(name).clone(), node.clone(), spoken))
    }

    /// Of what kind a service of this node is.
    pub(super) fn kind(&self, name: &ServiceName) -> Option<ServiceKind> {
        Some(self.entries.get(self.bound(name))?.dynamic.describe().kind)
    }

    /// Where messages of a service go that this node has.
    pub(super) fn lead<M: Message>(
        &self,
        locator: Locator,
        (provider, kind): (Arc<dyn Provide<M>>, ServiceKind),
        node: Weak<NodeInner>,
        spoken: Spoken,
    ) -> Address<M> {
        if kind == ServiceKind::Stateless {
            return Address::to_instances(locator, provider, Far::new(node, spoken));
        }
        let away = self.away_of(kind, &locator.service, &node, spoken);
        Address::to_provider(locator, provider, away)
    }

    /// What a name stands for.
    pub(crate) fn bound<'a>(&'a self, name: &'a ServiceName) -> &'a ServiceName {
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

    /// Whether a service is registered under this very name.
    pub(crate) fn has(&self, name: &ServiceName) -> bool {
        self.entries.contains_key(name)
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
        entry.provider().ok_or_else(|| entry.wrong_contract(name, M::CONTRACT.into()))
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
        match self.provided::<C>(&locator)? {
            Some(found) => Ok(self.lead(locator, found, node, Spoken::of::<C>())),
            None => Ok(Address::late(locator, node, Spoken::of::<C>())),
        }
    }

    /// What this node has behind a locator, if it has its service.
    fn provided<C: Contract>(&self, locator: &Locator) -> Result<Option<Found<C>>, RefError> {
        let Some(entry) = self.entries.get(self.bound(&locator.service)) else { return Ok(None) };
        let provider = entry.provider_for::<C>(&locator.service)?;
        check_locator(locator, provider.keyed()).map_err(RefError::Refused)?;
        Ok(Some((provider, entry.dynamic.describe().kind)))
    }

    /// The address of a member of a group: on this other node, if one is given, and nowhere else.
    ///
    /// # Errors
    /// This node provides the name under another contract.
    pub(crate) fn member<C: Contract>(
        &self,
        service: &ServiceName,
        key: Option<&Arc<str>>,
        on: Option<&NodeId>,
        node: &Arc<NodeInner>,
    ) -> Result<Address<C::Message>, Refusal> {
        let locator = Locator { service: service.clone(), key: key.cloned() };
        let spoken = Spoken::of::<C>();
        if let Some(on) = on {
            return Ok(Address::pinned(locator, There::new(node, on.clone(), spoken)));
        }
        let node = Arc::downgrade(node);
        Ok(match self.provided::<C>(&locator).map_err(RefError::into_refusal)? {
            // instances of other nodes are members of their own
            Some((provider, kind)) => {
                let away = self.away_of(kind, service, &node, spoken);
                Address::to_provider(locator, provider, away)
            }
            None => Address::late(locator, node, spoken),
        })
    }
}

impl Entry {
    fn provider<M: Message>(&self) -> Option<Arc<dyn Provide<M>>> {
        self.provider.downcast_ref::<Arc<dyn Provide<M>>>().cloned()
    }

    /// The provider, if it serves callers of this contract in this version. `name` is what they call it.
    fn provider_for<C: Contract>(
        &self,
        name: &ServiceName,
    ) -> Result<Arc<dyn Provide<C::Message>>, RefError> {
        let have = self.dynamic.describe();
        if have.contract != C::NAME {
            return Err(RefError::Refused(self.wrong_contract(name, C::Message::CONTRACT.into())));
        }
        self.provider().filter(|_| have.version.serves(C::VERSION)).ok_or_else(|| RefError::Version {
            service: name.clone(),
            contract: C::NAME,
            have: have.version,
            want: C::VERSION,
        })
    }

    fn wrong_contract(&self, name: &ServiceName, want: String) -> Refusal {
        let have = self.dynamic.describe();
        let have = format!("{} {}", have.contract, have.version);
        Refusal::WrongContract { service: name.to_string(), have, want }
    }
}
