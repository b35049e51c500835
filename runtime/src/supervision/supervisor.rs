//! The shell of `odeon_core::supervision::Machine`: a ractor actor that feeds it events and carries out its
//! effects.

use super::alarm::{Alarm, Clock};
use super::child::{Child, Report, Reports};
use super::node::{LastExit, TreeNode, TreeNodeKind};
use crate::host::Executor;
use crate::telemetry::events::{self, Events};
use futures_util::future::BoxFuture;
use odeon_core::Random;
use odeon_core::supervision::{ChildName, ChildSpec, Effect, Event, Exit, Machine, Settings, StopReason};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Why a child was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddError {
    /// There is one of that name.
    #[error("the supervisor {supervisor} has a child {child} already")]
    Taken {
        /// The supervisor.
        supervisor: ChildName,
        /// The name.
        child: ChildName,
    },
    /// It ended before it had started.
    #[error("{child} {exit}")]
    Start {
        /// Its name.
        child: ChildName,
        /// How it ended.
        exit: Exit,
    },
    /// The supervisor does not run.
    #[error("the supervisor {supervisor} does not run")]
    Down {
        /// The supervisor.
        supervisor: ChildName,
    },
}

/// What a supervisor works with: time, where it runs, chance, and where it notes what happens.
pub(crate) type Surroundings = (Clock, Executor, Random, Events);

/// Keeps children running. A child itself.
#[derive(Clone)]
pub(crate) struct Supervisor(Arc<Inner>);

struct Inner {
    name: ChildName,
    clock: Clock,
    executor: Executor,
    events: Events,
    state: Mutex<State>,
}

struct State {
    machine: Machine,
    random: Random,
    children: BTreeMap<ChildName, Supervised>,
    /// To whom it reports that it has started.
    reports: Option<Reports>,
    /// How it ended, if it did so in order.
    outcome: Option<Exit>,
    /// The actor that runs it; none until it has begun.
    actor: Option<ActorRef<Message>>,
    /// It was told to stop before it had begun.
    stop_early: bool,
}

struct Supervised {
    child: Box<dyn Child>,
    /// Counts its starts: a report about an earlier one is of no interest.
    start: u64,
    last_exit: Option<Exit>,
    /// Who waits until it has been started for the first time.
    added: Option<oneshot::Sender<Result<(), AddError>>>,
}

impl Supervised {
    fn new(child: Box<dyn Child>) -> Self {
        Self { child, start: 0, last_exit: None, added: None }
    }
}

enum Message {
    Reported(ChildName, u64, Report),
    Add(ChildSpec, Box<dyn Child>, oneshot::Sender<Result<(), AddError>>),
    Remove(ChildName),
    Stop,
    Kill,
    Timer,
}

impl Supervisor {
    /// With its first children in order of start. It begins when its own supervisor, or the tree, starts it.
    pub(crate) fn new(
        name: &str,
        settings: Settings,
        (clock, executor, random, events): Surroundings,
        children: Vec<(ChildSpec, Box<dyn Child>)>,
    ) -> Self {
        let machine = Machine::new(settings, children.iter().map(|(spec, _)| spec.clone()));
        let mut supervised = BTreeMap::new();
        for (spec, child) in children {
            supervised.entry(spec.name).or_insert_with(|| Supervised::new(child));
        }
        let state = State {
            machine,
            random,
            children: supervised,
            reports: None,
            outcome: None,
            actor: None,
            stop_early: false,
        };
        Self(Arc::new(Inner { name: name.into(), clock, executor, events, state: Mutex::new(state) }))
    }

    /// Adds a child behind the others, and waits until it has started.
    ///
    /// # Errors
    /// [`AddError`]; then it is not a child.
    pub(crate) async fn add(&self, spec: ChildSpec, child: Box<dyn Child>) -> Result<(), AddError> {
        let down = || AddError::Down { supervisor: self.0.name.clone() };
        let (added, answer) = oneshot::channel();
        self.0.tell(Message::Add(spec, child, added)).map_err(|_| down())?;
        answer.await.unwrap_or_else(|_| Err(down()))
    }

    /// Has a child stopped and forgotten, in the background.
    pub(crate) fn remove(&self, child: &str) {
        // One that does not run has no children that run.
        let _ = self.0.tell(Message::Remove(child.into()));
    }
}

impl Child for Supervisor {
    fn start(&mut self, reports: Reports) {
        self.0.state.lock().stop_early = false;
        let inner = self.0.clone();
        self.0.executor.spawn(async move { inner.run(reports).await });
    }

    fn stop(&mut self, _: Duration) {
        self.0.tell_or_stop_early(Message::Stop);
    }

    fn kill(&mut self) {
        self.0.tell_or_stop_early(Message::Kill);
    }

