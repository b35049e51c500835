//! A node: the one place where its parts are wired, started and stopped.

mod app;
mod config;
mod dump;
mod stuck;
mod withheld;

pub use app::{App, ConfigSection, Construct, ServiceOptions};
pub use config::{ConfigError, NodeConfig};
pub use stuck::Stuck;

use crate::cell::Wheel;
use crate::cell::kind::Kind;
use crate::cell::nursery::Nursery;
use crate::directory::{Dynamic, Registry, ServiceDescription};
use crate::host::{Executor, Host};
use crate::membership::Membership;
use crate::placement::Placement;
use crate::remote::{Core, Elsewhere, TooManyServices};
use crate::service::contract::{Contract, ContractVersion};
use crate::supervision::{AddPartError, PartSpec, Running, Tree, TreeNode};
use crate::telemetry::ServiceMeter;
use crate::telemetry::events::{Event, Events};
use crate::topics::Topics;
use futures_util::future::BoxFuture;
use odeon_core::id::NameError;
use odeon_core::supervision::Exit;
use odeon_core::{NodeName, Refusal, ServiceName, SpanId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Why there is no reference.
#[derive(Debug, thiserror::Error)]
pub enum RefError {
    /// The text is no service name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name is provided, but not so.
    #[error("{0}")]
    Refused(Refusal),
    /// The name is provided under the same contract, but in a version that does not serve this caller.
    #[error(
        "{service} speaks {contract} {have}, the caller was made for {contract} {want}: {}",
        have.advice(*want)
    )]
    Version {
        /// The name.
        service: ServiceName,
        /// The contract's name on the wire.
        contract: &'static str,
        /// The provider's version.
        have: ContractVersion,
        /// The caller's version.
        want: ContractVersion,
    },
    /// The node has stopped.
    #[error("the node has stopped")]
    NoNode,
}

impl RefError {
    /// The same for a message that was to be sent.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Version { service, contract, have, want } => Refusal::WrongContract {
                service: service.to_string(),
                have: format!("{contract} {have}"),
                want: format!("{contract} {want}"),
            },
            Self::Name(error) => Refusal::UnknownService { service: error.to_string() },
            Self::NoNode => Refusal::Stopped,
        }
    }
}

/// Why a node did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum StartNodeError {
    /// It was handed no executor.
    #[error("a node needs at least one executor")]
    NoExecutor,
    /// Two services have the same name.
    #[error("two services are registered as {0}")]
    Twice(ServiceName),
    /// A name that cannot be one.
    #[error("a service cannot be registered: {0}")]
    Name(#[from] NameError),
    /// A section of the configuration that a service cannot use, or one that belongs to no service.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The supervision tree did not start.
    #[error("the supervision tree did not start: {0}")]
    Tree(String),
}

