//! The host of a service, as its cells and its supervisor see it. Its actor, which decides about cells that failed
//! and ends the rest, is in `verdict`.

use super::alarm::Clock;
use super::cells::{self, Cells, Watch};
use super::child::{Child, Reports};
use super::node::{LastExit, Load, TreeNode, TreeNodeKind, phase_name};
use super::policy::{OnFailure, RestartPolicy};
use super::resting::{self, Resting};
use super::supervisor::Surroundings;
use super::verdict::{Message, Verdicts};
use crate::cell::port::{CellStatus, Overseer, Phase, Port};
use crate::directory::ServiceKind;
use crate::host::Executor;
use crate::telemetry::events::Events;
use futures_util::future::BoxFuture;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Random, Refusal, ServiceName, Timestamp};
use parking_lot::Mutex;
use ractor::ActorRef;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How many cells are looked at before others get their turn.
pub(super) const BATCH: usize = 256;
/// The host of a service, as its supervisor sees it.
pub(crate) struct ServiceChild(pub(crate) Arc<ServiceHost>);

/// The host of a service, as its cells see it.
pub(crate) struct ServiceHost {
    pub(super) name: ServiceName,
    kind: ServiceKind,
    /// Other nodes may have its activations.
    placed: bool,
    pub(super) policy: RestartPolicy,
    pub(super) clock: Clock,
    pub(super) executor: Executor,
    pub(super) random: Mutex<Random>,
    pub(super) events: Events,
    pub(super) cells: Cells,
    /// It was told to stop: no cell begins again, and no new one begins.
    pub(super) stopping: AtomicBool,
    pub(super) desk: Mutex<Desk>,
    pub(super) resting: Resting,
    restarts: AtomicU64,
    pub(super) killed: AtomicUsize,
}

/// What waits for the actor. It survives the actor, and a fault of it.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) actor: Option<ActorRef<Message>>,
    /// Told to stop before the actor was there.
    pub(super) stop_early: bool,
    pub(super) failed: VecDeque<Failed>,
    /// Those that begin again later, by time.
    pub(super) due: BTreeMap<(Timestamp, ActivationId), Weak<dyn Port>>,
    /// Those that begin again when the host does.
    pub(super) held: Vec<Weak<dyn Port>>,
    pub(super) outcome: Option<Exit>,
    /// It has escalated, and has not begun again.
    pub(super) down: bool,
}

/// A cell that waits for a verdict.
pub(super) struct Failed {
    pub(super) cell: Weak<dyn Port>,
    pub(super) exit: Exit,
}

impl ServiceHost {
    /// A host without cells.
    pub(crate) fn new(
        name: ServiceName,
        (kind, placed): (ServiceKind, bool),
        policy: RestartPolicy,
        (clock, executor, random, events): Surroundings,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            kind,
            placed,
            policy,
            clock,
            executor,
            random: Mutex::new(random),
            events,
            cells: Cells::default(),
            stopping: AtomicBool::new(false),
            desk: Mutex::default(),
            resting: Resting::default(),
            restarts: AtomicU64::new(0),
            killed: AtomicUsize::new(0),
        })
    }

    /// The name of the service.
    pub(crate) fn name(&self) -> &ServiceName {
        &self.name
    }

    /// All that live.
    pub(crate) fn cells(&self) -> Vec<Arc<dyn Port>> {
        self.cells.all()
    }

    /// Whether it has an activation that runs, or is made of entities.
    pub(crate) fn is_ready(&self) -> bool {
        match self.kind {
            ServiceKind::Entity => true,
            ServiceKind::Singleton if self.placed && self.cells.count() == 0 => true,
            ServiceKind::Stateless | ServiceKind::Singleton => {
                self.cells.all().iter().any(|cell| cell.status().phase == Phase::Running)
            }
        }
    }

    /// Nothing is to run under it.
    pub(crate) fn refuse(&self) {
        self.stopping.store(true, SeqCst);
    }

    /// Cells that have been in one poll for longer than this.
    pub(crate) fn polling(&self, longer_than: Duration) -> Vec<CellStatus> {
        let stuck = |cell: Arc<dyn Port>| {
            Some(cell.status()).filter(|status| status.polling_for.is_some_and(|lasted| lasted > longer_than))
        };
        self.cells.all().into_iter().filter_map(stuck).collect()
    }

    /// How many cells had to be killed when it was stopped, or were left behind.
    pub(crate) fn killed(&self) -> usize {
        self.killed.load(Relaxed)
    }

    /// Why this entity must not begin yet, if it was given up.
    pub(super) fn rest_of(&self, key: &str) -> Option<Refusal> {
        self.resting.of(key, self.clock)
    }

    fn tell(&self, message: Message) {
        let mut desk = self.desk.lock();
        match (&desk.actor, message) {
            // An actor that ends leaves the desk to the next one.
            (Some(actor), message) => drop(actor.send_message(message)),
            (None, Message::Stop | Message::Kill) => desk.stop_early = true,
            (None, Message::Failed | Message::Empty | Message::Timer) => {}
        }
    }

    /// A cell begins again.
    pub(super) fn restart(&self, cell: &Weak<dyn Port>) {
        if let Some(cell) = cell.upgrade() {
            self.restarts.fetch_add(1, Relaxed);
            self.cells.begins_again(&*cell);
            cell.restart();
        }
    }

    /// From now on no cell begins, and those at the desk are given up.
    pub(super) fn close(&self) {
        let waiting = {
            let mut desk = self.desk.lock();
            self.stopping.store(true, SeqCst);
            let failed = std::mem::take(&mut desk.failed).into_iter().map(|failed| failed.cell);
            let due = std::mem::take(&mut desk.due).into_values();
            failed.chain(due).chain(std::mem::take(&mut desk.held)).collect::<Vec<_>>()
        };
        waiting.iter().for_each(give_up);
    }

    /// The tree has ended. If this host had ended before, cells may still wait for its next beginning.
    pub(crate) fn release(&self) {
        self.close();
        self.cells.all().iter().rev().for_each(|cell| cell.kill());
    }

    /// Lives as long as its actor.
    async fn run(self: Arc<Self>, reports: Reports) {
        let ran = reports.run(Verdicts(self.clone()), reports.clone()).await;
        let outcome = {
            let mut desk = self.desk.lock();
            desk.actor = None;
            desk.outcome.take()
        };
        reports.ended(outcome.unwrap_or_else(|| {
            // A fault of the host, not of its cells: they go on, and who failed waits at the desk.
            let text = ran.err().map_or_else(|| "its actor panicked".to_owned(), |error| error.to_string());
            Exit::Panicked { text, method: format!("host of {}", self.name) }
        }));
    }

    /// The busiest cells and the sum over all.
    async fn describe(self: Arc<Self>, cells_max: usize) -> TreeNode {
        let now = self.clock.now();
        let cells = self.cells.all();
        let mut load = Load::default();
        let mut busiest: BTreeMap<_, (Arc<dyn Port>, CellStatus)> = BTreeMap::new();
        for (position, cell) in cells.iter().enumerate() {
            if position % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            let status = cell.status();
            load.add(&status);
            let rank = (Reverse(status.waiting), Reverse(status.begun), status.id);
            busiest.insert(rank, (cell.clone(), status));
            if busiest.len() > cells_max {
                busiest.pop_last();
            }
        }
        let children: Vec<TreeNode> = busiest.into_values().map(|cell| self.leaf(&cell, now)).collect();
        TreeNode {
            name: self.name.to_string(),
            kind: match self.kind {
                ServiceKind::Stateless => TreeNodeKind::Stateless,
                ServiceKind::Entity => TreeNodeKind::Entities,
                ServiceKind::Singleton => TreeNodeKind::Singleton,
            },
            strategy: Some("one-for-one".into()),
            phase: if self.is_ready() { "up" } else { "starting" }.into(),
            restarts: self.restarts.load(Relaxed),
            last_exit: None,
            failures: self.cells.failures(now),
            load: Some(load),
            unlisted: cells.len() - children.len(),
            children,
        }
    }

    fn leaf(&self, (cell, status): &(Arc<dyn Port>, CellStatus), now: Timestamp) -> TreeNode {
        let past = self.cells.past(&**cell);
        TreeNode {
            name: cells::name(&**cell),
            kind: TreeNodeKind::Cell,
            phase: phase_name(status.phase).into(),
            restarts: past.as_ref().map_or(0, |past| past.restarts),
            last_exit: past.map(|past| LastExit::seen(past.last.0, &past.last.1, None, now)),
            load: Some(Load::of(status)),
            ..TreeNode::default()
        }
    }
}

