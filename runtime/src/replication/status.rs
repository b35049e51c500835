//! A group as one of its replicas sees it.

use super::message::entry_id;
use super::raft::{LogId, Types};
use crate::telemetry::events::{Event, Events};
use odeon_core::journal::GroupId;
use odeon_core::{EntryId, NodeName, ReplicaId};
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{Instant, RaftMetrics, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a replica does in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It makes the entries.
    Leader,
    /// It votes, and takes the entries of the leader.
    Follower,
    /// It wants to be elected.
    Candidate,
    /// It takes entries and does not vote.
    Learner,
    /// It has ended.
    Ended,
}

/// A group as this replica sees it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// This replica.
    pub replica: ReplicaId,
    /// What it does.
    pub role: Role,
    /// The latest term that it knows.
    pub term: u64,
    /// The leader of that, if it is known.
    pub leader: Option<(ReplicaId, NodeName)>,
    /// Who votes, and on which node; those who will and those who did while one set replaces another.
    pub voters: BTreeMap<ReplicaId, NodeName>,
    /// Who takes entries and does not vote.
    pub learners: BTreeMap<ReplicaId, NodeName>,
    /// The index of its last entry.
    pub last: Option<u64>,
    /// The index of the last entry that a majority is known to have.
    pub committed: Option<u64>,
    /// The last entry that it has applied.
    pub applied: Option<EntryId>,
    /// The last entry that is in its snapshot.
    pub snapshot: Option<u64>,
    /// The time since a majority was last heard of, if it leads.
    pub quorum_heard: Option<Duration>,
    /// How far other replicas are known to have come, if it leads: the index of the last entry of each.
    pub matched: BTreeMap<ReplicaId, Option<u64>>,
    /// Why it has ended, if it has and nobody asked it to.
    pub failure: Option<String>,
}

impl GroupStatus {
    pub(super) fn of(metrics: &RaftMetrics<Types>) -> Self {
        let members = metrics.membership_config.membership();
        let voting: BTreeSet<ReplicaId> = members.voter_ids().collect();
        let nodes = members.nodes().map(|(replica, node)| (*replica, node.clone()));
        let (voters, learners): (BTreeMap<_, _>, BTreeMap<_, _>) =
            nodes.partition(|(replica, _)| voting.contains(replica));
        let leader = metrics.current_leader.and_then(|replica| {
            let node = voters.get(&replica).or_else(|| learners.get(&replica))?;
            Some((replica, node.clone()))
        });
        let index = |id: &Option<LogId>| id.as_ref().map(|id| id.index);
        Self {
            replica: metrics.id,
            role: match metrics.state {
                ServerState::Leader => Role::Leader,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Shutdown => Role::Ended,
            },
            term: metrics.current_term,
            leader,
            voters,
            learners,
            last: metrics.last_log_index,
            committed: index(&metrics.cluster_committed),
            applied: metrics.last_applied.as_ref().map(entry_id),
            snapshot: index(&metrics.snapshot),
            quorum_heard: metrics.last_quorum_acked.map(|at| at.elapsed()),
            matched: metrics
                .replication
                .iter()
                .flatten()
                .map(|(replica, id)| (*replica, index(id)))
                .collect(),
            failure: metrics.running_state.as_ref().err().and_then(|fatal| match fatal {
                Fatal::Stopped => None,
                Fatal::StorageError(_) | Fatal::Panicked => Some(fatal.to_string()),
            }),
        }
    }

    /// Whether a replica is known to have all entries but so many at the most. Known to the leader alone.
    pub fn is_near(&self, replica: ReplicaId, missing: u64) -> bool {
        let Some(matched) = self.matched.get(&replica) else { return false };
        matched.map_or(0, |index| index + 1) + missing >= self.last.map_or(0, |last| last + 1)
    }
}

/// Tells what becomes of the replica, until it ends.
pub(super) async fn tell(
    group: GroupId,
    mut metrics: WatchReceiverOf<Types, RaftMetrics<Types>>,
    events: Events,
) {
    let mut before = None;
    loop {
        let status = GroupStatus::of(&metrics.borrow_and_update());
        let now = (status.role, status.leader.clone());
        if before.as_ref() != Some(&now) {
            let GroupStatus { role, term, failure, .. } = status.clone();
            let leader = status.leader.clone().map(|(_, leader)| leader);
            events.note(&match role == Role::Ended || failure.is_some() {
                true => Event::ReplicaEnded { group, failure },
                false => Event::Leader { group, role, term, leader },
            });
            before = Some(now);
        }
        if status.role == Role::Ended || metrics.changed().await.is_err() {
            return;
        }
    }
}
