//! What passivated entities left, until they are activated again.

use bytes::Bytes;
use odeon_core::ServiceName;
use odeon_core::placement::{SlotId, slot_of};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Most bytes of passivated entities kept in memory for each service.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// What passivated entities left: volatile, bounded.
#[derive(Default)]
pub(super) struct Kept {
    states: Mutex<BTreeMap<Arc<str>, KeptState>>,
    bytes: AtomicUsize,
}

pub(super) struct KeptState {
    state: Bytes,
    /// That of its slot when it was left: what comes of an earlier one is older.
    epoch: u64,
    /// A start has it: forgotten once that succeeds, there for the next start if it fails.
    pub(super) lent: bool,
}

impl Kept {
    /// Keeps what was left in an epoch of the entity's slot.
    pub(super) fn put(&self, key: &Arc<str>, state: Bytes, epoch: u64, service: &ServiceName) {
        let len = state.len() + key.len();
        if self.bytes.load(Relaxed) + len > KEPT_BYTES_MAX {
            tracing::warn!(%service, %key, bytes = len, "no room to keep a passivated entity's state: lost");
            return;
        }
        let mut states = self.states.lock();
        if states.get(key).is_some_and(|known| known.epoch > epoch) {
            return;
        }
        self.bytes.fetch_add(len, Relaxed);
        let kept = KeptState { state, epoch, lent: false };
        if let Some(old) = states.insert(key.clone(), kept) {
            self.bytes.fetch_sub(old.state.len() + key.len(), Relaxed);
        }
    }

    /// What is kept, once; a start that has not succeeded yet only borrows it.
    pub(super) fn lend(&self, key: &Arc<str>, starting: bool) -> Option<Bytes> {
        let state = {
            let mut states = self.states.lock();
            let kept = states.get_mut(key).filter(|kept| !kept.lent)?;
            kept.lent = true;
            kept.state.clone()
        };
        if !starting {
            self.settle(key, |_| false);
        }
        Some(state)
    }

    /// Keeps it further, or not.
    pub(super) fn settle(&self, key: &Arc<str>, keeps: impl FnOnce(&mut KeptState) -> bool) {
        if self.bytes.load(Relaxed) == 0 {
            return;
        }
        let mut states = self.states.lock();
        if let Some(kept) = states.get_mut(key)
            && !keeps(kept)
        {
            let len = kept.state.len() + key.len();
            states.remove(key);
            self.bytes.fetch_sub(len, Relaxed);
        }
    }

    /// What entities of these slots left.
    pub(super) fn of(&self, slots: &BTreeSet<SlotId>) -> Vec<(Arc<str>, Bytes)> {
        let states = self.states.lock();
        let of = states.iter().filter(|(key, _)| slots.contains(&slot_of(key)));
        of.map(|(key, kept)| (key.clone(), kept.state.clone())).collect()
    }

    /// Others have it since these epochs.
    pub(super) fn forget(&self, slots: &BTreeMap<SlotId, u64>) {
        let mut states = self.states.lock();
        states.retain(|key, kept| {
            let is_kept = slots.get(&slot_of(key)).is_none_or(|since| kept.epoch >= *since);
            if !is_kept {
                self.bytes.fetch_sub(kept.state.len() + key.len(), Relaxed);
            }
            is_kept
        });
    }
}
