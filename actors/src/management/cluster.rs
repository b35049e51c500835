//! The members of a cluster and its group in terms of the api, and what is ordered of them.

use super::api::{
    ClusterStatus, Decided, GoneSummary, MemberRole, MemberSummary, Members, OfferSummary, RemoveRequest,
    ReplicaRole, ReplicaSummary, StandingKind, UpgradeRequest,
};
use super::view::millis;
use crate::http::{OutcomeKind, Problem};
use http::StatusCode;
use odeon::Node;
use odeon::core::membership::{Card, Command, Member, Offer, Outcome, Reason, View};
use odeon::core::{NodeId, NodeName, ReplicaId, Retry};
use odeon::membership::{Membership, Standing};
use odeon::remote::{LinkStatus, Links};
use odeon::replication::{GroupStatus, ProposeError, Role};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// An order is taken within this time: longer than it takes to elect a leader.
const WITHIN: Duration = Duration::from_secs(5);

/// The membership of a node.
///
/// # Errors
/// It has none.
pub(super) fn membership(node: &Node) -> Result<Membership, Problem> {
    Membership::of(node).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no-cluster-group", "The node has no cluster group")
            .detail(
                "this node is in no cluster whose nodes agree on its members: name those that begin it in [cluster] \
                 founders, the same on all nodes, or with --founder NAME",
            )
            .not_executed(Retry::Never)
    })
}

pub(super) fn members(node: &Node, membership: &Membership) -> Members {
    let (view, group) = (membership.view(), membership.group());
    let (standing, reasons) = standing(membership.standing());
    let links = Links::of(node).map_or_else(Vec::new, |links| links.status());
    let gone = view.gone.iter().map(|(name, gone)| GoneSummary {
        name: name.to_string(),
        incarnation: gone.incarnation,
        reason: gone.reason,
        since: gone.since.epoch,
        since_ms: gone.since.at,
    });
    Members {
        node: membership.node().to_string(),
        standing,
        reasons,
        holds_lease: membership.holds_lease(),
        epoch: view.epoch,
        level: view.level,
        members: view.members.values().map(|member| summary(member, &group, &links)).collect(),
        gone: gone.collect(),
    }
}

fn standing(standing: Standing) -> (StandingKind, Vec<String>) {
    match standing {
        Standing::Joining { waits_for } => (StandingKind::Joining, vec![waits_for]),
        Standing::Refused { problems } => {
            (StandingKind::Refused, problems.iter().map(ToString::to_string).collect())
        }
        Standing::Member => (StandingKind::Member, Vec::new()),
        Standing::Removed => (StandingKind::Removed, Vec::new()),
        Standing::Left => (StandingKind::Left, Vec::new()),
    }
}

fn summary(member: &Member, group: &GroupStatus, links: &[LinkStatus]) -> MemberSummary {
    let Card { node, replica, address, host, zone, version, artifact, levels, offers } = &member.card;
    let link = links.iter().find(|link| link.node == *node);
    MemberSummary {
        name: node.name.to_string(),
        incarnation: node.incarnation,
        state: member.state,
        since: member.since.epoch,
        since_ms: member.since.at,
        suspect_ms: link.and_then(|link| link.suspect).map(millis),
        suspected_by: link.iter().flat_map(|link| &link.suspected_by).map(ToString::to_string).collect(),
        role: role(*replica, group),
        address: reached(address, link),
        host: host.clone(),
        zone: zone.clone(),
        version: version.clone(),
        artifact: artifact.clone(),
        level_min: levels.min,
        level_max: levels.max,
        services: offers.iter().map(offer).collect(),
    }
}

/// Where a node is reached from here: one that listens on all addresses of its machine does not say on which.
fn reached(said: &str, link: Option<&LinkStatus>) -> String {
    let is_any = said.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified());
    let linked = link.filter(|_| is_any).and_then(|link| link.address);
    linked.map_or_else(|| said.to_owned(), |address| address.to_string())
}

fn role(replica: ReplicaId, group: &GroupStatus) -> MemberRole {
    match group {
        GroupStatus { leader: Some((leader, _)), .. } if *leader == replica => MemberRole::Leader,
        GroupStatus { voters, .. } if voters.contains_key(&replica) => MemberRole::Voter,
        GroupStatus { learners, .. } if learners.contains_key(&replica) => MemberRole::Learner,
        _ => MemberRole::None,
    }
}

fn offer(offer: &Offer) -> OfferSummary {
    OfferSummary {
        name: offer.service.to_string(),
        kind: offer.kind,
        contract: offer.contract.clone(),
        version: format!("{}.{}", offer.major, offer.minor),
    }
}

pub(super) fn status(membership: &Membership) -> ClusterStatus {
    let (view, group) = (membership.view(), membership.group());
    let replica = |(id, node): (&ReplicaId, &NodeName), votes| ReplicaSummary {
        node: node.to_string(),
        replica: id.to_string(),
        votes,
        is_member: is_member(&view, node, *id),
        behind: behind(&group, *id),
    };
    let voters = group.voters.iter().map(|seat| replica(seat, true));
    let learners = group.learners.iter().map(|seat| replica(seat, false));
    let mut replicas: Vec<ReplicaSummary> = voters.chain(learners).collect();
    replicas.sort_by(|a, b| (!a.votes, &a.node, &a.replica).cmp(&(!b.votes, &b.node, &b.replica)));
    let names = |names: &BTreeSet<NodeName>| names.iter().map(ToString::to_string).collect();
    ClusterStatus {
        node: membership.node().to_string(),
        replica: group.replica.to_string(),
        role: match group.role {
            Role::Leader => ReplicaRole::Leader,
            Role::Follower => ReplicaRole::Follower,
            Role::Candidate => ReplicaRole::Candidate,
            Role::Learner => ReplicaRole::Learner,
            Role::Ended => ReplicaRole::Ended,
        },
        term: group.term,
        leader: group.leader.as_ref().map(|(_, node)| node.to_string()),
        quorum_heard_ms: group.quorum_heard.map(millis),
        last: group.last,
        committed: group.committed,
        applied: group.applied.map(|entry| entry.index),
        snapshot: group.snapshot,
        failure: group.failure.clone(),
        replicas,
        founders: names(membership.founders()),
        eligible: names(membership.eligible()),
        voters_wanted: membership.voters_wanted(),
    }
}

