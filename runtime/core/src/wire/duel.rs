//! Which of two connections between the same two nodes stays. Both nodes decide it, each when it hears of the second,
//! in whatever order; they come to the same since they look at nothing but who dialed, and when by its own count.

use crate::id::NodeId;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// One attempt to connect: it names the connection that comes of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dial {
    /// Who dials.
    pub dialer: NodeId,
    /// Which of its dials to this peer it is, counted up within its incarnation.
    pub attempt: u64,
}

impl Dial {
    /// Whether it is this dial, or an earlier one of the same node, over all of its incarnations.
    fn is_no_later_than(&self, other: &Dial) -> bool {
        let order = |dial: &Dial| (dial.dialer.incarnation, dial.attempt);
        self.dialer.name == other.dialer.name && order(self) <= order(other)
    }
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.dialer, self.attempt)
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The connection to a peer that a node has, or has dialed and waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Who dialed it, and when.
    pub dial: Dial,
    /// The incarnation at its other end: the peer has told it, or the dial demands it; none while it is not known.
    pub peer: Option<u64>,
}

/// Which connection stays; the other one is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// The one that the node has, or waits for.
    Existing,
    /// The one that a `Hello` has just come on.
    New,
}

/// Which of the existing and the new connection stays. `ended` is what the new dialer says of this node's own dials:
/// the latest that it has seen end.
///
/// - A connection whose other end is gone never stays: its peer runs in a later incarnation, or has seen it end. (Who
///   has lost a connection may dial again long before the other notices.)
/// - Of one node's dials the latest stays: it has given up those before.
/// - When both dialed, the dial of the node with the lower name stays.
pub fn which_stays(existing: &Held, new: &Dial, ended: Option<&Dial>) -> Stays {
    let dial = &existing.dial;
    let restarted = existing.peer.is_some_and(|incarnation| incarnation < new.dialer.incarnation);
    if restarted || ended.is_some_and(|ended| dial.is_no_later_than(ended)) {
        return Stays::New;
    }
    match dial.dialer.name.cmp(&new.dialer.name) {
        Ordering::Less => Stays::Existing,
        Ordering::Equal if new.is_no_later_than(dial) => Stays::Existing,
        Ordering::Equal | Ordering::Greater => Stays::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(dialer: &str, incarnation: u64, attempt: u64) -> Dial {
        Dial { dialer: NodeId { name: dialer.parse().expect("a name"), incarnation }, attempt }
    }

    fn stays(existing: Dial, new: Dial) -> Stays {
        which_stays(&Held { dial: existing, peer: None }, &new, None)
    }

    #[test]
    fn when_both_dial_the_lower_name_stays_whichever_comes_first() {
        assert_eq!(stays(dial("mars", 1, 1), dial("venus", 9, 9)), Stays::Existing);
        assert_eq!(stays(dial("venus", 9, 9), dial("mars", 1, 1)), Stays::New);
    }

    #[test]
    fn of_the_dials_of_one_node_the_latest_stays_whichever_comes_first() {
        assert_eq!(stays(dial("mars", 1, 1), dial("mars", 1, 2)), Stays::New);
        assert_eq!(stays(dial("mars", 1, 2), dial("mars", 1, 1)), Stays::Existing);
        assert_eq!(stays(dial("mars", 1, 7), dial("mars", 2, 1)), Stays::New);
        assert_eq!(stays(dial("mars", 1, 1), dial("mars", 1, 1)), Stays::Existing);
    }

    #[test]
    fn a_connection_whose_other_end_is_gone_does_not_stay() {
        let held = |peer| Held { dial: dial("mars", 1, 4), peer };
        let new = dial("venus", 6, 1);
        assert_eq!(which_stays(&held(Some(5)), &new, None), Stays::New);
        assert_eq!(which_stays(&held(Some(6)), &new, None), Stays::Existing);
        for (ended, stays) in [
            (dial("mars", 1, 3), Stays::Existing),
            (dial("mars", 1, 4), Stays::New),
            (dial("mars", 1, 5), Stays::New),
            (dial("mars", 0, 9), Stays::Existing),
            (dial("pluto", 1, 4), Stays::Existing),
        ] {
            assert_eq!(which_stays(&held(Some(6)), &new, Some(&ended)), stays, "{ended}");
        }
    }
}
