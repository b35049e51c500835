//! What an activation has besides its state: tasks, timers, chance, and those who want to know of its end. It dies
//! with the activation.

use super::port::Port;
use super::watchers::{Watcher, Watchers, Watching};
use crate::topics::Membership;
use odeon_core::supervision::Exit;
use odeon_core::{Random, Refusal, ServiceName};
use parking_lot::{MappedMutexGuard, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What few activations have, under one lock.
#[derive(Default)]
pub(crate) struct Rare {
    /// Emptied when the activation ends.
    pub(crate) belongings: Option<Box<Belongings>>,
    /// What is about to become of the cell.
    pub(crate) fate: Option<Box<Fate>>,
}

/// What is about to become of a cell.
pub(crate) enum Fate {
    /// Its activation is to end so.
    Fails(Exit),
    /// Nothing is let in, for this reason, until its supervisor's verdict.
    Rests(Refusal),
}

/// What an activation has besides its state; made when first used.
pub(crate) struct Belongings {
    /// Child tasks and timers; dropping the set aborts them.
    pub(crate) tasks: JoinSet<()>,
    /// The activation's own stream of chance.
    pub(crate) random: Random,
    /// The topics of which it is told.
    pub(crate) memberships: BTreeMap<ServiceName, Membership>,
    /// Its overseer tells them when it ends, which is after all this was dropped.
    watchers: Option<Arc<Watchers>>,
}

impl Belongings {
    /// None yet, with a seed for chance.
    fn new(seed: u64) -> Self {
        Self {
            tasks: JoinSet::new(),
            random: Random::seeded(seed),
            memberships: BTreeMap::new(),
            watchers: None,
        }
    }

    /// Those of a cell, made when first used.
    pub(crate) fn of(port: &dyn Port) -> MappedMutexGuard<'_, Self> {
        MutexGuard::map(port.rare().lock(), |rare| {
            &mut **rare.belongings.get_or_insert_with(|| {
                let seed = port.kind().node.upgrade().map_or(port.id().0, |node| node.next_seed());
                Box::new(Self::new(seed))
            })
        })
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

/// Calls the watcher when the cell's current activation ends, unless what is returned is dropped before; at once, if
/// it has none. The overseer sees one watch for each activation, however many come and go.
pub(crate) fn watch(port: &dyn Port, watcher: Watcher) -> Watching {
    let (watchers, new) = {
        let mut belongings = Belongings::of(port);
        match belongings.watchers.as_ref().filter(|watchers| !watchers.are_told()) {
            Some(watchers) => (watchers.clone(), false),
            None => (belongings.watchers.insert(Arc::default()).clone(), true),
        }
    };
    let watching = watchers.add(watcher);
    if new {
        port.kind().overseer.watch(port, Box::new(move |exit| watchers.tell(exit)));
    }
    watching
}

/// How many watch the cell's current activation.
#[cfg(test)]
pub(crate) fn watchers(port: &dyn Port) -> usize {
    let rare = port.rare().lock();
    rare.belongings.as_ref().and_then(|b| b.watchers.as_ref()).map_or(0, |watchers| watchers.count())
}