    fn describe(&self, cells_max: usize) -> BoxFuture<'static, TreeNode> {
        let state = self.0.state.lock();
        let now = self.0.clock.now();
        let mut node = TreeNode {
            name: self.0.name.to_string(),
            kind: TreeNodeKind::Supervisor,
            strategy: Some(state.machine.settings().strategy.name().into()),
            phase: state.machine.phase().into(),
            ..TreeNode::default()
        };
        let mut below = Vec::new();
        for child in state.machine.children() {
            let Some(supervised) = state.children.get(&child.spec().name) else { continue };
            let last_exit = child.last_exit().map(|(at, exit)| LastExit::seen(*at, exit, None, now));
            let standing = (child.state().name(), u64::from(child.restarts()), last_exit);
            below.push((supervised.child.describe(cells_max), standing));
        }
        drop(state);
        Box::pin(async move {
            for (describing, (phase, restarts, last_exit)) in below {
                let mut child = describing.await;
                // Its supervisor knows best where it stands, except that what is below may be on its way.
                if child.phase.is_empty() || phase != "up" {
                    child.phase = phase.into();
                }
                child.restarts += restarts;
                child.last_exit = child.last_exit.or(last_exit);
                node.children.push(child);
            }
            node
        })
    }
}

impl Inner {
    /// Gives the message back if nobody is there.
    fn tell(&self, message: Message) -> Result<(), Message> {
        let actor = self.state.lock().actor.clone();
        match actor {
            Some(actor) => actor.send_message(message).map_err(|error| match error {
                ractor::MessagingErr::SendErr(message) => message,
                _ => Message::Timer,
            }),
            None => Err(message),
        }
    }

    fn tell_or_stop_early(&self, message: Message) {
        let mut state = self.state.lock();
        match &state.actor {
            // One that has ended meanwhile has nothing left to stop.
            Some(actor) => drop(actor.send_message(message)),
            None => state.stop_early = true,
        }
    }

    /// Lives as long as its actor.
    async fn run(self: Arc<Self>, reports: Reports) {
        let ran = reports.run(Shell(self.clone()), reports.clone()).await;
        let outcome = {
            let mut state = self.state.lock();
            state.actor = None;
            state.outcome.take()
        };
        let exit = outcome.unwrap_or_else(|| {
            // A fault of the shell. Nothing below it may go on unsupervised.
            self.kill_children();
            self.forget_the_past();
            let text = ran.err().map_or_else(|| "its actor panicked".to_owned(), |error| error.to_string());
            Exit::Panicked { text, method: format!("supervisor {}", self.name) }
        });
        // Its supervisor may start it again from here on.
        reports.ended(exit);
    }

    fn kill_children(&self) {
        let mut state = self.state.lock();
        let alive: Vec<ChildName> = state
            .machine
            .children()
            .iter()
            .filter(|child| child.state().is_alive())
            .map(|child| child.spec().name.clone())
            .collect();
        for name in alive.iter().rev() {
            if let Some(supervised) = state.children.get_mut(name) {
                supervised.child.kill();
            }
        }
    }

    /// The next beginning is as the first.
    fn forget_the_past(&self) {
        let mut state = self.state.lock();
        let specs: Vec<ChildSpec> =
            state.machine.children().iter().map(|child| child.spec().clone()).collect();
        state.machine = Machine::new(*state.machine.settings(), specs);
    }

    fn step(self: &Arc<Self>, myself: &ActorRef<Message>, event: Event) {
        let mut effects = Vec::new();
        let state = &mut *self.state.lock();
        state.machine.step(self.clock.now(), event, &mut state.random, &mut effects);
        for effect in effects {
            self.apply(myself, state, effect);
        }
    }

    /// Carries out what the machine decided.
    fn apply(&self, myself: &ActorRef<Message>, state: &mut State, effect: Effect) {
        let supervisor = &self.name;
        match effect {
            Effect::Start(name) => {
                if let Some(supervised) = state.children.get_mut(&name) {
                    supervised.start += 1;
                    supervised.child.start(reports(myself, name, supervised.start));
                }
            }
            Effect::Stop(name, within) => {
                if let Some(supervised) = state.children.get_mut(&name) {
                    supervised.child.stop(within);
                }
            }
            Effect::Kill(name) => {
                let supervisor = supervisor.to_string();
                self.events.note(&events::Event::Killed { supervisor, name: name.to_string() });
                if let Some(supervised) = state.children.get_mut(&name) {
                    supervised.child.kill();
                }
            }
            Effect::Forget(name) => {
                if let Some(Supervised { last_exit, added: Some(added), .. }) = state.children.remove(&name) {
                    let exit = last_exit.unwrap_or(Exit::Stopped { reason: StopReason::Shutdown });
                    // Whoever added it may have left.
                    let _ = added.send(Err(AddError::Start { child: name, exit }));
                }
            }
            Effect::Ready => {
                state.reports.iter().for_each(Reports::started);
            }
            Effect::Stopped => self.end(myself, state, Exit::Stopped { reason: StopReason::Shutdown }),
            Effect::Escalate(failure) => {
                let (supervisor, why) = (supervisor.to_string(), failure.to_string());
                self.events.note(&events::Event::GaveUp { supervisor, failure: why });
                self.end(myself, state, failure.exit());
            }
        }
    }

