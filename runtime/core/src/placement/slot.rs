//! Slots: into how many parts the keys of a service fall, and which key into which.

use crate::membership::OfferKind;
use crate::rendezvous::Hash;
use serde::{Deserialize, Serialize};
use std::fmt;

/// So many slots has a service with keys. It is part of the protocol between nodes, so it never changes.
pub const SLOTS: usize = 1_024;

/// One of the slots of a service, below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct SlotId(u16);

impl SlotId {
    /// The slot of a singleton.
    pub const ONLY: Self = Self(0);

    /// The slot of this number. None: there is none.
    pub fn new(index: u16) -> Option<Self> {
        (usize::from(index) < SLOTS).then_some(Self(index))
    }

    /// Its number, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All of them, in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map_while(Self::new)
    }

    /// The one behind it.
    pub(super) fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl TryFrom<u16> for SlotId {
    type Error = String;

    fn try_from(index: u16) -> Result<Self, String> {
        Self::new(index).ok_or_else(|| format!("slot {index}: a service has {SLOTS}, counted from 0"))
    }
}

impl From<SlotId> for u16 {
    fn from(slot: SlotId) -> Self {
        slot.0
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The slot into which a key falls, the same for all services. It is part of the protocol between nodes, so it never
/// changes.
pub fn slot_of(key: &str) -> SlotId {
    // ten bits of the hash: all of them are equally good
    let slot = Hash::EMPTY.with(key).finish() % SLOTS as u64;
    SlotId(u16::try_from(slot).expect("it is below SLOTS"))
}

impl OfferKind {
    /// How many slots a service of this kind has.
    pub fn slots(self) -> usize {
        match self {
            Self::Stateless => 0,
            Self::Entity => SLOTS,
            Self::Singleton => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_is_what_other_versions_compute() {
        // computed apart from this code, from the definitions of FNV-1a and SplitMix64
        let known = [("customer-1", 136), ("customer-2", 941), ("", 205), ("a", 437), ("Zürich", 63)];
        for (key, slot) in known {
            assert_eq!(slot_of(key).index(), slot, "{key}");
        }
    }

    #[test]
    fn keys_are_spread_over_all_slots() {
        let mut counts = vec![0; SLOTS];
        (0..SLOTS * 100).for_each(|key| counts[slot_of(&format!("customer-{key}")).index()] += 1);
        // a hundred are expected, with a deviation of ten
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_slot_that_no_service_has_is_none() {
        assert_eq!(SlotId::all().count(), SLOTS);
        assert_eq!(SlotId::new(1_024), None);
        assert_eq!(serde_json::from_str::<SlotId>("1023").ok(), SlotId::new(1_023));
        let error = serde_json::from_str::<SlotId>("1024").expect_err("there is none");
        assert!(error.to_string().contains("slot 1024: a service has 1024, counted from 0"), "{error}");
    }
}
