//! The host of a service: keeps the list of its cells and decides, as a ractor actor, about those that failed.

use super::alarm::{Alarm, Clock};
use super::cells::{self, Cells, Watch};
use super::child::{Child, Reports};
use super::node::{LastExit, Load, TreeNode, TreeNodeKind, phase_name};
use super::policy::{OnFailure, RestartPolicy};
use crate::cell::port::{CellStatus, Overseer, Phase, Port};
use crate::directory::ServiceKind;
use crate::host::Executor;
use futures_util::future::BoxFuture;
use odeon_core::supervision::{Exit, Judge, StopReason, Verdict};
use odeon_core::{ActivationId, Random, ServiceName, Timestamp};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How many cells are looked at before others get their turn.
const BATCH: usize = 256;
/// How long killed cells may take to be gone. One that never comes to an await cannot be waited for.
const KILL_WITHIN: Duration = Duration::from_secs(1);

/// The host of a service, as its supervisor sees it.
pub(crate) struct ServiceChild(pub(crate) Arc<ServiceHost>);

/// The host of a service, as its cells see it.
pub(crate) struct ServiceHost {
    name: ServiceName,
    kind: ServiceKind,
    policy: RestartPolicy,
    clock: Clock,
    executor: Executor,
    random: Mutex<Random>,
    cells: Cells,
    /// It was told to stop: no cell begins again, and no new one begins.
    stopping: AtomicBool,
    desk: Mutex<Desk>,
    resting: Resting,
    restarts: AtomicU64,
    killed: AtomicUsize,
}

/// What waits for the actor. It survives the actor.
#[derive(Default)]
struct Desk {
    actor: Option<ActorRef<Message>>,
    /// Told to stop before the actor was there.
    stop_early: bool,
    failed: Vec<Failed>,
    /// Those that begin again when the host does.
    held: Vec<Weak<dyn Port>>,
    outcome: Option<Exit>,
}

/// A cell that waits for a verdict.
struct Failed {
    cell: Weak<dyn Port>,
    exit: Exit,
}

enum Message {
    /// Somebody waits at the desk.
    Failed,
    /// The last cell is gone.
    Empty,
    Stop,
    Kill,
    Timer,
}

/// Whom a verdict is about: an entity has a past beyond its cell.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Entity(Arc<str>),
    Instance(ActivationId),
}

/// Entities that were given up, and until when.
#[derive(Default)]
struct Resting {
    any: AtomicBool,
    until: Mutex<BTreeMap<Arc<str>, Timestamp>>,
}

impl Resting {
    fn begin(&self, key: Arc<str>, until: Timestamp, now: Timestamp) {
        let mut resting = self.until.lock();
        resting.retain(|_, until| *until > now);
        resting.insert(key, until);
        self.any.store(true, SeqCst);
    }

    fn holds(&self, key: &str, now: Timestamp) -> bool {
        if !self.any.load(SeqCst) {
            return false;
        }
        let mut resting = self.until.lock();
        let holds = resting.get(key).is_some_and(|until| *until > now);
        if !holds && resting.remove(key).is_some() {
            self.any.store(!resting.is_empty(), SeqCst);
        }
        holds
    }
}

