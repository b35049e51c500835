//! The cells of one service: who lives, who watches whom, who failed. Births and normal ends touch nothing else.

use super::living::Living;
use super::node::LastExit;
use crate::cell::port::Port;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Timestamp};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Weak};

/// Cells of different executors do not wait for each other's lock.
const SHARDS: usize = 8;
/// How many failures of a service are remembered for people.
const FAILURES_KEPT: usize = 32;

/// Called once, with how the activation ended.
pub(crate) type Watch = Box<dyn FnOnce(&Exit) + Send>;

/// The cells of one service.
#[derive(Default)]
pub(crate) struct Cells {
    shards: [Mutex<Shard>; SHARDS],
    alive: AtomicUsize,
    /// Watches waiting: a cell that nobody watches need not look.
    watches: AtomicUsize,
    failures: Mutex<VecDeque<PastFailure>>,
}

#[derive(Default)]
struct Shard {
    alive: Living,
    watches: BTreeMap<ActivationId, Vec<Watch>>,
    /// Of those that have failed and are still there.
    pasts: BTreeMap<ActivationId, Past>,
}

/// What is remembered of a cell that failed.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// How often it began again.
    pub(crate) restarts: u64,
    /// Its last failure.
    pub(crate) last: (Timestamp, Exit),
    /// It has no activation: it waits for the verdict, or until it begins again.
    down: bool,
}

struct PastFailure {
    id: ActivationId,
    of: String,
    at: Timestamp,
    exit: Exit,
}

impl Cells {
    fn shard(&self, cell: &dyn Port) -> &Mutex<Shard> {
        &self.shards[cell.executor() % SHARDS]
    }

    /// A cell exists.
    pub(crate) fn born(&self, cell: &Arc<dyn Port>) {
        self.alive.fetch_add(1, SeqCst);
        let (id, weak) = (cell.id(), Arc::downgrade(cell));
        self.shard(&**cell).lock().alive.insert(id, weak);
    }

    /// An activation ended in order.
    pub(crate) fn ended(&self, cell: &dyn Port, exit: &Exit) {
        if self.watches.load(Relaxed) > 0 {
            let watches = self.shard(cell).lock().watches.remove(&cell.id());
            self.fire(watches, exit);
        }
    }

    /// An activation failed. Returns the cell, unless it is gone.
    pub(crate) fn failed(&self, cell: &dyn Port, exit: &Exit, now: Timestamp) -> Option<Weak<dyn Port>> {
        let id = cell.id();
        let (port, watches) = {
            let mut shard = self.shard(cell).lock();
            let last = (now, exit.clone());
            let restarts = shard.pasts.get(&id).map_or(0, |past| past.restarts);
            shard.pasts.insert(id, Past { restarts, last, down: true });
            (shard.alive.get(id).cloned(), shard.watches.remove(&id))
        };
        {
            let mut failures = self.failures.lock();
            failures.truncate(FAILURES_KEPT - 1);
            failures.push_front(PastFailure { id, of: name(cell), at: now, exit: exit.clone() });
        }
        self.fire(watches, exit);
        port
    }

    /// A cell that failed is about to begin again.
    pub(crate) fn begins_again(&self, cell: &dyn Port) {
        if let Some(past) = self.shard(cell).lock().pasts.get_mut(&cell.id()) {
            past.restarts += 1;
            past.down = false;
        }
    }

    /// A cell is gone. True if it was the last.
    pub(crate) fn gone(&self, cell: &dyn Port, exit: &Exit) -> bool {
        let (was_alive, watches) = {
            let mut shard = self.shard(cell).lock();
            shard.pasts.remove(&cell.id());
            (shard.alive.remove(cell.id()), shard.watches.remove(&cell.id()))
        };
        self.fire(watches, exit);
        was_alive && self.alive.fetch_sub(1, SeqCst) == 1
    }

    /// Calls back when the cell's current activation ends; at once if it has none.
    pub(crate) fn watch(&self, cell: &dyn Port, watch: Watch) {
        let id = cell.id();
        let exit = {
            let mut shard = self.shard(cell).lock();
            match shard.pasts.get(&id).filter(|past| past.down) {
                Some(past) => past.last.1.clone(),
                None if shard.alive.get(id).is_some() => {
                    self.watches.fetch_add(1, Relaxed);
                    shard.watches.entry(id).or_default().push(watch);
                    return;
                }
                None => self.exit_of_gone(id),
            }
        };
        watch(&exit);
    }

    /// How many watches wait.
    #[cfg(test)]
    pub(super) fn watches(&self) -> usize {
        self.watches.load(Relaxed)
    }

    /// How a cell ended that is gone. Ends in order are not remembered.
    fn exit_of_gone(&self, id: ActivationId) -> Exit {
        let failures = self.failures.lock();
        let failure = failures.iter().find(|failure| failure.id == id);
        failure.map_or(Exit::Stopped { reason: StopReason::Own }, |failure| failure.exit.clone())
    }

    /// Outside of any lock: a watch may do whatever it likes.
    fn fire(&self, watches: Option<Vec<Watch>>, exit: &Exit) {
        for watch in watches.into_iter().flatten() {
            self.watches.fetch_sub(1, Relaxed);
            watch(exit);
        }
    }

    /// Whether it is not gone.
    pub(crate) fn lives(&self, cell: &dyn Port) -> bool {
        self.shard(cell).lock().alive.get(cell.id()).is_some()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.alive.load(SeqCst)
    }

    /// One that is not gone. Looks at each shard.
    pub(super) fn find(&self, id: ActivationId) -> Option<Arc<dyn Port>> {
        self.shards.iter().find_map(|shard| shard.lock().alive.get(id)?.upgrade())
    }

    /// All of them in order of birth, because ids are counted.
    pub(crate) fn all(&self) -> Vec<Arc<dyn Port>> {
        let mut all: Vec<(ActivationId, Arc<dyn Port>)> = Vec::with_capacity(self.count());
        for shard in &self.shards {
            let shard = shard.lock();
            all.extend(shard.alive.iter().filter_map(|(id, cell)| Some((id, cell.upgrade()?))));
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, cell)| cell).collect()
    }

    /// What is remembered of a cell, if it failed.
    pub(crate) fn past(&self, cell: &dyn Port) -> Option<Past> {
        self.shard(cell).lock().pasts.get(&cell.id()).cloned()
    }

    /// The most recent failures, the newest first.
    pub(crate) fn failures(&self, now: Timestamp) -> Vec<LastExit> {
        let failures = self.failures.lock();
        failures.iter().map(|past| LastExit::seen(past.at, &past.exit, Some(past.of.clone()), now)).collect()
    }
}

/// What people call a cell.
pub(crate) fn name(cell: &dyn Port) -> String {
    cell.key().map_or_else(|| cell.id().to_string(), ToString::to_string)
}
