//! The children of a supervisor in order of start: where each stands, and whose turn it is.

use super::restart::Streak;
use super::{ChildSpec, Exit};
use crate::time::Timestamp;

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// It does not run, and is not going to by itself.
    Down,
    /// It will be started when its turn comes, and not before `at`.
    Due {
        /// When its backoff is over.
        at: Timestamp,
    },
    /// It was told to start.
    Starting {
        /// When it will be killed because it took too long.
        until: Timestamp,
    },
    /// It runs.
    Up,
    /// It was told to stop.
    Stopping {
        /// When it will be killed because it took too long.
        until: Timestamp,
    },
    /// It was killed, and has not ended yet.
    Killed {
        /// Because its start took too long.
        while_starting: bool,
    },
}

impl ChildState {
    /// Whether its end is still to come.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Down | Self::Due { .. } => false,
            Self::Starting { .. } | Self::Up | Self::Stopping { .. } | Self::Killed { .. } => true,
        }
    }

    /// One word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Due { .. } => "waiting",
            Self::Starting { .. } => "starting",
            Self::Up => "up",
            Self::Stopping { .. } => "stopping",
            Self::Killed { .. } => "killed",
        }
    }
}

/// What its supervisor wants of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// To run; its end by itself is judged.
    Run,
    /// To end, and to begin again once all others with this goal have ended, but not before this time.
    RunAgain(Timestamp),
    /// To end, or to stay down.
    Rest,
    /// To end and be forgotten.
    Leave,
}

/// A child as its supervisor sees it.
#[derive(Clone, Debug)]
pub struct Child {
    pub(super) spec: ChildSpec,
    pub(super) state: ChildState,
    pub(super) goal: Goal,
    /// Its first start has succeeded, or it ended in order meanwhile: from now on its failures are judged.
    pub(super) begun: bool,
    pub(super) streak: Streak,
    pub(super) restarts: u32,
    pub(super) last_exit: Option<(Timestamp, Exit)>,
}

impl Child {
    pub(super) fn new(spec: ChildSpec) -> Self {
        Self {
            spec,
            state: ChildState::Down,
            goal: Goal::Rest,
            begun: false,
            streak: Streak::default(),
            restarts: 0,
            last_exit: None,
        }
    }

    /// Its specification.
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// Where it stands.
    pub fn state(&self) -> ChildState {
        self.state
    }

    /// How often it was started again since its supervisor began.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How it ended the last time, and when.
    pub fn last_exit(&self) -> Option<&(Timestamp, Exit)> {
        self.last_exit.as_ref()
    }

    /// It is to be started for the first time.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.begun = false;
        self.streak = Streak::default();
        self.restarts = 0;
        self.goal = Goal::Run;
        self.state = ChildState::Due { at: now };
    }

    /// It is to start again at `at`, after it has ended.
    pub(super) fn begin_again(&mut self, at: Timestamp) {
        self.goal = match (self.goal, self.state.is_alive()) {
            (Goal::Leave, _) => Goal::Leave,
            (Goal::Run | Goal::RunAgain(_) | Goal::Rest, true) => Goal::RunAgain(at),
            (Goal::Run | Goal::RunAgain(_) | Goal::Rest, false) => {
                self.state = ChildState::Due { at };
                Goal::Run
            }
        };
    }

    /// It is to end.
    pub(super) fn rest(&mut self) {
        if self.goal != Goal::Leave {
            self.goal = Goal::Rest;
        }
        if !self.state.is_alive() {
            self.state = ChildState::Down;
        }
    }
}

/// All children, in order of start.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    pub(super) children: Vec<Child>,
}

impl Roster {
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.children.iter().position(|child| &*child.spec.name == name)
    }

    /// Whether any child has not ended.
    pub(super) fn any_alive(&self) -> bool {
        self.children.iter().any(|child| child.state.is_alive())
    }

    /// The one that is to be stopped now: the last of those that are to end, unless it has been told already.
    pub(super) fn next_to_stop(&self) -> Option<usize> {
        let last =
            self.children.iter().rposition(|child| child.state.is_alive() && child.goal != Goal::Run)?;
        match self.children[last].state {
            ChildState::Starting { .. } | ChildState::Up => Some(last),
            ChildState::Down
            | ChildState::Due { .. }
            | ChildState::Stopping { .. }
            | ChildState::Killed { .. } => None,
        }
    }

    /// The one whose turn to start has come. `independent`: see [`super::Strategy::is_independent`].
    pub(super) fn next_to_start(&self, independent: bool, now: Timestamp) -> Option<usize> {
        self.startable(independent).find(|(_, at)| *at <= now).map(|(position, _)| position)
    }

    /// When something is to be done although nothing happens: a start whose wait is over, or a kill.
    pub(super) fn deadline(&self, independent: bool) -> Option<Timestamp> {
        let starts = self.startable(independent).map(|(_, at)| at);
        let kills = self.children.iter().filter_map(|child| match child.state {
            ChildState::Starting { until } | ChildState::Stopping { until } => Some(until),
            ChildState::Down | ChildState::Due { .. } | ChildState::Up | ChildState::Killed { .. } => None,
        });
        // The end of time stands for "no limit".
        starts.chain(kills).filter(|at| *at != Timestamp(u64::MAX)).min()
    }

    /// Those that only wait for their time, with that time.
    fn startable(&self, independent: bool) -> impl Iterator<Item = (usize, Timestamp)> {
        // Those that depend on each other begin again only after all that are to end have ended.
        let blocked = !independent
            && self.children.iter().any(|child| child.state.is_alive() && child.goal != Goal::Run);
        let mut earlier_in_the_way = false;
        self.children.iter().enumerate().filter_map(move |(position, child)| {
            let at = match child.state {
                ChildState::Due { at } => Some(at),
                ChildState::Down
                | ChildState::Starting { .. }
                | ChildState::Up
                | ChildState::Stopping { .. }
                | ChildState::Killed { .. } => None,
            };
            // An independent child that has begun once waits for nobody; all others wait for those before them.
            let waits = blocked || (earlier_in_the_way && !(independent && child.begun));
            earlier_in_the_way |= child.is_in_the_way(independent);
            at.filter(|_| !waits).map(|at| (position, at))
        })
    }
}

impl Child {
    /// Whether those after it have to wait until it is up.
    fn is_in_the_way(&self, independent: bool) -> bool {
        match self.state {
            ChildState::Down | ChildState::Up | ChildState::Stopping { .. } => false,
            ChildState::Due { .. } | ChildState::Starting { .. } | ChildState::Killed { .. } => {
                !(independent && self.begun)
            }
        }
    }
}
