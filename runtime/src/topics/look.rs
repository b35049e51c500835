//! One topic of a node, as all who look at it share it.

use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// One topic of a node.
#[derive(Default)]
pub(super) struct Look {
    changes: AtomicU64,
    notify: Notify,
    /// References to the members, for each contract under which anybody has published. One, as a rule.
    kept: Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
}

impl Look {
    /// The group has other members than before.
    pub(super) fn note(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.notify.notify_waiters();
    }

    /// The number of changes by now.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Waits until there was another change than these.
    pub(super) async fn changed(&self, seen: u64) -> u64 {
        loop {
            let notified = self.notify.notified();
            let changes = self.changes();
            if changes != seen {
                return changes;
            }
            notified.await;
        }
    }

    /// What is kept of this type: made, if there is none.
    pub(super) fn kept<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut kept = self.kept.lock();
        let found = kept.iter().find(|(of, _)| *of == TypeId::of::<T>());
        if let Some(found) = found.and_then(|(_, found)| found.clone().downcast::<T>().ok()) {
            return found;
        }
        let made = Arc::<T>::default();
        kept.push((TypeId::of::<T>(), made.clone()));
        made
    }
}
