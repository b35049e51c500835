//! Where the lanes go on after a connection was lost.
//!
//! What one node sends to another is a session: its frames are numbered on each lane, from 0. The session outlives its
//! connections: after a reconnect the sender goes on at what the receiver has, and nothing comes twice. When a sender
//! gives a session up it begins the next one, and the receiver forgets the old. Sessions of a later incarnation of the
//! sender are later than all of an earlier one.

use super::limits::LANES_MAX;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// One session of a sender towards one receiver. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The incarnation of the sender.
    pub incarnation: u64,
    /// Chosen by the sender, each greater than those before within its incarnation.
    pub number: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.number)
    }
}

/// A count of frames for each lane, [`LANES_MAX`] at the most. Lanes that are not listed have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LaneCounts(Vec<u64>);

impl LaneCounts {
    /// Counts for the first lanes, in their order; none if there are more than [`LANES_MAX`].
    pub fn new(counts: Vec<u64>) -> Option<Self> {
        (counts.len() <= LANES_MAX).then_some(Self(counts))
    }

    /// The count of a lane, from 0.
    pub fn of(&self, lane: usize) -> u64 {
        self.0.get(lane).copied().unwrap_or(0)
    }

    /// Whether no lane has any.
    pub fn is_nothing(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// The counts that are listed, in the order of the lanes.
    pub fn listed(&self) -> &[u64] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for LaneCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = LaneCounts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the counts of {LANES_MAX} lanes at the most")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<LaneCounts, A::Error> {
                let mut counts = Vec::new();
                while let Some(count) = sequence.next_element()? {
                    if counts.len() == LANES_MAX {
                        return Err(de::Error::invalid_length(LANES_MAX + 1, &self));
                    }
                    counts.push(count);
                }
                Ok(LaneCounts(counts))
            }
        }
        deserializer.deserialize_seq(Counts)
    }
}

/// What a receiver has of a sender's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The latest session of the sender that it knows.
    pub session: SessionId,
    /// How many frames of each lane have come in it.
    #[serde(default)]
    pub lanes: LaneCounts,
}

/// Where the lanes of a session begin on a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// All at frame 0. The receiver forgets what it had of earlier sessions; frames that a sender had sent before, in
    /// this session or an earlier one, and that were not acknowledged are lost, unless it has them all.
    Fresh,
    /// Each at the first frame that the receiver has not got.
    Continue {
        /// The number of that frame, by lane.
        from: LaneCounts,
    },
    /// Nowhere: the sender has begun a later session since. This connection is a belated one and is not used.
    Stale {
        /// The later session.
        later: SessionId,
    },
}

/// Where a sender's session goes on, given what its receiver knows. Both ends ask, with the same two values, which
/// have crossed in the handshake, and so come to the same.
pub fn resume(known: Option<&Received>, session: SessionId) -> Resume {
    match known {
        Some(known) if known.session == session => Resume::Continue { from: known.lanes.clone() },
        Some(known) if known.session > session => Resume::Stale { later: known.session },
        Some(_) | None => Resume::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SessionId = SessionId { incarnation: 3, number: 5 };

    #[test]
    fn a_session_goes_on_where_the_receiver_is() {
        let lanes = LaneCounts::new(vec![7, 0, 2]).expect("three lanes");
        let known = Received { session: NOW, lanes: lanes.clone() };
        assert_eq!(resume(Some(&known), NOW), Resume::Continue { from: lanes.clone() });
        assert_eq!([0, 1, 2, 3, 31].map(|lane| lanes.of(lane)), [7, 0, 2, 0, 0]);
        assert!(!lanes.is_nothing() && LaneCounts::default().is_nothing());
        assert!(LaneCounts::new(vec![0, 0]).expect("two lanes").is_nothing());
    }

    #[test]
    fn a_later_session_begins_anew_and_an_earlier_one_does_not_begin_at_all() {
        let known = Received { session: NOW, lanes: LaneCounts::default() };
        assert_eq!(resume(None, NOW), Resume::Fresh);
        for (incarnation, number) in [(3, 6), (4, 0), (4, 5)] {
            assert_eq!(resume(Some(&known), SessionId { incarnation, number }), Resume::Fresh);
        }
        for (incarnation, number) in [(3, 4), (2, 9), (2, 5)] {
            let early = SessionId { incarnation, number };
            assert_eq!(resume(Some(&known), early), Resume::Stale { later: NOW });
        }
    }

    #[test]
    fn no_more_lanes_are_counted_than_there_may_be() {
        assert!(LaneCounts::new(vec![1; LANES_MAX]).is_some());
        assert!(LaneCounts::new(vec![1; LANES_MAX + 1]).is_none());
    }
}
