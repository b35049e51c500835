//! Who votes in the cluster group: up to as many of those whom the configuration calls eligible as are wanted, one
//! replaced at a time.

use crate::{NodeName, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};

/// A replica of the cluster group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its node.
    pub node: NodeName,
    /// Whether it votes.
    pub votes: bool,
    /// Whether it has nearly all entries.
    pub is_caught_up: bool,
}

/// What the leader knows.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    /// The replicas of the group.
    pub seats: BTreeMap<ReplicaId, Seat>,
    /// The replica that each member has now.
    pub members: BTreeMap<NodeName, ReplicaId>,
    /// Who may vote.
    pub eligible: BTreeSet<NodeName>,
    /// Voters that have been away for so long that others take their place.
    pub away: BTreeSet<ReplicaId>,
    /// How many voters are wanted: odd.
    pub wanted: usize,
}

/// One step towards what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A member takes entries from now on.
    Seat {
        /// Its replica.
        replica: ReplicaId,
        /// Its node.
        node: NodeName,
    },
    /// These vote from now on.
    Voters(BTreeSet<ReplicaId>),
    /// Replicas that do not vote, and are those of no member, are forgotten.
    Forget(BTreeSet<ReplicaId>),
}

impl Seats {
    /// Whether it is the replica that its node has now, as a member.
    fn is_current(&self, id: &ReplicaId, seat: &Seat) -> bool {
        self.members.get(&seat.node) == Some(id)
    }

    /// Whether its node has another one now: its disk was replaced, and does not come back.
    fn is_replaced(&self, id: &ReplicaId, seat: &Seat) -> bool {
        self.members.get(&seat.node).is_some_and(|now| now != id)
    }

    /// The voter that is worth least, if there is one that should not vote.
    fn worst(&self) -> Option<ReplicaId> {
        let voters = || self.seats.iter().filter(|(_, seat)| seat.votes);
        let replaced = voters().find(|(id, seat)| self.is_replaced(id, seat));
        let unwanted = || voters().find(|(_, seat)| !self.eligible.contains(&seat.node));
        let away = || voters().find(|(id, _)| self.away.contains(id));
        replaced.or_else(unwanted).or_else(away).map(|(id, _)| *id)
    }

    /// A replica that may vote and does not yet.
    fn next(&self) -> Option<ReplicaId> {
        let may = |id: &ReplicaId, seat: &Seat| {
            !seat.votes
                && seat.is_caught_up
                && self.is_current(id, seat)
                && self.eligible.contains(&seat.node)
        };
        self.seats.iter().find(|(id, seat)| may(id, seat)).map(|(id, _)| *id)
    }
}

