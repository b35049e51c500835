//! A node as a member of its cluster: it is ready once it is one, and gives its work away before it stops.

use crate::config::Group;
use crate::exit::Failure;
use odeon::core::membership::{Command, MemberState, Outcome, View};
use odeon::host::{Blocking, Threads};
use odeon::membership::{Membership, MembershipConfig, Standing, StartMembershipError};
use odeon::remote::Links;
use odeon::{Node, PartSpec, Running};
use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// Who keeps a node from being ready that is no member.
const STANDING: &str = "cluster";
/// Who keeps a node from being ready that is about to leave.
const DRAIN: &str = "drain";
const DRAINING: &str = "the node is draining: it takes no more work, and is to be stopped";
/// Others hear within this time that a node is about to leave; if not, they hear that it has left.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// One writes while another one reads, or takes a snapshot.
const JOURNAL_THREADS: usize = 2;
/// Jobs for them that wait. A group has a few at the most.
const JOURNAL_QUEUE_MAX: usize = 64;

/// Begins to be a member, with its files in a directory of the node. The node is not ready before it is one.
///
/// # Errors
/// What is written down in the directory cannot be used, for one.
pub(super) async fn start(
    node: &Node,
    links: &Links,
    group: &Group,
    (host, zone): (String, String),
    directory: &Path,
) -> Result<Membership, Failure> {
    node.withhold(STANDING, "the node joins the cluster");
    // whatever services do in theirs, the node writes down what it promises
    let writers = Threads::start("journal", JOURNAL_THREADS, JOURNAL_QUEUE_MAX).map_err(|error| {
        Failure::failed(format_args!("the threads that write the node's journal cannot start: {error}"))
    })?;
    let blocking: Option<Arc<dyn Blocking>> = Some(Arc::new(writers));
    let config = MembershipConfig { host, zone, blocking, ..group.membership(directory) };
    let started = Membership::start(node, links, config).await;
    let membership = started.map_err(|error| cannot_start(&error, directory))?;
    let (follower, followed) = (node.clone(), membership.clone());
    let spec = PartSpec::new("readiness").outlives_services();
    let follow = move |running| follow(follower.clone(), followed.clone(), running);
    node.add_part(&spec, follow).await.map_err(Failure::failed)?;
    Ok(membership)
}

pub(super) fn cannot_start(error: &StartMembershipError, directory: &Path) -> Failure {
    let failure = Failure::failed(format_args!("the node cannot be a member of its cluster: {error}"));
    let directory = directory.display();
    match error {
        StartMembershipError::Directory { .. } => failure.advice("the node's user has to read and write there"),
        StartMembershipError::OtherCluster { .. } => failure.advice(format_args!(
            "each node has a data directory of its own: name another one, or move {directory} away if nobody needs it \
             any more"
        )),
        StartMembershipError::Journal(_) | StartMembershipError::Group(_) => failure.advice(format_args!(
            "{directory} holds what this node has promised to the others: restore it as it was when the node ran last. \
             If it is lost, and a majority of the other voters runs, move it away: the node joins with a new one, and \
             another vote"
        )),
        StartMembershipError::Times(_)
        | StartMembershipError::Config(_)
        | StartMembershipError::Part(_)
        | StartMembershipError::Again => failure,
    }
}

/// Tells the node whether it is ready, as a part of it.
async fn follow(node: Node, membership: Membership, mut running: Running) -> Result<(), String> {
    running.ready();
    tokio::select! {
        biased;
        () = running.stopping() => Ok(()),
        never = tell(&node, &membership) => match never {},
    }
}

async fn tell(node: &Node, membership: &Membership) -> Infallible {
    let mut views = membership.views();
    loop {
        let standing = membership.standing();
        match not_ready(&standing) {
            Some(reason) => node.withhold(STANDING, &reason),
            None => node.release(STANDING),
        }
        let is_draining = {
            let view = views.borrow_and_update();
            view.member(membership.node()).is_some_and(|member| member.state == MemberState::Draining)
        };
        if is_draining {
            // for good: there is no way back
            node.withhold(DRAIN, DRAINING);
        }
        tokio::select! {
            _ = membership.until(|now| *now != standing) => {}
            () = change(&mut views) => {}
        }
    }
}

/// Waits for another view. A replica that has ended, as one whose disk is full, publishes none any more; why, its own part
/// says.
async fn change(views: &mut Receiver<Arc<View>>) {
    if views.changed().await.is_err() {
        pending().await
    }
}

/// Why a node that stands so takes no requests; whether it hears of the others is no reason.
fn not_ready(standing: &Standing) -> Option<String> {
    match standing {
        Standing::Joining { waits_for } => Some(format!("the node joins the cluster; it waits for {waits_for}")),
        Standing::Refused { problems } => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Some(format!("the cluster refuses the node: {}", problems.join("; ")))
        }
        Standing::Member => None,
        Standing::Removed => Some(
            "the node is a member of the cluster no more: others have its work. It comes back as its next incarnation"
                .into(),
        ),
        Standing::Left => Some("the node has left the cluster".into()),
    }
}

/// Whether the node takes no more work, for good.
pub(super) fn is_draining(node: &Node) -> bool {
    node.is_withheld(DRAIN)
}

/// The node is not ready any more, and the others are told that it will leave. True: they were.
pub(super) async fn drain(node: &Node, membership: &Membership, within: Duration) -> bool {
    node.withhold(DRAIN, DRAINING);
    if membership.standing() != Standing::Member {
        return false;
    }
    let drain = Command::Drain { node: membership.node().clone() };
    match membership.propose(&drain, within.min(DRAIN_WITHIN)).await {
        Ok(Outcome::Done { epoch }) => {
            tracing::info!(epoch, "the cluster knows that the node is draining");
            return true;
        }
        Ok(outcome) => tracing::warn!(%outcome, "the node is not draining for its cluster"),
        Err(error) => tracing::warn!(%error, "the cluster does not hear that the node is draining"),
    }
    false
}

/// Others, who know that this node will leave, take over its entities and singletons.
pub(super) async fn give_away(membership: &Membership, within: Duration) {
    if !membership.gave_away(within).await {
        tracing::warn!(
            ?within,
            "the node stops with entities or singletons that no other node has taken over in time"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::core::membership::Problem;

    #[test]
    fn all_but_a_member_says_why_it_is_not_ready() {
        assert_eq!(not_ready(&Standing::Member), None);
        let said = |standing: Standing| not_ready(&standing).expect("it is not ready");
        assert!(
            said(Standing::Joining { waits_for: "the founder south".into() })
                .ends_with("for the founder south")
        );
        let twice = |name: &str| Problem::Twice { service: name.parse().expect("a name") };
        let refused = said(Standing::Refused { problems: vec![twice("a"), twice("b")] });
        assert!(refused.contains("a is offered twice; b is offered twice"), "{refused}");
        assert!(said(Standing::Removed).contains("next incarnation"));
        assert!(said(Standing::Left).contains("left"));
    }
}
