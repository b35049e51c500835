//! What the leader of the cluster group does: it ends the leases of members that were not heard of, and says who votes.

use super::{Shared, Standing};
use crate::replication::{ChangeError, GroupStatus, Role};
use odeon_core::membership::{
    Change, Command, Grants, MemberState, Outcome, Reason, Seat, Seats, next_change,
};
use odeon_core::placement::plan;
use odeon_core::{NodeId, NodeName, ReplicaId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a leader looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often all others do: who of the voters is away is known to whoever leads next.
const REST: Duration = Duration::from_secs(1);
/// A replica has nearly all entries if so many are missing at the most.
const BEHIND_MAX: u64 = 100;
/// What is proposed comes to something within this time.
const WITHIN: Duration = Duration::from_secs(1);
/// Whoever is to lead does within this time, or has to be elected.
const GIVE_WAY_WITHIN: Duration = Duration::from_millis(500);
/// A change of replicas is waited for so long.
const CHANGE_WITHIN: Duration = Duration::from_secs(10);

/// Runs as long as the node.
pub(super) async fn run(shared: &Shared) {
    tokio::join!(leases(shared), replicas(shared), places(shared), lead(shared));
}

/// Until it is time to look again: at once when this replica begins to lead. All of a leader's looks are at the same
/// moments, so that it wakes once for them.
async fn rest(shared: &Shared) {
    let leads = |status: &GroupStatus| status.role == Role::Leader;
    if leads(&shared.group.status()) {
        let past = shared.origin.elapsed().as_nanos() % LOOK_EVERY.as_nanos();
        sleep(LOOK_EVERY - Duration::from_nanos(past as u64)).await;
    } else {
        // what stands elsewhere may have changed, too
        let _ = timeout(REST, shared.group.until(leads)).await;
    }
}

/// Ends leases, of those that were not renewed while this replica has led: whoever has just begun to lead gives all of
/// them another one, for nobody could renew his while there was no leader.
async fn leases(shared: &Shared) {
    let mut leads = None;
    loop {
        let status = shared.group.status();
        let term = (status.role == Role::Leader).then_some(status.term);
        leads = match (term, leads) {
            (Some(term), Some((since, grants))) if term == since => Some((term, grants)),
            (Some(term), _) => Some((term, Grants::new(shared.times.lease, shared.times.drift))),
            (None, _) => None,
        };
        if let Some((_, grants)) = &mut leads {
            let (view, now) = (shared.view.borrow().clone(), shared.now());
            let members = view.members.values().map(|member| (member.card.node.clone(), member.renewals));
            grants.see(members, now);
            end_leases(shared, grants, now).await;
        }
        rest(shared).await;
    }
}

/// Changes who takes entries, and who votes.
async fn replicas(shared: &Shared) {
    let mut absences = Absences::default();
    loop {
        let (view, now) = (shared.view.borrow().clone(), shared.now());
        let status = shared.group.status();
        let living: BTreeSet<ReplicaId> = view.members.values().map(|member| member.card.replica).collect();
        absences.see(status.voters.keys().filter(|id| !living.contains(id)).copied(), now);
        if status.role == Role::Leader {
            let away = absences.longer_than(shared.times.voter_away, now);
            // one that takes longer goes on; until it is done another one is refused
            let _ = timeout(CHANGE_WITHIN, change_replicas(shared, &status, away)).await;
        }
        rest(shared).await;
    }
}

/// Lets another one lead as soon as this node is about to leave.
async fn lead(shared: &Shared) {
    loop {
        if is_about_to_leave(shared) {
            give_way(shared).await;
        }
        rest(shared).await;
    }
}

/// Whether it drains, is a member no more, or cannot become one. One that is not one yet may lead: who is elected before it
/// has joined again shall not cost the group another election.
fn is_about_to_leave(shared: &Shared) -> bool {
    let view = shared.view.borrow();
    match view.member(&shared.node) {
        Some(member) => member.state == MemberState::Draining,
        None => {
            let was_one = view.incarnation(&shared.node.name) >= shared.node.incarnation;
            was_one || matches!(*shared.standing.borrow(), Standing::Refused { .. })
        }
    }
}

/// A node that stops lets another one lead before it leaves, and waits until that does.
pub(super) async fn leave(shared: &Shared) {
    if shared.group.status().role == Role::Leader {
        give_way(shared).await;
        let _ = timeout(GIVE_WAY_WITHIN, shared.group.until(|status| status.role != Role::Leader)).await;
    }
}

/// A leader that is about to leave lets another voter lead: nobody has to find out then that it is gone.
async fn give_way(shared: &Shared) {
    let (view, status) = (shared.view.borrow().clone(), shared.group.status());
    if status.role != Role::Leader {
        return;
    }
    let is_up =
        |name: &NodeName| view.members.get(name).is_some_and(|member| member.state == MemberState::Up);
    let next = status
        .voters
        .iter()
        .find(|(id, name)| **id != shared.replica && is_up(name) && status.is_near(**id, BEHIND_MAX));
    if let Some((next, name)) = next {
        tracing::info!(%name, "the node is about to leave: it lets another one lead the cluster group");
        if let Err(error) = shared.group.transfer(*next).await {
            tracing::debug!(%error, "nobody else leads yet");
        }
    }
}

/// Says which node has which slots.
async fn places(shared: &Shared) {
    let mut views = shared.view.clone();
    let mut settled = None;
    loop {
        let view = views.borrow_and_update().clone();
        let status = shared.group.status();
        let this = Some((status.term, view.epoch));
        if status.role == Role::Leader && this != settled {
            let wanted = plan(&view);
            settled = this.filter(|_| wanted.is_empty());
            for place in wanted {
                // what has changed meanwhile is looked at again
                if let Err(error) = shared.propose(&place, WITHIN).await {
                    tracing::debug!(%error, "slots are not placed yet");
                    break;
                }
            }
        }
        tokio::select! {
            // what else changes shows in the view of whoever leads
            Ok(()) = views.changed(), if status.role == Role::Leader => {}
            () = rest(shared) => {}
        }
    }
}

/// Since when voters are of no member.
#[derive(Default)]
struct Absences(BTreeMap<ReplicaId, Timestamp>);

impl Absences {
    fn see(&mut self, away: impl Iterator<Item = ReplicaId>, now: Timestamp) {
        self.0 = away.map(|id| (id, self.0.get(&id).copied().unwrap_or(now))).collect();
    }

    fn longer_than(&self, time: Duration, now: Timestamp) -> BTreeSet<ReplicaId> {
        self.0.iter().filter(|(_, since)| now.since(**since) >= time).map(|(id, _)| *id).collect()
    }
}

async fn end_leases(shared: &Shared, grants: &Grants, now: Timestamp) {
    let ended: Vec<(NodeId, u64)> = grants.ended(now).map(|(node, count)| (node.clone(), count)).collect();
    for (node, renewals) in ended {
        let end =
            Command::Remove { node: node.clone(), reason: Reason::LeaseEnded, renewals: Some(renewals) };
        match shared.propose(&end, WITHIN).await {
            Ok(Outcome::Refused { .. }) => tracing::debug!(%node, "a lease was renewed meanwhile"),
            Ok(_) => tracing::warn!(%node, "the lease of a member has ended"),
            // whoever leads then will do it
            Err(error) => tracing::debug!(%node, %error, "a lease that has ended is not passed on"),
        }
    }
}

async fn change_replicas(shared: &Shared, status: &GroupStatus, away: BTreeSet<ReplicaId>) {
    let view = shared.view.borrow().clone();
    let seat = |id: &ReplicaId, node: &odeon_core::NodeName, votes| {
        let is_caught_up = votes || status.is_near(*id, BEHIND_MAX);
        (*id, Seat { node: node.clone(), votes, is_caught_up })
    };
    let voters = status.voters.iter().map(|(id, node)| seat(id, node, true));
    let learners = status.learners.iter().map(|(id, node)| seat(id, node, false));
    let members = view.members.iter().map(|(name, member)| (name.clone(), member.card.replica));
    let seats = Seats {
        seats: voters.chain(learners).collect(),
        members: members.collect(),
        eligible: shared.eligible.clone(),
        away,
        wanted: shared.voters_wanted,
    };
    let Some(change) = next_change(&seats) else { return };
    tracing::info!(?change, "the replicas of the cluster group change");
    let changed = match change {
        Change::Seat { replica, node } => shared.group.add_learner(replica, node).await,
        Change::Voters(voters) => shared.group.set_voters(voters).await,
        Change::Forget(replicas) => shared.group.remove(replicas).await,
    };
    match changed {
        Ok(()) | Err(ChangeError::NotLeader) => {}
        Err(error) => tracing::warn!(%error, "the replicas of the cluster group do not change yet"),
    }
}