/// Why services were not added to a running node.
#[derive(Debug, thiserror::Error)]
pub enum AddServicesError {
    /// They cannot start; none of them runs.
    #[error("{0}")]
    Start(#[from] StartNodeError),
    /// The node is stopping; none of them runs.
    #[error("the node is stopping")]
    Stopping,
    /// They run on this node, but other nodes do not hear of them.
    #[error("{0}")]
    Unheard(#[from] TooManyServices),
}

/// A running node. Cheap to clone; it ends by [`Node::stop`], not by being dropped.
#[derive(Clone)]
pub struct Node(Arc<NodeInner>);

/// What a node consists of.
pub struct NodeInner {
    pub(crate) name: NodeName,
    pub(crate) host: Host,
    /// Where the tree runs.
    control: Executor,
    pub(crate) wheel: Arc<Wheel>,
    pub(crate) registry: Registry,
    pub(crate) tree: Tree,
    /// What has happened to it last.
    pub(crate) events: Events,
    /// Where entities and singletons are, if the cluster group says so.
    pub(crate) placement: Option<Arc<Placement>>,
    /// One for each executor.
    pub(crate) nurseries: Box<[Nursery]>,
    /// Who receives what is published, as far as it knows.
    pub(crate) topics: Arc<Topics>,
    /// The links to other nodes, if it has any.
    pub(crate) links: OnceLock<Arc<Core>>,
    /// What it is in its cluster, if that has a group that says so.
    pub(crate) membership: OnceLock<Membership>,
    seeds: AtomicU64,
    spans: AtomicU64,
    cells: AtomicU64,
    stopping: AtomicBool,
    /// Why it is not ready, by who has found it.
    withheld: Mutex<BTreeMap<String, String>>,
    /// Held while services are added.
    adding: tokio::sync::Mutex<()>,
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads a counter over 64 bits.
fn spread(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl NodeInner {
    /// A seed that this node has not given away.
    pub(crate) fn next_seed(&self) -> u64 {
        spread(self.host.seed ^ self.seeds.fetch_add(1, Ordering::Relaxed))
    }

    /// A span id that this node has not given away.
    pub(crate) fn next_span(&self) -> SpanId {
        SpanId(spread(self.host.seed.rotate_left(32) ^ self.spans.fetch_add(1, Ordering::Relaxed)).max(1))
    }

    /// An id for a new cell.
    pub(crate) fn next_cell(&self) -> u64 {
        self.cells.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn reference<R: Contract>(
        self: &Arc<Self>,
        name: &str,
        key: Option<&str>,
    ) -> Result<R, RefError> {
        self.registry.address::<R>(name, key, Arc::downgrade(self)).map(R::bind)
    }
}

/// A service with its books.
#[derive(Clone)]
pub struct ServiceStatus {
    /// What it is.
    pub description: ServiceDescription,
    /// Its books.
    pub meter: Arc<ServiceMeter>,
}

impl Node {
    pub(crate) fn of(inner: Arc<NodeInner>) -> Self {
        Self(inner)
    }

    pub(crate) fn inner(&self) -> &Arc<NodeInner> {
        &self.0
    }

    /// Starts a node with the services of an app. All configuration is validated before anything starts.
    ///
    /// # Errors
    /// [`StartNodeError`]; then nothing of it runs.
    pub async fn start(host: Host, config: NodeConfig, app: App) -> Result<Node, StartNodeError> {
        let first = host.executors.first().cloned().ok_or(StartNodeError::NoExecutor)?;
        Self::start_on(host, first, false, config, app).await
    }

    /// The same with a control executor besides those of the host: the supervision tree runs there and the parts that
    /// want to be apart, and no cell does. So whatever handlers do to their executors, the node is supervised, looked
    /// at and stopped.
    ///
    /// # Errors
    /// [`StartNodeError`]; then nothing of it runs.
    pub async fn start_controlled(
        host: Host,
        control: Executor,
        config: NodeConfig,
        app: App,
    ) -> Result<Node, StartNodeError> {
        if host.executors.is_empty() {
            return Err(StartNodeError::NoExecutor);
        }
        Self::start_on(host, control, true, config, app).await
    }

    fn start_on(
        host: Host,
        control: Executor,
        is_apart: bool,
        config: NodeConfig,
        app: App,
    ) -> BoxFuture<'static, Result<Node, StartNodeError>> {
        Box::pin(async move {
            let prepared = app.prepare(&config)?;
            let mut clocks = host.executors.clone();
            if is_apart {
                clocks.push(control.clone());
            }
            let wheel = Wheel::new(clocks.len());
            let events = Events::default();
            let tree = Tree::start(&control, host.seed, &events).await.map_err(StartNodeError::Tree)?;
            let placement = config.placed.then(Arc::<Placement>::default);
            let inner = Arc::new(NodeInner {
                name: config.name.clone(),
                registry: Registry::new(config.bindings.clone(), placement.clone()),
                placement,
                wheel: wheel.clone(),
                tree,
                events,
                nurseries: host.executors.iter().map(|_| Nursery::default()).collect(),
                topics: Topics::new(config.name.clone()),
                links: OnceLock::new(),
                membership: OnceLock::new(),
                seeds: AtomicU64::new(1),
                spans: AtomicU64::new(1),
                cells: AtomicU64::new(1),
                stopping: AtomicBool::new(false),
                withheld: Mutex::default(),
                adding: tokio::sync::Mutex::default(),
                host,
                control,
            });
            for (shard, executor) in clocks.iter().enumerate().take(wheel.shards()) {
                // the node lives until its tree has ended, whoever holds it
                let (keep, turning) = (inner.clone(), wheel.clone().run(shard));
                executor.spawn(async move {
                    tokio::select! { biased; _ = keep.tree.ended() => {}, () = turning => {} }
                });
            }
            for service in prepared {
                service.launch(&inner).await;
            }
            Ok(Node(inner))
        })
    }

    /// Starts more services on a node that runs; its peers learn of them. They have no section in the node's
    /// configuration. They stop before those that were there.
    ///
    /// # Errors
    /// [`AddServicesError`].
    pub fn add_services(&self, app: App) -> BoxFuture<'_, Result<(), AddServicesError>> {
        Box::pin(async move {
            let _one_at_a_time = self.0.adding.lock().await;
            let prepared = app.prepare(&NodeConfig::named(self.0.name.clone()))?;
            if self.is_stopping() {
                return Err(AddServicesError::Stopping);
            }
            if let Some(twice) = prepared.iter().map(|p| p.name()).find(|name| self.0.registry.has(name)) {
                return Err(StartNodeError::Twice(twice.clone()).into());
            }
            for service in prepared {
                service.launch(&self.0).await;
            }
            if let Some(links) = self.0.links.get() {
                links.offer(&self.0)?;
            }
            if let Some(membership) = self.0.membership.get() {
                membership.offer(&self.0);
            }
            Ok(())
        })
    }

    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.0.name
    }

    /// The executors that it was handed.
    pub fn executors(&self) -> &[Executor] {
        &self.0.host.executors
    }

    /// Where its supervision tree runs: the control executor that it was handed, or else its first executor.
    pub fn control(&self) -> &Executor {
        &self.0.control
    }

    /// A reference to a service or singleton, by name. It need not run yet.
    ///
    /// # Errors
    /// The name is none, or is provided under another contract.
    pub fn service<R: Contract>(&self, name: &str) -> Result<R, RefError> {
        self.0.reference(name, None)
    }

    /// A reference to the entity with this key. It is activated by the first message.
    ///
    /// # Errors
    /// The name or the key is none, or the name is provided under another contract.
    pub fn entity<R: Contract>(&self, name: &str, key: &str) -> Result<R, RefError> {
        self.0.reference(name, Some(key))
    }

    /// A service by name, for callers that have bytes instead of types.
    pub fn dynamic(&self, name: &ServiceName) -> Option<Arc<dyn Dynamic>> {
        self.0.registry.dynamic(name)
    }

    /// A service of other nodes by name, for callers that have bytes instead of types. What this node has itself is
    /// to be called here: look there first ([`Node::dynamic`]), each time, as it may come later.
    pub fn elsewhere(&self, name: &ServiceName) -> Option<Elsewhere> {
        self.0.links.get()?.elsewhere(self.0.registry.bound(name))
    }

    /// All services, by name.
    pub fn services(&self) -> Vec<ServiceStatus> {
        let status = |(dynamic, kind): (Arc<dyn Dynamic>, Arc<Kind>)| ServiceStatus {
            description: dynamic.describe().clone(),
            meter: kind.meter.clone(),
        };
        self.0.registry.all().into_iter().map(status).collect()
    }

    /// The supervision tree as it is now. `entities_max` bounds how many cells are listed for each service: the
    /// busiest.
    pub async fn tree(&self, entities_max: usize) -> TreeNode {
        self.0.tree.snapshot(entities_max).await
    }

    /// Runs something that is no service, such as a listener, under the node's supervision: on its first executor, or
    /// where its tree runs ([`PartSpec::apart`]); seen in the tree, restarted with growing pauses when it fails or panics, not when it ends in order. `run` is
    /// called for each start; it says when it is ready, and ends soon after it is told to stop. Waits until it is
    /// ready.
    ///
    /// # Errors
    /// [`AddPartError`]; then it does not run.
    pub async fn add_part<F>(
        &self,
        spec: &PartSpec,
        run: impl Fn(Running) -> F + Send + Sync + 'static,
    ) -> Result<(), AddPartError>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let executor = if spec.apart { &self.0.control } else { &self.0.host.executors[0] };
        self.0.tree.add_part(executor, spec, run).await.map_err(|error| AddPartError(error.to_string()))
    }

    /// Whether every service is ready, the node is not stopping, and nothing else is known to be in the way
    /// ([`Node::withhold`]).
    pub fn is_ready(&self) -> bool {
        !self.is_stopping() && self.0.tree.is_ready() && self.0.withheld.lock().is_empty()
    }

    /// Waits until the node has ended: because it was stopped, or because something failed beyond repair.
    pub async fn ended(&self) -> Exit {
        self.0.tree.ended().await
    }

    /// Whether [`Node::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    /// A seed that this node has not given away: where the chance of a part outside this package begins.
    pub fn draw_seed(&self) -> u64 {
        self.0.next_seed()
    }

    /// Time since it started.
    pub fn uptime(&self) -> Duration {
        self.0.wheel.elapsed()
    }

    /// Stops it in order: no new work, services in reverse order of their start, each with what is in its
    /// mailboxes; what is not done within the time is killed. Returns how many activations had to be killed.
    pub async fn stop(&self, within: Duration) -> usize {
        if !self.0.stopping.swap(true, Ordering::AcqRel) {
            self.0.events.note(&Event::Stopping);
        }
        self.0.tree.stop(within).await
    }
}
