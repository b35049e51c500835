//! An app: which services a node runs, and how each is made.

use super::config::{ConfigError, NodeConfig};
use super::{NodeInner, StartNodeError};
use crate::cell::kind::Kind;
use crate::cell::port::Overseer;
use crate::cell::{Bounds, Constructor};
use crate::directory::{Entities, Instances, ServiceDescription, ServiceKind, Single};
use crate::service::contract::{Contract, Service};
use crate::service::message::Access;
use crate::service::{Cx, StartError};
use crate::supervision::RestartPolicy;
use futures_util::future::BoxFuture;
use odeon_core::ServiceName;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How a service runs. Start from the default of its kind and change fields.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Most `&self` handlers of one activation at the same time; at least 1. Default: 256 for a stateless
    /// service, 1 for entities and singletons.
    pub concurrency: u32,
    /// The bound of each mailbox.
    pub mailbox: Bounds,
    /// What happens when an activation ends.
    pub restart: RestartPolicy,
    /// How long a handler may run past its deadline before its activation is killed. Default 30 s.
    pub grace: Duration,
    /// Longest start, `ready` included. Default 30 s.
    pub start_within: Duration,
    /// Longest orderly stop of an activation; then it is killed. Default 10 s.
    pub stop_within: Duration,
    /// An entity without work for this long is passivated; none: never. Default 2 minutes for entities.
    pub passivate_after: Option<Duration>,
}

impl ServiceOptions {
    /// The defaults of a kind.
    pub fn of(kind: ServiceKind) -> Self {
        let stateless = kind == ServiceKind::Stateless;
        Self {
            concurrency: if stateless { 256 } else { 1 },
            mailbox: Bounds::default(),
            restart: RestartPolicy::default(),
            grace: Duration::from_secs(30),
            start_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(10),
            passivate_after: (kind == ServiceKind::Entity).then_some(Duration::from_secs(120)),
        }
    }
}

/// A service's own configuration: the table `[services.NAME]`, read by serde.
pub trait ConfigSection: DeserializeOwned + Clone + Send + Sync + 'static {}
impl<T: DeserializeOwned + Clone + Send + Sync + 'static> ConfigSection for T {}

mod marker {
    /// Made by a function without arguments.
    pub struct Plain;
    /// Made by an async function of its context.
    pub struct Started;
    /// Made by an async function of its context and configuration.
    pub struct Configured<C>(std::marker::PhantomData<C>);
}

/// How an activation is made: `Polite::default`, or an async function `start(cx: Cx)` or
/// `start(cx: Cx, config: C)` that returns `Result<Self, StartError>`.
pub trait Construct<S, Marker>: Send + Sync + 'static {
    /// Binds it to its configuration.
    #[doc(hidden)]
    fn prepare(self, service: &ServiceName, section: Option<&toml::Table>) -> Result<Make<S>, ConfigError>;
}

/// A constructor that has its configuration.
#[doc(hidden)]
pub struct Make<S>(pub(crate) Constructor<S>);

fn no_config(service: &ServiceName, section: Option<&toml::Table>) -> Result<(), ConfigError> {
    match section {
        Some(_) => {
            let problem = "this service takes no configuration".into();
            Err(ConfigError::Unused { service: service.clone(), problem })
        }
        None => Ok(()),
    }
}

impl<S, F> Construct<S, marker::Plain> for F
where
    F: Fn() -> S + Send + Sync + 'static,
{
    fn prepare(self, service: &ServiceName, section: Option<&toml::Table>) -> Result<Make<S>, ConfigError> {
        no_config(service, section)?;
        Ok(Make(Constructor::plain(self)))
    }
}

