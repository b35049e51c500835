//! Sets of slots, and how they are written: as `0-3,7,12`, which people can read and which is short.

use super::slot::SlotId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Some slots of a service.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slots(BTreeSet<SlotId>);

/// Why a text says nothing of slots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotsError {
    /// A part of it is neither a slot nor a range.
    #[error("{part:?} is neither a slot nor a range such as 4-7")]
    Part {
        /// Which.
        part: String,
    },
    /// A part does not come behind the one before, or a range ends before it begins.
    #[error("{part:?} is out of order: slots ascend, and each is named once")]
    Order {
        /// Which.
        part: String,
    },
}

impl Slots {
    /// One more.
    pub fn insert(&mut self, slot: SlotId) {
        self.0.insert(slot);
    }

    /// Whether one is among them.
    pub fn contains(&self, slot: SlotId) -> bool {
        self.0.contains(&slot)
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// They, in their order.
    pub fn iter(&self) -> impl Iterator<Item = SlotId> {
        self.0.iter().copied()
    }
}

impl FromIterator<SlotId> for Slots {
    fn from_iter<I: IntoIterator<Item = SlotId>>(slots: I) -> Self {
        Self(slots.into_iter().collect())
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut slots = self.0.iter().copied().peekable();
        let mut comma = "";
        while let Some(first) = slots.next() {
            let mut last = first;
            while let Some(next) = slots.next_if(|slot| last.next() == Some(*slot)) {
                last = next;
            }
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl FromStr for Slots {
    type Err = SlotsError;

    fn from_str(text: &str) -> Result<Self, SlotsError> {
        let mut slots = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let slot = |text: &str| text.parse().ok().and_then(SlotId::new);
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Some(first), Some(last)) = (slot(first), slot(last)) else {
                return Err(SlotsError::Part { part: part.into() });
            };
            if first > last || slots.last().is_some_and(|before| *before >= first) {
                return Err(SlotsError::Order { part: part.into() });
            }
            slots.extend(SlotId::all().skip(first.index()).take_while(|slot| *slot <= last));
        }
        Ok(Self(slots))
    }
}

impl TryFrom<String> for Slots {
    type Error = SlotsError;

    fn try_from(text: String) -> Result<Self, SlotsError> {
        text.parse()
    }
}

impl From<Slots> for String {
    fn from(slots: Slots) -> Self {
        slots.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_are_written_as_ranges() {
        let slots = |all: &[u16]| all.iter().copied().filter_map(SlotId::new).collect::<Slots>().to_string();
        assert_eq!(slots(&[7, 0, 2, 1, 12, 13]), "0-2,7,12-13");
        assert_eq!(slots(&[1_023]), "1023");
        assert_eq!(slots(&[]), "");
        assert_eq!(SlotId::all().collect::<Slots>().to_string(), "0-1023");
    }

    #[test]
    fn what_says_nothing_of_slots_is_refused_with_the_part_that_is_wrong() {
        for (text, wrong) in [
            ("1,,2", "\"\" is neither"),
            ("1,x", "\"x\" is neither"),
            ("0-1024", "\"0-1024\" is neither"),
            ("1-2-3", "\"1-2-3\" is neither"),
            ("3,1", "\"1\" is out of order"),
            ("1-4,4", "\"4\" is out of order"),
            ("4-1", "\"4-1\" is out of order"),
        ] {
            let error = text.parse::<Slots>().expect_err(text).to_string();
            assert!(error.starts_with(wrong), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn slots_survive_their_text_form(numbers in proptest::collection::btree_set(0..1_024_u16, 0..200)) {
            let slots: Slots = numbers.into_iter().filter_map(SlotId::new).collect();
            prop_assert_eq!(slots.to_string().parse::<Slots>(), Ok(slots));
        }
    }
}