/// A cell does not begin again.
fn give_up(cell: &Weak<dyn Port>) {
    if let Some(cell) = cell.upgrade() {
        cell.give_up();
    }
}

impl Overseer for ServiceHost {
    fn admits(&self, key: &str) -> Result<(), Refusal> {
        if self.stopping.load(SeqCst) {
            return Err(Refusal::Stopped);
        }
        self.rest_of(key).map_or(Ok(()), Err)
    }

    fn born(&self, cell: Arc<dyn Port>) {
        self.cells.born(&cell);
        if self.stopping.load(SeqCst) || cell.key().is_some_and(|key| self.rest_of(key).is_some()) {
            cell.stop(StopReason::Shutdown);
        }
    }

    fn started(&self, _: &dyn Port) {}

    fn ended(&self, cell: &dyn Port, exit: &Exit) -> bool {
        if exit.is_normal() {
            self.cells.ended(cell, exit);
            return false;
        }
        let Some(port) = self.cells.failed(cell, exit, self.clock.now()) else { return false };
        match self.policy.on_failure {
            OnFailure::End => return false,
            OnFailure::Restart | OnFailure::Escalate => {}
        }
        let mut desk = self.desk.lock();
        // Looked at under the lock: whoever stops the host clears the desk under it.
        if self.stopping.load(SeqCst) {
            return false;
        }
        desk.failed.push_back(Failed { cell: port, exit: exit.clone() });
        if desk.down {
            // The service has ended: nobody here knows when it begins again. Still under the lock: a rest that came
            // behind a restart would not end.
            cell.rest(resting::reason(exit));
        } else if desk.failed.len() == 1
            && let Some(actor) = &desk.actor
        {
            // An actor that ends leaves the desk to the next one.
            let _ = actor.send_message(Message::Failed);
        }
        true
    }

    fn watch(&self, cell: &dyn Port, callback: Watch) {
        self.cells.watch(cell, callback);
    }

    fn gone(&self, cell: &dyn Port, exit: &Exit) {
        let was_last = self.cells.gone(cell, exit);
        if self.stopping.load(SeqCst) {
            self.killed.fetch_add(usize::from(*exit == Exit::Killed), Relaxed);
            if was_last {
                self.tell(Message::Empty);
            }
        }
    }
}

impl Child for ServiceChild {
    fn start(&mut self, reports: Reports) {
        self.0.stopping.store(false, SeqCst);
        self.0.desk.lock().stop_early = false;
        let host = self.0.clone();
        self.0.executor.spawn(async move { host.run(reports).await });
    }

    fn stop(&mut self, _: Duration) {
        self.0.tell(Message::Stop);
    }

    fn kill(&mut self) {
        self.0.tell(Message::Kill);
    }

    fn describe(&self, cells_max: usize) -> BoxFuture<'static, TreeNode> {
        Box::pin(self.0.clone().describe(cells_max))
    }
}
