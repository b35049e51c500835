//! The supervision tree of a node: the root; below it the supervisor of the parts that outlive the services, the
//! supervisor of the services with a host for each, and the supervisor of the other parts.

use super::alarm::Clock;
use super::child::{Child, Report, Reports};
use super::node::TreeNode;
use super::part::{Part, PartSpec, Running};
use super::policy::RestartPolicy;
use super::service::{ServiceChild, ServiceHost};
use super::supervisor::{AddError, Supervisor};
use crate::cell::port::{CellStatus, Overseer, Port};
use crate::directory::ServiceKind;
use crate::host::Executor;
use crate::telemetry::events::Events;
use futures_util::future::BoxFuture;
use odeon_core::supervision::{Backoff, ChildSpec, Exit, RestartLimits, Settings, Strategy};
use odeon_core::{ActivationId, Random, ServiceName};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest drain of one service. The time given to the whole tree may be shorter.
const SERVICE_DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// How long the tree may take to end after it was killed.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// The supervision tree of a node.
pub(crate) struct Tree {
    clock: Clock,
    executor: Executor,
    random: Mutex<Random>,
    events: Events,
    root: Mutex<Supervisor>,
    base: Supervisor,
    services: Supervisor,
    parts: Supervisor,
    hosts: Mutex<Vec<Arc<ServiceHost>>>,
    ended: watch::Receiver<Option<Exit>>,
}

impl Tree {
    /// An empty tree whose supervisors run on the executor.
    ///
    /// # Errors
    /// A person's reason why it did not start.
    pub(crate) async fn start(executor: &Executor, seed: u64, events: &Events) -> Result<Tree, String> {
        let clock = Clock::start();
        let mut random = Random::seeded(seed);
        let mut surroundings = || (clock, executor.clone(), random.fork(), events.clone());
        let base = Supervisor::new("base", Settings::default(), surroundings(), Vec::new());
        let services = Supervisor::new("services", services_settings(), surroundings(), Vec::new());
        let parts = Supervisor::new("parts", Settings::default(), surroundings(), Vec::new());
        let below = [("base", &base), ("services", &services), ("parts", &parts)];
        let below = below.map(|(name, supervisor)| {
            let child: Box<dyn Child> = Box::new(supervisor.clone());
            (ChildSpec::permanent(name).unlimited(), child)
        });
        let mut root = Supervisor::new("node", root_settings(), surroundings(), below.into());
        let (ended, mut watching) = watch::channel(None);
        let started = Arc::new(tokio::sync::Notify::new());
        let ready = started.clone();
        root.start(Reports::to(move |report| match report {
            Report::Started => ready.notify_one(),
            Report::Ended(exit) => {
                ended.send_replace(Some(exit));
            }
        }));
        tokio::select! {
            biased;
            () = started.notified() => {}
            exit = watching.wait_for(Option::is_some) => {
                return Err(match exit.as_deref() {
                    Ok(Some(exit)) => exit.to_string(),
                    Ok(None) | Err(_) => "it ended without a word".to_owned(),
                });
            }
        }
        let (root, hosts, random) = (Mutex::new(root), Mutex::default(), Mutex::new(random));
        let (executor, events) = (executor.clone(), events.clone());
        Ok(Tree { clock, executor, random, events, root, base, services, parts, hosts, ended: watching })
    }

    /// A host for the cells of a service, of a kind, that may be at other nodes or not. It starts last and stops first.
    pub(crate) async fn add_service(
        &self,
        name: &ServiceName,
        kind: (ServiceKind, bool),
        policy: &RestartPolicy,
    ) -> Arc<dyn Overseer> {
        let random = self.random.lock().fork();
        let surroundings = (self.clock, self.executor.clone(), random, self.events.clone());
        let host = ServiceHost::new(name.clone(), kind, *policy, surroundings);
        let spec =
            ChildSpec::permanent(&name.to_string()).within(ChildSpec::START_WITHIN, SERVICE_DRAIN_WITHIN);
        match self.services.add(spec, Box::new(ServiceChild(host.clone()))).await {
            Ok(()) => self.hosts.lock().push(host.clone()),
            // Its cells end as soon as they are born.
            Err(problem) => {
                tracing::error!(service = %name, %problem, "a service cannot be supervised");
                host.refuse();
            }
        }
        host
    }

