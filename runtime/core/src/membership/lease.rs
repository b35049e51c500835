//! How long a node may act as the member that it is, without word from the cluster group. Clocks are never compared: the
//! holder counts from when it sent a renewal, the group from when it has taken it, each on its own monotonic clock, and
//! both leave room for clocks that run differently (Gray and Cheriton, "Leases", 1989).

use crate::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    length: Duration,
    /// When the latest renewal was sent that is known to have been taken.
    sent: Option<Timestamp>,
}

impl Lease {
    /// None yet. `term` is how long one lasts, `drift` by which fraction clocks may run differently (below 1).
    pub fn new(term: Duration, drift: f64) -> Self {
        Self { length: term.mul_f64(1.0 - drift), sent: None }
    }

    /// A renewal that was sent then was taken. Those that were overtaken change nothing.
    pub fn taken(&mut self, sent: Timestamp) {
        self.sent = self.sent.max(Some(sent));
    }

    /// It is no member any more.
    pub fn lose(&mut self) {
        self.sent = None;
    }

    /// When it ends; none: it has none.
    pub fn ends(&self) -> Option<Timestamp> {
        self.sent.map(|sent| sent + self.length)
    }

    /// Whether it holds now.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ends().is_some_and(|ends| now < ends)
    }
}

/// What a replica of the cluster group has seen of the leases of others. Each replica sees it by its own clock, from when
/// it applied the renewal, which is later than when that was taken: whoever leads next is not too early.
#[derive(Clone, Debug)]
pub struct Grants {
    length: Duration,
    seen: BTreeMap<NodeId, (u64, Timestamp)>,
}

impl Grants {
    /// None yet. `term` and `drift` are those of [`Lease::new`].
    pub fn new(term: Duration, drift: f64) -> Self {
        Self { length: term.mul_f64(1.0 + drift), seen: BTreeMap::new() }
    }

    /// These are the members now, each with how often its lease was renewed.
    pub fn see(&mut self, members: impl IntoIterator<Item = (NodeId, u64)>, now: Timestamp) {
        let before = std::mem::take(&mut self.seen);
        for (node, renewals) in members {
            let since = match before.get(&node) {
                Some((known, since)) if *known == renewals => *since,
                _ => now,
            };
            self.seen.insert(node, (renewals, since));
        }
    }

    /// Those whose leases have ended for certain, with how often they were renewed.
    pub fn ended(&self, now: Timestamp) -> impl Iterator<Item = (&NodeId, u64)> {
        let ended = move |since: Timestamp| since + self.length <= now;
        self.seen.iter().filter(move |(_, (_, since))| ended(*since)).map(|(node, (count, _))| (node, *count))
    }

    /// When the next one may end.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.seen.values().map(|(_, since)| *since + self.length).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    const TERM: Duration = Duration::from_millis(2_500);

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_lease_is_counted_from_when_its_renewal_was_sent() {
        let mut lease = Lease::new(TERM, 0.05);
        assert!(!lease.holds(at(0)));
        lease.taken(at(100));
        lease.taken(at(50));
        assert_eq!(lease.ends(), Some(at(2_475)), "the one that was overtaken changes nothing");
        assert!(lease.holds(at(2_474)) && !lease.holds(at(2_475)));
        lease.lose();
        assert!(!lease.holds(at(101)));
    }

    #[test]
    fn a_lease_is_passed_on_once_it_was_not_renewed_for_longer_than_it_holds() {
        let node = |name: &str| NodeId { name: name.parse().expect("a name"), incarnation: 1 };
        let mut grants = Grants::new(TERM, 0.05);
        grants.see([(node("a"), 1), (node("b"), 1)], at(0));
        grants.see([(node("a"), 2), (node("b"), 1)], at(1_000));
        assert_eq!(grants.next_end(), Some(at(2_625)));
        assert_eq!(grants.ended(at(2_624)).count(), 0);
        assert_eq!(grants.ended(at(2_625)).collect::<Vec<_>>(), [(&node("b"), 1)]);
        grants.see([(node("a"), 2)], at(2_700));
        assert_eq!(grants.next_end(), Some(at(3_625)), "who is no member has no lease");
    }

    /// Clocks that run differently by less than the fraction that is allowed for, renewals that are late or lost.
    #[test]
    fn nobody_holds_a_lease_that_was_passed_on_while_clocks_drift_less_than_is_allowed() {
        let mut random = Random::seeded(3);
        let node = NodeId { name: "a".parse().expect("a name"), incarnation: 1 };
        for _ in 0..2_000 {
            let drift = 0.05;
            let rate = |random: &mut Random| 1.0 + drift * (2.0 * random.fraction() - 1.0);
            let (theirs, ours) = (rate(&mut random), rate(&mut random));
            let clock = |true_time: u64, rate: f64| Timestamp((true_time as f64 * rate) as u64);
            let (mut lease, mut grants) = (Lease::new(TERM, drift), Grants::new(TERM, drift));
            let (mut now, mut renewals) = (0, 0);
            for _ in 0..random.below(10) {
                let sent = now + random.below(3_000_000_000);
                let taken = sent + random.below(2_000_000_000);
                renewals += 1;
                grants.see([(node.clone(), renewals)], clock(taken, ours));
                if random.chance(0.8) {
                    lease.taken(clock(sent, theirs));
                }
                now = taken;
            }
            for _ in 0..50 {
                now += random.below(200_000_000);
                let passed_on = grants.ended(clock(now, ours)).count() > 0;
                assert!(!(passed_on && lease.holds(clock(now, theirs))));
            }
        }
    }
}
