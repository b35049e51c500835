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
        let mut states = self.states.lock();
        if states.get(key).is_some_and(|known| known.epoch > epoch) {
            return;
        }
        if let Some(old) = states.remove(key) {
            self.bytes.fetch_sub(old.state.len() + key.len(), Relaxed);
        }
        let len = state.len() + key.len();
        if self.bytes.load(Relaxed) + len > KEPT_BYTES_MAX {
            tracing::warn!(%service, %key, bytes = len, "no room to keep a passivated entity's state: lost");
            return;
        }
        self.bytes.fetch_add(len, Relaxed);
        states.insert(key.clone(), KeptState { state, epoch, lent: false });
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

    /// What was left before others had it is worth nothing: since which epoch they have a slot is told by this.
    pub(super) fn forget(&self, since: &dyn Fn(SlotId) -> Option<u64>) {
        if self.bytes.load(Relaxed) == 0 {
            return;
        }
        self.states.lock().retain(|key, kept| {
            let is_kept = since(slot_of(key)).is_none_or(|since| kept.epoch >= since);
            if !is_kept {
                self.bytes.fetch_sub(kept.state.len() + key.len(), Relaxed);
            }
            is_kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(kept: &Kept, state: &'static [u8], epoch: u64) {
        kept.put(&"a".into(), Bytes::from_static(state), epoch, &"shop".parse().expect("a name"));
    }

    fn held(kept: &Kept) -> Vec<Bytes> {
        kept.of(&[slot_of("a")].into()).into_iter().map(|(_, state)| state).collect()
    }

    #[test]
    fn what_comes_late_does_not_take_the_place_of_what_is_newer() {
        let kept = Kept::default();
        put(&kept, b"of 7", 7);
        put(&kept, b"of 5", 5);
        assert_eq!(held(&kept), [Bytes::from_static(b"of 7")]);
        put(&kept, b"later of 7", 7);
        assert_eq!(held(&kept), [Bytes::from_static(b"later of 7")]);
        assert_eq!(kept.bytes.load(Relaxed), "a".len() + "later of 7".len());
    }

    #[test]
    fn what_was_left_before_others_had_it_is_forgotten_and_what_comes_from_them_is_not() {
        let kept = Kept::default();
        put(&kept, b"of 5", 5);
        kept.forget(&|_| None);
        kept.forget(&|slot| (slot != slot_of("a")).then_some(9));
        assert_eq!(held(&kept).len(), 1, "the slot is this node's");
        kept.forget(&|_| Some(5));
        assert_eq!(held(&kept).len(), 1, "it comes from the one that has it");
        kept.forget(&|_| Some(6));
        assert_eq!((held(&kept).len(), kept.bytes.load(Relaxed)), (0, 0));
    }

    #[test]
    fn what_finds_no_room_leaves_nothing_older_behind() {
        let kept = Kept::default();
        put(&kept, b"old", 5);
        let much = Bytes::from(vec![0; KEPT_BYTES_MAX]);
        kept.put(&"a".into(), much, 5, &"shop".parse().expect("a name"));
        assert_eq!((held(&kept).len(), kept.bytes.load(Relaxed)), (0, 0));
    }
}