    /// Stops a service and forgets it, in the background.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "services of a node are fixed until it fits them to a plan")
    )]
    pub(crate) fn remove_service(&self, name: &ServiceName) {
        self.services.remove(&name.to_string());
        self.hosts.lock().retain(|host| host.name() != name);
    }

    /// Runs something that is no service, such as a listener: restarted when it fails. Waits until it is ready.
    ///
    /// # Errors
    /// Why it could not start; then it does not run.
    pub(crate) async fn add_part<F>(
        &self,
        executor: &Executor,
        spec: &PartSpec,
        run: impl Fn(Running) -> F + Send + Sync + 'static,
    ) -> Result<(), AddError>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let part = Part::new(&spec.name, executor.clone(), run);
        let supervisor = if spec.outlives_services { &self.base } else { &self.parts };
        supervisor.add(spec.child(), Box::new(part)).await
    }

    /// Waits until the tree has ended: because it was stopped, or because something failed beyond repair.
    pub(crate) fn ended(&self) -> BoxFuture<'_, Exit> {
        Box::pin(async move {
            let mut ended = self.ended.clone();
            let exit = ended.wait_for(Option::is_some).await;
            // The root is gone without a word when its executor is.
            exit.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Killed)
        })
    }

    /// The tree now, with the busiest cells of each service.
    pub(crate) fn snapshot(&self, cells_max: usize) -> BoxFuture<'static, TreeNode> {
        self.root.lock().describe(cells_max)
    }

    /// The hosts of all services.
    pub(crate) fn hosts(&self) -> Vec<Arc<ServiceHost>> {
        self.hosts.lock().clone()
    }

    /// The cell of that number, unless it is gone. Looks at each service.
    pub(crate) fn find(&self, id: ActivationId) -> Option<Arc<dyn Port>> {
        self.hosts().iter().find_map(|host| host.cells.find(id))
    }

    /// Cells that have been in one poll for longer than this, with their service.
    pub(crate) fn polling(&self, longer_than: Duration) -> Vec<(ServiceName, CellStatus)> {
        let hosts = self.hosts.lock().clone();
        let of = |host: &Arc<ServiceHost>| {
            host.polling(longer_than)
                .into_iter()
                .map(|status| (host.name().clone(), status))
                .collect::<Vec<_>>()
        };
        hosts.iter().flat_map(of).collect()
    }

    /// Whether every service has an activation that runs, or is made of entities.
    pub(crate) fn is_ready(&self) -> bool {
        self.ended.borrow().is_none() && self.hosts.lock().iter().all(|host| host.is_ready())
    }

    /// Stops everything in reverse order; returns how many activations had to be killed.
    pub(crate) fn stop(&self, within: Duration) -> BoxFuture<'_, usize> {
        Box::pin(async move {
            self.root.lock().stop(within);
            let mut ended = self.ended.clone();
            if tokio::time::timeout(within, ended.wait_for(Option::is_some)).await.is_err() {
                self.root.lock().kill();
                if tokio::time::timeout(KILL_WITHIN, ended.wait_for(Option::is_some)).await.is_err() {
                    tracing::error!("a supervisor does not end: left behind");
                }
            }
            let hosts = self.hosts.lock();
            hosts.iter().rev().for_each(|host| host.release());
            hosts.iter().map(|host| host.killed()).sum()
        })
    }
}

/// Services do not need each other. Only a service whose policy says so lets its failures come here.
fn services_settings() -> Settings {
    let backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(30) };
    let limits = RestartLimits {
        restarts_max: 5,
        window: Duration::from_secs(300),
        backoff,
        quiet: Duration::from_secs(300),
    };
    Settings { strategy: Strategy::OneForOne, limits }
}

/// What its children could not repair, the root cannot: the tree ends, and with it the node.
fn root_settings() -> Settings {
    let limits = RestartLimits { restarts_max: 0, ..RestartLimits::default() };
    Settings { strategy: Strategy::RestForOne, limits }
}
