//! A supervisor's decisions: who starts, who stops, who is killed, and when to give up.
//!
//! What is wanted and what is the case are written down per child (`roster.rs`); each event changes that, and
//! `advance` gives the effects that bring the one closer to the other.

use super::restart::Window;
use super::roster::{Child, ChildState, Goal, Roster};
use super::{ChildName, ChildSpec, Exit, Restart, RestartLimits, Strategy};
use crate::random::Random;
use crate::time::Timestamp;
use std::time::Duration;

/// How a supervisor treats its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whom a failure concerns.
    pub strategy: Strategy,
    /// When to give up: the window is that of all children together, the backoff that of each.
    pub limits: RestartLimits,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The supervisor begins: for the first time, or again after it had stopped.
    Begin,
    /// A child that was told to start runs.
    Started(ChildName),
    /// A child that was told to start has ended: by itself, as told, or before it ran. Comes exactly once for each
    /// [`Effect::Start`].
    Ended(ChildName, Exit),
    /// A child is added behind the others, to be started when they have been. Not one whose name is taken
    /// ([`Machine::child`] tells): that changes nothing.
    Add(ChildSpec),
    /// A child is to be stopped and forgotten.
    Remove(ChildName),
    /// The supervisor is to stop.
    Stop,
    /// [`Machine::deadline`] has come.
    Timer,
}

/// What is to be done. The shell does it in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a child. It answers by `Started` or `Ended`.
    Start(ChildName),
    /// Tell a child to stop in order. It answers by `Ended`; if it does not within this time, `Kill` follows.
    Stop(ChildName, Duration),
    /// End a child now. It answers by `Ended`.
    Kill(ChildName),
    /// The child is no longer one of this supervisor's; it does not run.
    Forget(ChildName),
    /// All children have been started: so has this supervisor.
    Ready,
    /// All children have ended as this supervisor was told to stop. The last effect until it begins again.
    Stopped,
    /// All children have ended because of a failure that is not this supervisor's to repair. The last effect until
    /// it begins again.
    Escalate(Failure),
}

/// Why a supervisor gave up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A child failed before it was ever up, while the supervisor itself was starting.
    #[error("{child} {exit}")]
    StartFailed {
        /// Which one.
        child: ChildName,
        /// How it ended.
        exit: Exit,
    },
    /// The children failed more often than the limits allow.
    #[error("{child} failed once more after {restarts} restarts within {window:?}: {exit}")]
    TooManyRestarts {
        /// Whose failure was one too many.
        child: ChildName,
        /// Restarts allowed.
        restarts: u32,
        /// Within this time.
        window: Duration,
        /// How it ended.
        exit: Exit,
    },
}

impl Failure {
    /// How the supervisor itself ended: what its own supervisor decides by.
    pub fn exit(&self) -> Exit {
        match self {
            Self::StartFailed { .. } => Exit::StartFailed { problem: self.to_string() },
            Self::TooManyRestarts { child, restarts, window, exit } => Exit::GaveUp {
                child: child.to_string(),
                restarts: *restarts,
                window: *window,
                why: exit.to_string(),
            },
        }
    }
}

/// Where the supervisor itself stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Before its beginning, or after its end.
    Idle,
    /// Not all children have been started yet.
    Beginning,
    /// They have.
    Running,
    /// It was told to stop.
    Stopping,
    /// It has given up; its children are being stopped.
    GivingUp(Failure),
}

/// The decisions of one supervisor.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Settings,
    roster: Roster,
    window: Window,
    phase: Phase,
}

impl Machine {
    /// A supervisor with these children in order of start. Of two with one name, the first counts.
    pub fn new(settings: Settings, specs: impl IntoIterator<Item = ChildSpec>) -> Self {
        let mut roster = Roster::default();
        for spec in specs {
            if roster.position(&spec.name).is_none() {
                roster.children.push(Child::new(spec));
            }
        }
        Self { settings, roster, window: Window::default(), phase: Phase::Idle }
    }