impl ServiceHost {
    /// A host without cells.
    pub(crate) fn new(
        name: ServiceName,
        kind: ServiceKind,
        policy: RestartPolicy,
        (clock, executor, random): (Clock, Executor, Random),
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            kind,
            policy,
            clock,
            executor,
            random: Mutex::new(random),
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

    /// Whether it has an activation that runs, or is made of entities.
    pub(crate) fn is_ready(&self) -> bool {
        match self.kind {
            ServiceKind::Entity => true,
            ServiceKind::Stateless | ServiceKind::Singleton => {
                self.cells.all().iter().any(|cell| cell.status().phase == Phase::Running)
            }
        }
    }

    /// Nothing is to run under it.
    pub(crate) fn refuse(&self) {
        self.stopping.store(true, SeqCst);
    }

    /// How many cells had to be killed to stop it.
    pub(crate) fn killed(&self) -> usize {
        self.killed.load(Relaxed)
    }

    /// Whether this entity was given up and must not begin yet.
    pub(crate) fn is_resting(&self, key: &str) -> bool {
        self.resting.holds(key, self.clock.now())
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

    fn subject(&self, cell: &dyn Port) -> Subject {
        match cell.key() {
            Some(key) => Subject::Entity(key.clone()),
            None => Subject::Instance(cell.id()),
        }
    }

    fn restart(&self, cell: &Weak<dyn Port>) {
        if let Some(cell) = cell.upgrade() {
            self.restarts.fetch_add(1, Relaxed);
            self.cells.begins_again(&*cell);
            cell.restart();
        }
    }

    /// From now on no cell begins, and those at the desk are given up.
    fn close(&self) {
        let waiting = {
            let mut desk = self.desk.lock();
            self.stopping.store(true, SeqCst);
            let failed = std::mem::take(&mut desk.failed).into_iter().map(|failed| failed.cell);
            failed.chain(std::mem::take(&mut desk.held)).collect::<Vec<_>>()
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
        let ran = reports.run(Shell(self.clone()), reports.clone()).await;
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

fn give_up(cell: &Weak<dyn Port>) {
    if let Some(cell) = cell.upgrade() {
        cell.give_up();
    }
}

impl Overseer for ServiceHost {
    fn born(&self, cell: Arc<dyn Port>) {
        self.cells.born(&cell);
        if self.stopping.load(SeqCst) || cell.key().is_some_and(|key| self.is_resting(key)) {
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
        desk.failed.push(Failed { cell: port, exit: exit.clone() });
        if desk.failed.len() == 1
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
        if was_last && self.stopping.load(SeqCst) {
            self.tell(Message::Empty);
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

/// The actor.
struct Shell(Arc<ServiceHost>);

/// What the actor knows besides the desk.
struct Memory {
    judge: Judge<Subject>,
    /// Those that begin again later, by time.
    due: BTreeMap<(Timestamp, ActivationId), Weak<dyn Port>>,
    /// When it no longer waits for killed cells.
    abandon_at: Option<Timestamp>,
    alarm: Alarm,
}

impl Shell {
    fn judge_failed(&self, myself: &ActorRef<Message>, memory: &mut Memory) {
        let failed = std::mem::take(&mut self.0.desk.lock().failed);
        for Failed { cell, exit } in failed {
            if let Some(port) = cell.upgrade() {
                if !self.hold_if_ended(&cell) {
                    self.judge(myself, memory, &port, exit);
                }
            }
        }
    }

    fn judge(&self, myself: &ActorRef<Message>, memory: &mut Memory, port: &Arc<dyn Port>, exit: Exit) {
        let host = &*self.0;
        let (service, name) = (&host.name, cells::name(&**port));
        let cell = Arc::downgrade(port);
        if let Exit::GaveUp { .. } = exit {
            // The host ended it for the failure of another. That is not its own.
            return host.restart(&cell);
        }
        let (now, subject) = (host.clock.now(), host.subject(&**port));
        let verdict = memory.judge.failed(&subject, now, &mut host.random.lock());
        match verdict {
            Verdict::RestartNow => {
                tracing::warn!(%service, cell = %name, %exit, "begins again");
                host.restart(&cell);
            }
            Verdict::RestartAfter(wait) => {
                tracing::warn!(%service, cell = %name, %exit, ?wait, "begins again after a wait");
                memory.due.insert((now + wait, port.id()), cell);
            }
            Verdict::GiveUp { until } => {
                let rest = until.since(now);
                tracing::error!(%service, cell = %name, %exit, ?rest, "failed too often");
                match (host.policy.on_failure, subject) {
                    (OnFailure::Escalate, _) => self.escalate(myself, memory, port, &exit),
                    (OnFailure::Restart | OnFailure::End, Subject::Entity(key)) => {
                        host.resting.begin(key, until, now);
                        port.give_up();
                    }
                    (OnFailure::Restart | OnFailure::End, Subject::Instance(id)) => {
                        memory.due.insert((until, id), cell);
                    }
                }
            }
        }
    }

    /// Once the host has escalated, those that failed wait for its next beginning.
    fn hold_if_ended(&self, cell: &Weak<dyn Port>) -> bool {
        let mut desk = self.0.desk.lock();
        let ended = desk.outcome.is_some();
        if ended {
            desk.held.push(cell.clone());
        }
        ended
    }

    /// All activations end. They begin again when the supervisor starts this host again.
    fn escalate(&self, myself: &ActorRef<Message>, memory: &mut Memory, port: &Arc<dyn Port>, why: &Exit) {
        let host = &*self.0;
        let limits = host.policy.limits;
        let exit = Exit::GaveUp {
            child: cells::name(&**port),
            restarts: limits.restarts_max,
            window: limits.window,
            why: why.to_string(),
        };
        let waiting = {
            let mut desk = host.desk.lock();
            desk.held.push(Arc::downgrade(port));
            desk.held.extend(std::mem::take(&mut memory.due).into_values());
            desk.outcome = Some(exit.clone());
            desk.actor = None;
            desk.held.iter().filter_map(Weak::upgrade).map(|cell| cell.id()).collect::<Vec<_>>()
        };
        for cell in host.cells.all().iter().rev().filter(|cell| !waiting.contains(&cell.id())) {
            cell.fail(exit.clone());
        }
        myself.stop(None);
    }

    /// Those whose wait is over begin again.
    fn restart_due(&self, memory: &mut Memory) {
        let now = self.0.clock.now();
        while let Some(entry) = memory.due.first_entry().filter(|entry| entry.key().0 <= now) {
            self.0.restart(&entry.remove());
        }
    }

    /// From now on no cell begins, and those that wait to begin again are given up.
    fn close(&self, memory: &mut Memory) {
        self.0.close();
        for cell in std::mem::take(&mut memory.due).into_values() {
            give_up(&cell);
        }
    }

    async fn drain(&self) {
        for batch in self.0.cells.all().rchunks(BATCH) {
            batch.iter().rev().for_each(|cell| cell.drain(StopReason::Shutdown));
            tokio::task::yield_now().await;
        }
    }

    async fn kill(&self, memory: &mut Memory) {
        let cells = self.0.cells.all();
        self.0.killed.fetch_add(cells.len(), Relaxed);
        for batch in cells.rchunks(BATCH) {
            batch.iter().rev().for_each(|cell| cell.kill());
            tokio::task::yield_now().await;
        }
        memory.abandon_at = Some(self.0.clock.now() + KILL_WITHIN);
    }

    fn end_if_empty(&self, myself: &ActorRef<Message>, memory: &Memory) {
        let left = self.0.cells.count();
        let abandoned = memory.abandon_at.is_some_and(|at| at <= self.0.clock.now());
        if !self.0.stopping.load(SeqCst) || (left > 0 && !abandoned) {
            return;
        }
        if left > 0 {
            tracing::error!(service = %self.0.name, left, "killed cells do not come to an await: left behind");
        }
        let stopped = Exit::Stopped { reason: StopReason::Shutdown };
        self.0.desk.lock().outcome.get_or_insert(stopped);
        myself.stop(None);
    }

    fn set_alarm(&self, myself: &ActorRef<Message>, memory: &mut Memory) {
        let restart = memory.due.first_key_value().map(|((at, _), _)| *at);
        let due = restart.into_iter().chain(memory.abandon_at).min();
        let actor = myself.clone();
        memory.alarm.set(due, self.0.clock, &self.0.executor, move || {
            // An actor that has ended needs no waking.
            let _ = actor.send_message(Message::Timer);
        });
    }
}

impl Actor for Shell {
    type Msg = Message;
    type State = Memory;
    type Arguments = Reports;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        reports: Reports,
    ) -> Result<Memory, ActorProcessingErr> {
        let judge = Judge::new(self.0.policy.limits);
        let mut memory = Memory { judge, due: BTreeMap::new(), abandon_at: None, alarm: Alarm::default() };
        let (held, stop) = {
            let mut desk = self.0.desk.lock();
            desk.actor = Some(myself.clone());
            desk.outcome = None;
            (std::mem::take(&mut desk.held), std::mem::take(&mut desk.stop_early))
        };
        held.iter().for_each(|cell| self.0.restart(cell));
        self.judge_failed(&myself, &mut memory);
        self.set_alarm(&myself, &mut memory);
        reports.started();
        if stop {
            // Behind what is in the mailbox, which is nothing.
            let _ = myself.send_message(Message::Stop);
        }
        Ok(memory)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        memory: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Failed => self.judge_failed(&myself, memory),
            Message::Empty => {}
            Message::Stop => {
                self.close(memory);
                self.drain().await;
            }
            Message::Kill => {
                self.close(memory);
                self.kill(memory).await;
            }
            Message::Timer => {
                memory.alarm.rang();
                self.restart_due(memory);
            }
        }
        self.end_if_empty(&myself, memory);
        self.set_alarm(&myself, memory);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        _: SupervisionEvent,
        _: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        // Cells are no ractor actors: they report their ends to the desk.
        Ok(())
    }
}