impl<S, F, Fut> Construct<S, marker::Started> for F
where
    F: Fn(Cx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, StartError>> + Send + 'static,
{
    fn prepare(self, service: &ServiceName, section: Option<&toml::Table>) -> Result<Make<S>, ConfigError> {
        no_config(service, section)?;
        let make = move |cx: Cx| -> BoxFuture<'static, Result<S, StartError>> { Box::pin(self(cx)) };
        Ok(Make(Constructor::started(make)))
    }
}

impl<S, C, F, Fut> Construct<S, marker::Configured<C>> for F
where
    C: ConfigSection,
    F: Fn(Cx, C) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, StartError>> + Send + 'static,
{
    fn prepare(self, service: &ServiceName, section: Option<&toml::Table>) -> Result<Make<S>, ConfigError> {
        let table = toml::Value::Table(section.cloned().unwrap_or_default());
        let config: C = serde_path_to_error::deserialize(table).map_err(|e| {
            let path = e.path().to_string();
            let field = if path == "." { String::new() } else { path };
            ConfigError::Section { service: service.clone(), field, problem: e.inner().to_string() }
        })?;
        let make =
            move |cx: Cx| -> BoxFuture<'static, Result<S, StartError>> { Box::pin(self(cx, config.clone())) };
        Ok(Make(Constructor::started(make)))
    }
}

type Prepare = Box<dyn FnOnce(ServiceName, &NodeConfig) -> Result<Box<dyn Launch>, ConfigError> + Send>;

struct Registration {
    name: String,
    prepare: Prepare,
}

/// Which services a node runs. They start in the order of registration and stop in reverse.
#[derive(Default)]
pub struct App {
    registrations: Vec<Registration>,
}

impl App {
    /// No services.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stateless service: any ready instance may take a message; one instance for each executor. All methods
    /// of its contract take `&self`.
    #[must_use]
    pub fn service<S: Service, Marker>(self, name: &str, make: impl Construct<S, Marker>) -> Self {
        self.service_with(name, ServiceOptions::of(ServiceKind::Stateless), make)
    }

    /// A stateless service with options.
    #[must_use]
    pub fn service_with<S: Service, Marker>(
        self,
        name: &str,
        options: ServiceOptions,
        make: impl Construct<S, Marker>,
    ) -> Self {
        const {
            assert!(
                only_shared::<S::Contract>(),
                "a stateless service has only `&self` methods: register it as an entity or a singleton, or change the contract"
            );
        }
        self.register(name, ServiceKind::Stateless, options, make)
    }

    /// A keyed entity: one activation for each key, made by the first message, passivated when idle.
    #[must_use]
    pub fn entity<S: Service, Marker>(self, name: &str, make: impl Construct<S, Marker>) -> Self {
        self.entity_with(name, ServiceOptions::of(ServiceKind::Entity), make)
    }

    /// A keyed entity with options.
    #[must_use]
    pub fn entity_with<S: Service, Marker>(
        self,
        name: &str,
        options: ServiceOptions,
        make: impl Construct<S, Marker>,
    ) -> Self {
        self.register(name, ServiceKind::Entity, options, make)
    }

    /// A singleton: one activation.
    #[must_use]
    pub fn singleton<S: Service, Marker>(self, name: &str, make: impl Construct<S, Marker>) -> Self {
        self.singleton_with(name, ServiceOptions::of(ServiceKind::Singleton), make)
    }

    /// A singleton with options.
    #[must_use]
    pub fn singleton_with<S: Service, Marker>(
        self,
        name: &str,
        options: ServiceOptions,
        make: impl Construct<S, Marker>,
    ) -> Self {
        self.register(name, ServiceKind::Singleton, options, make)
    }

    fn register<S: Service, Marker>(
        mut self,
        name: &str,
        kind: ServiceKind,
        options: ServiceOptions,
        make: impl Construct<S, Marker>,
    ) -> Self {
        let prepare: Prepare = Box::new(move |service, config| {
            let Make(constructor) = make.prepare(&service, config.services.get(&service))?;
            Ok(Box::new(Prepared { service, kind, options, constructor }))
        });
        self.registrations.push(Registration { name: name.into(), prepare });
        self
    }

    /// Whether a node with this configuration could start, as far as names and sections go. Nothing runs.
    ///
    /// # Errors
    /// What [`Node::start`](super::Node::start) would refuse before anything starts.
    pub fn check(self, config: &NodeConfig) -> Result<(), StartNodeError> {
        self.prepare(config).map(drop)
    }

    pub(super) fn prepare(self, config: &NodeConfig) -> Result<Vec<Box<dyn Launch>>, StartNodeError> {
        let mut names = BTreeSet::new();
        let mut prepared = Vec::new();
        for registration in self.registrations {
            let name: ServiceName = registration.name.parse()?;
            if !names.insert(name.clone()) {
                return Err(StartNodeError::Twice(name));
            }
            prepared.push((registration.prepare)(name, config)?);
        }
        for section in config.services.keys() {
            if !names.contains(section) {
                let known: Vec<_> = names.iter().map(ToString::to_string).collect();
                let problem = format!("there is no such service; registered are {}", known.join(", "));
                return Err(ConfigError::Unused { service: section.clone(), problem }.into());
            }
        }
        Ok(prepared)
    }
}

const fn only_shared<C: Contract>() -> bool {
    let mut i = 0;
    while i < C::METHODS.len() {
        if !matches!(C::METHODS[i].access, Access::Shared) {
            return false;
        }
        i += 1;
    }
    true
}

/// A service that can start.
pub(super) trait Launch: Send {
    fn name(&self) -> &ServiceName;
    fn launch(self: Box<Self>, node: &Arc<NodeInner>) -> BoxFuture<'_, ()>;
}

struct Prepared<S> {
    service: ServiceName,
    kind: ServiceKind,
    options: ServiceOptions,
    constructor: Constructor<S>,
}

impl<S: Service> Prepared<S> {
    fn kind(&self, node: &Arc<NodeInner>, overseer: Arc<dyn Overseer>) -> Arc<Kind> {
        let options = &self.options;
        Arc::new(Kind {
            service: self.service.clone(),
            contract: S::Contract::NAME,
            version: S::Contract::VERSION,
            methods: S::Contract::METHODS,
            fence: node
                .placement
                .as_ref()
                .filter(|_| self.kind != ServiceKind::Stateless)
                .map(|p| p.fence.clone()),
            node: Arc::downgrade(node),
            wheel: node.wheel.clone(),
            executors: node.host.executors.clone(),
            bounds: options.mailbox,
            concurrency: options.concurrency.max(1),
            grace: options.grace,
            start_within: options.start_within,
            stop_within: options.stop_within,
            passivate_after: options.passivate_after.filter(|_| self.kind == ServiceKind::Entity),
            overseer,
            meter: Arc::default(),
        })
    }

    async fn begin(self: Box<Self>, node: &Arc<NodeInner>) {
        let description = ServiceDescription {
            name: self.service.clone(),
            kind: self.kind,
            contract: S::Contract::NAME,
            version: S::Contract::VERSION,
            methods: S::Contract::METHODS,
        };
        let host = node
            .tree
            .add_service(&self.service, (self.kind, node.placement.is_some()), &self.options.restart)
            .await;
        match self.kind {
            ServiceKind::Entity => {
                let mut kind = None;
                let placement = node.placement.clone();
                let entities =
                    Entities::<S>::start(host, self.constructor.clone(), placement.clone(), |overseer| {
                        kind.insert(self.kind(node, overseer)).clone()
                    });
                let kind = kind.expect("Entities::start makes it");
                node.registry.insert::<S::Contract>(description, kind, entities.clone());
                placement.inspect(|placement| placement.add(entities));
            }
            ServiceKind::Singleton if let Some(placement) = &node.placement => {
                let mut kind = None;
                let single = Single::<S>::start(host, self.constructor.clone(), placement, |overseer| {
                    kind.insert(self.kind(node, overseer)).clone()
                });
                let kind = kind.expect("Single::start makes it");
                node.registry.insert::<S::Contract>(description, kind, single.clone());
                placement.add(single);
            }
            ServiceKind::Stateless | ServiceKind::Singleton => {
                let kind = self.kind(node, host);
                let most = if self.kind == ServiceKind::Singleton { 1 } else { usize::MAX };
                let instances = Instances::start(&kind, &self.constructor, most);
                node.registry.insert::<S::Contract>(description, kind, instances);
            }
        }
    }
}

impl<S: Service> Launch for Prepared<S> {
    fn name(&self) -> &ServiceName {
        &self.service
    }

    fn launch(self: Box<Self>, node: &Arc<NodeInner>) -> BoxFuture<'_, ()> {
        Box::pin(self.begin(node))
    }
}