    fn end(&self, myself: &ActorRef<Message>, state: &mut State, exit: Exit) {
        state.outcome = Some(exit);
        // Those who still wait for the start of what they added wait in vain.
        let unstarted: Vec<ChildName> = state
            .children
            .iter_mut()
            .filter_map(|(name, child)| child.added.take().map(|added| (name, added)))
            .map(|(name, added)| {
                // Whoever added it may have left.
                let _ = added.send(Err(AddError::Down { supervisor: self.name.clone() }));
                name.clone()
            })
            .collect();
        for name in unstarted {
            state.children.remove(&name);
            let remove = Event::Remove(name);
            state.machine.step(self.clock.now(), remove, &mut state.random, &mut Vec::new());
        }
        myself.stop(None);
    }

    fn reported(self: &Arc<Self>, myself: &ActorRef<Message>, name: ChildName, start: u64, report: Report) {
        {
            let mut state = self.state.lock();
            let Some(supervised) = state.children.get_mut(&name).filter(|child| child.start == start) else {
                return;
            };
            match &report {
                Report::Started => {
                    if let Some(added) = supervised.added.take() {
                        // Whoever added it may have left.
                        let _ = added.send(Ok(()));
                    }
                    self.events.note(&events::Event::Started { name: name.to_string(), start });
                }
                Report::Ended(exit) => {
                    supervised.last_exit = Some(exit.clone());
                    let (supervisor, name) = (self.name.to_string(), name.to_string());
                    self.events.note(&events::Event::Ended { supervisor, name, exit: exit.clone() });
                }
            }
        }
        let event = match report {
            Report::Started => Event::Started(name),
            Report::Ended(exit) => Event::Ended(name, exit),
        };
        self.step(myself, event);
    }

    fn add(
        self: &Arc<Self>,
        myself: &ActorRef<Message>,
        (spec, child, added): (ChildSpec, Box<dyn Child>, oneshot::Sender<Result<(), AddError>>),
    ) {
        {
            let mut state = self.state.lock();
            if state.children.contains_key(&spec.name) {
                let taken = AddError::Taken { supervisor: self.name.clone(), child: spec.name };
                // Whoever wanted to add it may have left.
                let _ = added.send(Err(taken));
                return;
            }
            let supervised = Supervised { added: Some(added), ..Supervised::new(child) };
            state.children.insert(spec.name.clone(), supervised);
        }
        self.step(myself, Event::Add(spec));
    }
}

/// The reports of one start of a child.
fn reports(myself: &ActorRef<Message>, name: ChildName, start: u64) -> Reports {
    let actor = myself.clone();
    let receive = move |report| {
        // A supervisor that has ended asked nobody to start.
        let _ = actor.send_message(Message::Reported(name.clone(), start, report));
    };
    Reports::to(receive).below(myself.get_cell())
}

/// The actor.
struct Shell(Arc<Inner>);

impl Shell {
    fn set_alarm(&self, myself: &ActorRef<Message>, alarm: &mut Alarm) {
        let due = self.0.state.lock().machine.deadline();
        let actor = myself.clone();
        alarm.set(due, self.0.clock, &self.0.executor, move || {
            // An actor that has ended needs no waking.
            let _ = actor.send_message(Message::Timer);
        });
    }
}

impl Actor for Shell {
    type Msg = Message;
    type State = Alarm;
    type Arguments = Reports;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        reports: Reports,
    ) -> Result<Alarm, ActorProcessingErr> {
        let stop_early = {
            let mut state = self.0.state.lock();
            state.actor = Some(myself.clone());
            state.reports = Some(reports);
            std::mem::take(&mut state.stop_early)
        };
        // Told to stop first, it never starts a child.
        let event = if stop_early { Event::Stop } else { Event::Begin };
        self.0.step(&myself, event);
        let mut alarm = Alarm::default();
        self.set_alarm(&myself, &mut alarm);
        Ok(alarm)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        alarm: &mut Alarm,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Reported(name, start, report) => self.0.reported(&myself, name, start, report),
            Message::Add(spec, child, added) => self.0.add(&myself, (spec, child, added)),
            Message::Remove(name) => self.0.step(&myself, Event::Remove(name)),
            Message::Stop => self.0.step(&myself, Event::Stop),
            Message::Kill => {
                self.0.kill_children();
                self.0.step(&myself, Event::Stop);
            }
            Message::Timer => {
                alarm.rang();
                self.0.step(&myself, Event::Timer);
            }
        }
        self.set_alarm(&myself, alarm);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        _: SupervisionEvent,
        _: &mut Alarm,
    ) -> Result<(), ActorProcessingErr> {
        // Children report their ends themselves, with reasons that ractor does not carry.
        Ok(())
    }
}