/// The next step, if one is needed. It adds, removes or replaces one voter at the most, so that a majority of those who
/// voted goes on to vote. A voter that should not vote does so until another one can take its place.
pub fn next_change(seats: &Seats) -> Option<Change> {
    let unseated = seats.members.iter().find(|(_, replica)| !seats.seats.contains_key(replica));
    if let Some((node, replica)) = unseated {
        return Some(Change::Seat { replica: *replica, node: node.clone() });
    }
    let mut voters: BTreeSet<ReplicaId> =
        seats.seats.iter().filter(|(_, seat)| seat.votes).map(|(id, _)| *id).collect();
    let before = voters.clone();
    match (seats.worst(), seats.next()) {
        (worst, _) if voters.len() > seats.wanted.max(1) => {
            let last = voters.iter().next_back().copied();
            worst.or(last).map(|id| voters.remove(&id));
        }
        (Some(worst), Some(next)) => {
            voters.remove(&worst);
            voters.insert(next);
        }
        (None, Some(next)) if voters.len() < seats.wanted => {
            voters.insert(next);
        }
        _ => {}
    }
    if voters != before {
        return Some(Change::Voters(voters));
    }
    let useless = seats.seats.iter().filter(|(id, seat)| !seat.votes && !seats.is_current(id, seat));
    let useless: BTreeSet<ReplicaId> = useless.map(|(id, _)| *id).collect();
    (!useless.is_empty()).then_some(Change::Forget(useless))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().expect("a name")
    }

    /// Seats as `node=replica`, with `!` for those who vote and `?` for those who are far behind.
    fn seats(seated: &[&str], members: &[&str]) -> Seats {
        let pair = |text: &str| {
            let (node, id) = text.split_once('=').expect("node=replica");
            (name(node), ReplicaId(id.trim_end_matches(['!', '?']).parse().expect("a number")))
        };
        let seat = |text: &&str| {
            let (node, id) = pair(text);
            (id, Seat { node, votes: text.ends_with('!'), is_caught_up: !text.ends_with('?') })
        };
        Seats {
            seats: seated.iter().map(seat).collect(),
            members: members.iter().map(|text| pair(text)).collect(),
            eligible: ["a", "b", "c", "d"].map(name).into(),
            away: BTreeSet::new(),
            wanted: 3,
        }
    }

    fn voters(ids: &[u64]) -> Option<Change> {
        Some(Change::Voters(ids.iter().copied().map(ReplicaId).collect()))
    }

    #[test]
    fn members_are_seated_and_eligible_ones_vote_until_there_are_enough() {
        let mut all = seats(&["a=1!"], &["a=1", "b=2"]);
        assert_eq!(next_change(&all), Some(Change::Seat { replica: ReplicaId(2), node: name("b") }));
        all = seats(&["a=1!", "b=2?"], &["a=1", "b=2"]);
        assert_eq!(next_change(&all), None, "it has to catch up first");
        all = seats(&["a=1!", "b=2"], &["a=1", "b=2"]);
        assert_eq!(next_change(&all), voters(&[1, 2]));
        all = seats(&["a=1!", "b=2!", "c=3!", "d=4"], &["a=1", "b=2", "c=3", "d=4"]);
        assert_eq!(next_change(&all), None);
        all.wanted = 5;
        assert_eq!(next_change(&all), voters(&[1, 2, 3, 4]));
        all = seats(&["a=1!", "b=2!", "z=9"], &["a=1", "b=2", "z=9"]);
        assert_eq!(next_change(&all), None, "it is not eligible");
    }

    #[test]
    fn a_voter_that_lost_its_disk_makes_room_for_what_its_node_has_now() {
        let mut all = seats(&["a=1!", "b=2!", "c=3!"], &["a=1", "b=2", "c=33"]);
        assert_eq!(next_change(&all), Some(Change::Seat { replica: ReplicaId(33), node: name("c") }));
        all = seats(&["a=1!", "b=2!", "c=3!", "c=33?"], &["a=1", "b=2", "c=33"]);
        assert_eq!(next_change(&all), None);
        all = seats(&["a=1!", "b=2!", "c=3!", "c=33"], &["a=1", "b=2", "c=33"]);
        assert_eq!(next_change(&all), voters(&[1, 2, 33]));
        all = seats(&["a=1!", "b=2!", "c=3", "c=33!"], &["a=1", "b=2", "c=33"]);
        assert_eq!(next_change(&all), Some(Change::Forget([ReplicaId(3)].into())));
    }

    #[test]
    fn a_voter_that_is_away_stays_until_another_one_can_take_its_place() {
        let mut all = seats(&["a=1!", "b=2!", "c=3!"], &["a=1", "b=2"]);
        all.away = [ReplicaId(3)].into();
        assert_eq!(next_change(&all), None);
        all = seats(&["a=1!", "b=2!", "c=3!", "d=4"], &["a=1", "b=2", "d=4"]);
        assert_eq!(next_change(&all), None, "it may come back");
        all.away = [ReplicaId(3)].into();
        assert_eq!(next_change(&all), voters(&[1, 2, 4]));
    }

    #[test]
    fn of_too_many_voters_the_one_that_is_worth_least_goes_first() {
        let members = ["a=1", "b=2", "c=3", "d=4"];
        let mut all = seats(&["a=1!", "b=2!", "c=3!", "d=4!"], &members);
        assert_eq!(next_change(&all), voters(&[1, 2, 3]));
        all.eligible.remove(&name("b"));
        assert_eq!(next_change(&all), voters(&[1, 3, 4]));
    }

    #[test]
    fn whatever_is_wanted_a_majority_of_those_who_voted_goes_on() {
        let mut random = crate::Random::seeded(7);
        for _ in 0..20_000 {
            let mut all = seats(&[], &[]);
            all.wanted = 1 + 2 * random.below(3) as usize;
            for id in 1..=7 {
                let node = name(["a", "b", "c", "d", "e"][random.below(5) as usize]);
                let (votes, is_caught_up) = (random.chance(0.5), random.chance(0.7));
                all.seats.insert(ReplicaId(id), Seat { node: node.clone(), votes, is_caught_up });
                if random.chance(0.6) {
                    all.members.insert(node, ReplicaId(id));
                }
                if random.chance(0.2) {
                    all.away.insert(ReplicaId(id));
                }
            }
            let before: BTreeSet<_> =
                all.seats.iter().filter(|(_, seat)| seat.votes).map(|(id, _)| *id).collect();
            let Some(Change::Voters(after)) = next_change(&all) else { continue };
            assert!(before.difference(&after).count() <= 1, "{before:?} {after:?}");
            assert!(after.difference(&before).count() <= 1, "{before:?} {after:?}");
            assert!(!after.is_empty());
        }
    }
}
