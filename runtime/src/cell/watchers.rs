//! Who wants to know how an activation ends. They come and go while it lives; nothing is kept of those who left.

use odeon_core::supervision::Exit;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

/// Called once, with how the activation ended.
pub(crate) type Watcher = Box<dyn FnOnce(&Exit) + Send>;

/// Those who want to know how one activation ends.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// In the order in which they came.
    watchers: BTreeMap<u64, Watcher>,
    /// How many have come.
    count: u64,
    /// How it ended.
    exit: Option<Exit>,
}

impl Watchers {
    /// Calls the watcher when the activation ends, unless what is returned is dropped before; at once, if it has
    /// ended.
    pub(crate) fn add(self: &Arc<Self>, watcher: Watcher) -> Watching {
        let exit = {
            let mut waiting = self.0.lock();
            let Some(exit) = &waiting.exit else {
                waiting.count += 1;
                let number = waiting.count;
                waiting.watchers.insert(number, watcher);
                return Watching { watchers: Arc::downgrade(self), number };
            };
            exit.clone()
        };
        watcher(&exit);
        Watching { watchers: Weak::new(), number: 0 }
    }

    /// The activation has ended. Outside of any lock: a watcher may do whatever it likes.
    pub(crate) fn tell(&self, exit: &Exit) {
        let watchers = {
            let mut waiting = self.0.lock();
            waiting.exit = Some(exit.clone());
            std::mem::take(&mut waiting.watchers)
        };
        watchers.into_values().for_each(|watcher| watcher(exit));
    }

    /// Whether those who were here have been told: whoever comes now asks about another activation.
    pub(crate) fn are_told(&self) -> bool {
        self.0.lock().exit.is_some()
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lock().watchers.len()
    }
}

/// A watch. Dropping it takes it back.
#[must_use = "a watch is taken back when this is dropped"]
pub(crate) struct Watching {
    watchers: Weak<Watchers>,
    number: u64,
}

impl Watching {
    /// Whether the activation has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.watchers.upgrade().is_none_or(|watchers| watchers.are_told())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(watchers) = self.watchers.upgrade() {
            // what it holds is dropped outside of the lock
            let left = watchers.0.lock().watchers.remove(&self.number);
            drop(left);
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watching({})", self.number)
    }
}
