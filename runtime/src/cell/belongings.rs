//! What an activation has besides its state: tasks, timers, chance. It dies with the activation.

use odeon_core::Random;
use odeon_core::supervision::Exit;
use tokio::task::JoinSet;

/// What few activations have, under one lock.
#[derive(Default)]
pub(crate) struct Rare {
    /// Emptied when the activation ends.
    pub(crate) belongings: Option<Box<Belongings>>,
    /// How the activation is to end.
    pub(crate) failure: Option<Box<Exit>>,
}

/// What an activation has besides its state; made when first used.
pub(crate) struct Belongings {
    /// Child tasks and timers; dropping the set aborts them.
    pub(crate) tasks: JoinSet<()>,
    /// The activation's own stream of chance.
    pub(crate) random: Random,
}

impl Belongings {
    /// None yet, with a seed for chance.
    pub(crate) fn new(seed: u64) -> Self {
        Self { tasks: JoinSet::new(), random: Random::seeded(seed) }
    }

    /// Whether a task or timer has not ended.
    pub(crate) fn are_busy(&mut self) -> bool {
        self.sweep();
        !self.tasks.is_empty()
    }

    /// Forgets tasks that have ended.
    pub(crate) fn sweep(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }
}