    /// Takes an event and adds what is to be done about it to `effects`. `random` decides how long a restart waits.
    pub fn step(&mut self, now: Timestamp, event: Event, random: &mut Random, effects: &mut Vec<Effect>) {
        match event {
            Event::Begin => self.begin(now),
            Event::Started(name) => self.started(&name),
            Event::Ended(name, exit) => self.ended(now, &name, exit, random, effects),
            Event::Add(spec) => self.add(now, spec),
            Event::Remove(name) => self.remove(&name, effects),
            Event::Stop => self.stop(effects),
            Event::Timer => {}
        }
        self.advance(now, effects);
    }

    /// When [`Event::Timer`] is due, unless something else happens before.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.roster.deadline(self.settings.strategy.is_independent())
    }

    /// How it treats its children.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its children in order of start.
    pub fn children(&self) -> &[Child] {
        &self.roster.children
    }

    /// A child by its name.
    pub fn child(&self, name: &str) -> Option<&Child> {
        self.roster.position(name).map(|position| &self.roster.children[position])
    }

    /// One word for where the supervisor itself stands.
    pub fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Idle => "down",
            Phase::Beginning => "starting",
            Phase::Running => "up",
            Phase::Stopping => "stopping",
            Phase::GivingUp(_) => "giving-up",
        }
    }

    fn begin(&mut self, now: Timestamp) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Beginning;
            self.window = Window::default();
            self.roster.children.iter_mut().for_each(|child| child.begin(now));
        }
    }

    fn started(&mut self, name: &str) {
        let Some(position) = self.roster.position(name) else { return };
        let child = &mut self.roster.children[position];
        match child.state {
            ChildState::Starting { .. } => {
                child.state = ChildState::Up;
                child.begun = true;
            }
            // It was told to stop, or killed, before it had started: its end follows.
            ChildState::Down
            | ChildState::Due { .. }
            | ChildState::Up
            | ChildState::Stopping { .. }
            | ChildState::Killed { .. } => {}
        }
    }

    fn ended(
        &mut self,
        now: Timestamp,
        name: &str,
        exit: Exit,
        random: &mut Random,
        effects: &mut Vec<Effect>,
    ) {
        let Some(position) = self.roster.position(name) else { return };
        let child = &mut self.roster.children[position];
        if !child.state.is_alive() {
            return;
        }
        let exit = match child.state {
            ChildState::Killed { while_starting: true } => Exit::StartFailed {
                problem: format!("it did not start within {:?}", child.spec.start_within),
            },
            ChildState::Killed { while_starting: false }
            | ChildState::Down
            | ChildState::Due { .. }
            | ChildState::Starting { .. }
            | ChildState::Up
            | ChildState::Stopping { .. } => exit,
        };
        child.last_exit = Some((now, exit.clone()));
        child.state = ChildState::Down;
        match child.goal {
            Goal::Run => self.ended_by_itself(now, position, exit, random, effects),
            Goal::RunAgain(at) => child.begin_again(at),
            Goal::Rest => {}
            Goal::Leave => self.forget(position, effects),
        }
    }

    /// Nobody had told the child to end.
    fn ended_by_itself(
        &mut self,
        now: Timestamp,
        position: usize,
        exit: Exit,
        random: &mut Random,
        effects: &mut Vec<Effect>,
    ) {
        let child = &mut self.roster.children[position];
        let name = child.spec.name.clone();
        if !child.begun && !exit.is_normal() {
            // A fault that was there from the beginning is for whoever asked for the start, not for repetition.
            match self.phase {
                Phase::Beginning => self.give_up(Failure::StartFailed { child: name, exit }),
                Phase::Running | Phase::Idle | Phase::Stopping | Phase::GivingUp(_) => {
                    self.forget(position, effects);
                }
            }
            return;
        }
        child.begun = true;
        if child.spec.restart.follows(&exit) {
            self.restart(now, position, exit, random);
        } else if child.spec.restart == Restart::Temporary {
            self.forget(position, effects);
        }
    }

    fn restart(&mut self, now: Timestamp, position: usize, exit: Exit, random: &mut Random) {
        let limits = self.settings.limits;
        let child = &mut self.roster.children[position];
        if !self.window.admit(&limits, now) {
            let failure = Failure::TooManyRestarts {
                child: child.spec.name.clone(),
                restarts: limits.restarts_max,
                window: limits.window,
                exit,
            };
            return self.give_up(failure);
        }
        let at = now + child.streak.wait(&limits, now, random);
        let concerned = self.settings.strategy.concerned(position, self.roster.children.len());
        for child in &mut self.roster.children[concerned] {
            if child.spec.restart == Restart::Temporary && child.state.is_alive() {
                child.goal = Goal::Leave;
            } else {
                child.begin_again(at);
            }
        }
    }

    fn add(&mut self, now: Timestamp, spec: ChildSpec) {
        if self.roster.position(&spec.name).is_some() {
            return;
        }
        let mut child = Child::new(spec);
        match self.phase {
            Phase::Beginning | Phase::Running => child.begin(now),
            // It begins with the others when they begin.
            Phase::Idle | Phase::Stopping | Phase::GivingUp(_) => {}
        }
        self.roster.children.push(child);
    }

    fn remove(&mut self, name: &str, effects: &mut Vec<Effect>) {
        let Some(position) = self.roster.position(name) else { return };
        let child = &mut self.roster.children[position];
        if child.state.is_alive() {
            child.goal = Goal::Leave;
        } else {
            self.forget(position, effects);
        }
    }

    fn forget(&mut self, position: usize, effects: &mut Vec<Effect>) {
        let child = self.roster.children.remove(position);
        effects.push(Effect::Forget(child.spec.name));
    }

    fn stop(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Idle => effects.push(Effect::Stopped),
            Phase::Beginning | Phase::Running => {
                self.phase = Phase::Stopping;
                self.roster.children.iter_mut().for_each(Child::rest);
            }
            // One that has given up says so, even if it is told to stop meanwhile.
            Phase::Stopping | Phase::GivingUp(_) => {}
        }
    }

    fn give_up(&mut self, failure: Failure) {
        self.phase = Phase::GivingUp(failure);
        self.roster.children.iter_mut().for_each(Child::rest);
    }

    /// Brings what is the case closer to what is wanted.
    fn advance(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(position) = self.roster.next_to_stop() {
            let child = &mut self.roster.children[position];
            child.state = ChildState::Stopping { until: now + child.spec.stop_within };
            effects.push(Effect::Stop(child.spec.name.clone(), child.spec.stop_within));
        }
        self.kill_overdue(now, effects);
        while let Some(position) = self.roster.next_to_start(self.settings.strategy.is_independent(), now) {
            let child = &mut self.roster.children[position];
            child.state = ChildState::Starting { until: now + child.spec.start_within };
            child.restarts += u32::from(child.begun);
            effects.push(Effect::Start(child.spec.name.clone()));
        }
        self.conclude(effects);
    }

    fn kill_overdue(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for child in &mut self.roster.children {
            let while_starting = match child.state {
                ChildState::Starting { until } if until <= now => true,
                ChildState::Stopping { until } if until <= now => false,
                ChildState::Starting { .. }
                | ChildState::Stopping { .. }
                | ChildState::Down
                | ChildState::Due { .. }
                | ChildState::Up
                | ChildState::Killed { .. } => continue,
            };
            child.state = ChildState::Killed { while_starting };
            effects.push(Effect::Kill(child.spec.name.clone()));
        }
    }

    /// Tells when the supervisor itself has begun or ended.
    fn conclude(&mut self, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Beginning if self.roster.children.iter().all(|child| child.begun) => {
                self.phase = Phase::Running;
                effects.push(Effect::Ready);
            }
            Phase::Stopping if !self.roster.any_alive() => {
                self.phase = Phase::Idle;
                effects.push(Effect::Stopped);
            }
            Phase::GivingUp(failure) if !self.roster.any_alive() => {
                effects.push(Effect::Escalate(failure.clone()));
                self.phase = Phase::Idle;
            }
            Phase::Idle | Phase::Beginning | Phase::Running | Phase::Stopping | Phase::GivingUp(_) => {}
        }
    }
}
