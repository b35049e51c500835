//! Which of two replicas that want to be elected at one time gives way. Without it both would ask a real vote of each
//! other, neither would get it, and the group would be without a leader for another election. Ongaro's thesis (3.4)
//! tells of ranks among candidates and that they were left, as whoever ranks lower waits for one that cannot win; here
//! a rank counts for one heartbeat only, and an election cannot be tried again so soon.

use crate::reach::reached;
use odeon_core::{EntryId, ReplicaId};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// What a replica knows of elections that are about to begin.
pub(super) struct Campaigns {
    replica: ReplicaId,
    /// An attempt counts for so long.
    fresh: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// When this replica has begun to ask others whether they would vote for it, and the last entry it had.
    mine: Option<(Instant, Option<EntryId>)>,
    /// When it has said to another one that it would.
    backed: Option<Instant>,
}

impl Campaigns {
    /// A heartbeat has to be shorter than what passes between two attempts of one replica.
    pub(super) fn new(replica: ReplicaId, heartbeat: Duration) -> Self {
        Self { replica, fresh: heartbeat, known: Mutex::default() }
    }

    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.fresh
    }

    /// Whether this replica may ask others whether they would vote for it. It may not if it has just said to another one
    /// that it would vote for that.
    pub(super) fn may_ask(&self, last: Option<EntryId>, now: Instant) -> bool {
        let mut known = self.known.lock();
        if known.backed.is_some_and(|at| self.is_fresh(at, now)) {
            reached!(CAMPAIGN_LEFT);
            return false;
        }
        if known.mine.is_none_or(|(at, _)| !self.is_fresh(at, now)) {
            known.mine = Some((now, last));
        }
        true
    }

    /// Whether this replica tells another one, for which it could vote, that it would. It does not if it has just begun to
    /// ask the same, its log is no shorter, and its id is greater.
    pub(super) fn back(&self, candidate: ReplicaId, last: Option<EntryId>, now: Instant) -> bool {
        let mut known = self.known.lock();
        let is_ahead = |(at, mine): (Instant, Option<EntryId>)| self.is_fresh(at, now) && mine >= last;
        if self.replica > candidate && known.mine.is_some_and(is_ahead) {
            reached!(CAMPAIGN_HELD);
            return false;
        }
        known.backed = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_millis(200);

    fn replica(id: u64) -> Campaigns {
        Campaigns::new(ReplicaId(id), HEARTBEAT)
    }

    fn entry(index: u64) -> Option<EntryId> {
        Some(EntryId { term: 1, index })
    }

    #[test]
    fn of_two_that_ask_each_other_the_one_with_the_lower_id_gives_way() {
        let (lower, higher, now) = (replica(1), replica(2), Instant::now());
        assert!(lower.may_ask(entry(7), now) && higher.may_ask(entry(7), now));
        assert!(!higher.back(ReplicaId(1), entry(7), now));
        assert!(lower.back(ReplicaId(2), entry(7), now));
        // asking several others is one attempt
        assert!(higher.may_ask(entry(7), now));
    }

    #[test]
    fn a_longer_log_goes_before_a_greater_id() {
        let (higher, now) = (replica(2), Instant::now());
        assert!(higher.may_ask(entry(7), now));
        assert!(!higher.back(ReplicaId(1), None, now));
        assert!(higher.back(ReplicaId(1), entry(8), now));
    }

    #[test]
    fn an_attempt_counts_for_a_heartbeat() {
        let (higher, began) = (replica(2), Instant::now());
        assert!(higher.may_ask(entry(7), began));
        let late = began + HEARTBEAT - Duration::from_millis(1);
        assert!(higher.may_ask(entry(7), late), "asking on in the same attempt does not make it a later one");
        assert!(!higher.back(ReplicaId(1), entry(7), late));
        assert!(higher.back(ReplicaId(1), entry(7), began + HEARTBEAT));
    }

    #[test]
    fn whoever_has_backed_another_one_does_not_ask_until_that_had_its_time() {
        let (replica, now) = (replica(2), Instant::now());
        assert!(replica.back(ReplicaId(1), entry(7), now));
        assert!(!replica.may_ask(entry(7), now));
        assert!(replica.may_ask(entry(7), now + HEARTBEAT));
    }
}
