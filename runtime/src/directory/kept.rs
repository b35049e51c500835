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
    /// A start has it: forgotten once that succeeds, there for the next start if it fails.
    pub(super) lent: bool,
}

impl Kept {
    pub(super) fn put(&self, key: &Arc<str>, state: Bytes, service: &ServiceName) {
        let len = state.len() + key.len();
        if self.bytes.load(Relaxed) + len > KEPT_BYTES_MAX {
            tracing::warn!(%service, %key, bytes = len, "no room to keep a passivated entity's state: lost");
            return;
        }
        self.bytes.fetch_add(len, Relaxed);
        let kept = KeptState { state, lent: false };
        if let Some(old) = self.states.lock().insert(key.clone(), kept) {
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

    /// Others have it.
    pub(super) fn forget(&self, slots: &BTreeSet<SlotId>) {
        for (key, _) in self.of(slots) {
            self.settle(&key, |_| false);
        }
    }
}