fn is_member(view: &View, node: &NodeName, replica: ReplicaId) -> bool {
    view.members.get(node).is_some_and(|member| member.card.replica == replica)
}

/// Entries that a replica lacks. Who does not lead does not know.
fn behind(group: &GroupStatus, replica: ReplicaId) -> Option<u64> {
    let length = |last: Option<u64>| last.map_or(0, |last| last + 1);
    if group.role != Role::Leader {
        return None;
    }
    let matched = match replica == group.replica {
        true => group.last,
        false => *group.matched.get(&replica)?,
    };
    Some(length(group.last).saturating_sub(length(matched)))
}

/// This node takes no more work.
///
/// # Errors
/// As [`order`].
pub(super) async fn drain(membership: &Membership) -> Result<Decided, Problem> {
    order(membership, Command::Drain { node: membership.node().clone() }).await
}

/// The cluster has a higher feature level.
///
/// # Errors
/// As [`order`].
pub(super) async fn upgrade(membership: &Membership, asked: UpgradeRequest) -> Result<Decided, Problem> {
    let level = asked.level.unwrap_or_else(|| membership.view().level.saturating_add(1));
    order(membership, Command::Raise { level }).await
}

/// Another node is a member no more, and others get its work.
///
/// # Errors
/// As [`order`]; and it is this node, or no node at all.
pub(super) async fn remove(membership: &Membership, asked: RemoveRequest) -> Result<Decided, Problem> {
    let wrong = |error: &dyn ToString| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request", "The request does not fit")
            .detail(format!("node: {}", error.to_string()))
            .not_executed(Retry::Never)
            .path("node")
    };
    let name: NodeName = asked.node.parse().map_err(|error: odeon::core::id::NameError| wrong(&error))?;
    let node = NodeId { name, incarnation: asked.incarnation };
    if node.name == membership.node().name {
        return Err(Problem::new(StatusCode::CONFLICT, "this-node", "The node cannot remove itself")
            .detail(format!("{node} is this node, which runs: it leaves with `odeon leave`"))
            .not_executed(Retry::Never));
    }
    order(membership, Command::Remove { node, reason: Reason::Ordered, renewals: None }).await
}

/// Has the cluster group take a command.
///
/// # Errors
/// It refuses, with all reasons (409); it certainly has not taken it (503); that is not known (504).
async fn order(membership: &Membership, command: Command) -> Result<Decided, Problem> {
    tracing::info!(?command, "the cluster group is to take an order");
    match membership.propose(&command, WITHIN).await {
        Ok(Outcome::Done { epoch } | Outcome::Renewed { epoch, .. } | Outcome::Handed { epoch, .. }) => {
            Ok(Decided { epoch })
        }
        Ok(Outcome::Refused { problems }) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(Problem::new(StatusCode::CONFLICT, "cluster-refused", "The cluster group refuses it")
                .detail(problems.join("; "))
                .not_executed(Retry::Never))
        }
        Err(ProposeError::NotExecuted(problem)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-leader", "The cluster group has no leader")
                .detail(format!("nothing was done: {problem}. A majority of its voters has to run"))
                .not_executed(Retry::Later))
        }
        Err(ProposeError::Unknown(problem)) => {
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "timed-out", "The cluster group has not answered")
                .detail(format!("it may be done, or be done yet: {problem}. `odeon members` shows it, then"))
                .outcome(OutcomeKind::Unknown)
                .retry(Retry::Later))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn name(text: &str) -> NodeName {
        text.parse().expect("a name")
    }

    fn group(role: Role) -> GroupStatus {
        GroupStatus {
            replica: ReplicaId(1),
            role,
            term: 3,
            leader: Some((ReplicaId(1), name("north"))),
            voters: BTreeMap::from([(ReplicaId(1), name("north")), (ReplicaId(2), name("south"))]),
            learners: BTreeMap::from([(ReplicaId(3), name("east"))]),
            last: Some(9),
            committed: None,
            applied: None,
            snapshot: None,
            quorum_heard: None,
            matched: BTreeMap::from([(ReplicaId(2), Some(7)), (ReplicaId(3), None)]),
            failure: None,
        }
    }

    #[test]
    fn a_member_has_a_role_in_the_group_by_its_replica() {
        let roles = [1, 2, 3, 4].map(|id| role(ReplicaId(id), &group(Role::Leader)));
        assert_eq!(roles, [MemberRole::Leader, MemberRole::Voter, MemberRole::Learner, MemberRole::None]);
    }

    #[test]
    fn the_leader_alone_knows_how_far_others_are_behind() {
        let behind = |role| [1, 2, 3, 4].map(|id| super::behind(&group(role), ReplicaId(id)));
        assert_eq!(behind(Role::Leader), [Some(0), Some(2), Some(10), None]);
        assert_eq!(behind(Role::Follower), [None; 4]);
    }
}
