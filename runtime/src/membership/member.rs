//! What each node does: it forms the cluster with the other founders, or joins it, and renews its lease.

use super::{Shared, Standing};
use crate::reach::reached;
use crate::remote::Links;
use crate::replication::ProposeError;
use odeon_core::NodeName;
use odeon_core::membership::{Card, Command, Outcome, Problem};
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep, sleep_until};

/// What is not done yet is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Another founder answers within this time.
const WHO_WITHIN: Duration = Duration::from_secs(1);
/// Whoever joins waits so long for what becomes of it.
const JOIN_WITHIN: Duration = Duration::from_secs(3);

/// Runs until the node is a member no more.
pub(super) async fn run(shared: &Shared, links: &Links) {
    let mut said = shared.card.subscribe();
    loop {
        let contacts = contacts(shared, links);
        shared.group.set_contacts(contacts);
        if join(shared).await {
            break;
        }
        sleep(RETRY_AFTER).await;
    }
    // whoever has joined holds no lease: others may count it from an earlier try of the same
    let mut renewal = Instant::now();
    let (mut others, mut retry) = (shared.renewals.clone(), None);
    while !shared.is_over() {
        tokio::select! {
            biased;
            () = due(renewal, shared.times.renew / 2, &mut others) => {
                let pause = renew(shared).await;
                renewal = Instant::now() + pause;
            }
            () = changed(&mut said, retry) => {
                let is_done = join(shared).await;
                retry = (!is_done).then(|| Instant::now() + RETRY_AFTER);
            }
        }
    }
    // what others do with the log is still heard here
    pending().await
}

/// Waits until the lease is to be renewed: at a time, or a little before, when others renew theirs. So those of all come
/// to be renewed together, and the group writes them down, tells of them and syncs them together.
async fn due(renewal: Instant, early: Duration, others: &mut Receiver<u64>) {
    sleep_until(renewal - early).await;
    others.mark_unchanged();
    tokio::select! {
        biased;
        () = sleep_until(renewal) => {}
        Ok(()) = others.changed() => reached!(RENEWED_TOGETHER),
    }
}

/// Waits until the node says something else of itself, or until it is time to try again.
async fn changed(said: &mut Receiver<Card>, retry: Option<Instant>) {
    match retry {
        Some(at) => sleep_until(at).await,
        None => said.changed().await.expect("what holds the receiver holds the sender"),
    }
}

/// Whom to ask for the leader: the founders and those who may vote, but for this node, and all that there is a link to.
fn contacts(shared: &Shared, links: &Links) -> Vec<NodeName> {
    let linked = links.status().into_iter().filter(|link| link.connected).map(|link| link.node.name);
    let mut contacts: Vec<NodeName> =
        shared.founders.iter().chain(&shared.eligible).cloned().chain(linked).collect();
    contacts.sort_unstable();
    contacts.dedup();
    contacts.retain(|name| *name != shared.node.name);
    contacts
}

/// Forms the group if that is this node's to do, and joins. True: it is a member, or is none any more.
async fn join(shared: &Shared) -> bool {
    if !shared.group.is_formed() && shared.founders.first() == Some(&shared.node.name) {
        match founders(shared).await {
            Ok(None) => {}
            Ok(Some(founders)) => {
                if let Err(error) = shared.group.form(founders).await {
                    tracing::warn!(%error, "the cluster group is not formed");
                }
            }
            Err(waits_for) => {
                shared.stand(Standing::Joining { waits_for });
                return false;
            }
        }
    }
    let card = Box::new(shared.card.borrow().clone());
    match shared.propose(&Command::Join { card }, JOIN_WITHIN).await {
        Ok(Outcome::Done { .. } | Outcome::Renewed { .. } | Outcome::Handed { .. }) => {
            shared.stand(Standing::Member);
            true
        }
        Ok(Outcome::Refused { problems }) => {
            // it was a member already, before it heard of it
            let is_over = problems.iter().any(|problem| matches!(problem, Problem::Over { .. }));
            shared.stand(if is_over { Standing::Removed } else { Standing::Refused { problems } });
            is_over
        }
        Err(ProposeError::NotExecuted(problem) | ProposeError::Unknown(problem)) => {
            if *shared.standing.borrow() != Standing::Member {
                let waits_for = match shared.founders.first() {
                    Some(first) if !shared.group.is_formed() => {
                        format!(
                            "the leader of the cluster group, which {first} forms if there is none yet: {problem}"
                        )
                    }
                    _ => format!("the leader of the cluster group: {problem}"),
                };
                shared.stand(Standing::Joining { waits_for });
            }
            false
        }
    }
}

/// All founders with their replicas, if nobody has formed the group yet.
async fn founders(shared: &Shared) -> Result<Option<BTreeMap<odeon_core::ReplicaId, NodeName>>, String> {
    let mut founders = BTreeMap::from([(shared.replica, shared.node.name.clone())]);
    for name in shared.founders.iter().filter(|name| **name != shared.node.name) {
        match shared.group.who(name, WHO_WITHIN).await {
            Ok((_, true)) => return Ok(None),
            Ok((replica, false)) => drop(founders.insert(replica, name.clone())),
            Err(problem) => return Err(format!("the founder {name}: {problem}")),
        }
    }
    Ok(Some(founders))
}

/// Renews the lease, once: an answer that takes longer than until the next one is due may be that of a leader that is
/// none any more. Answers after which time it is to be renewed again.
async fn renew(shared: &Shared) -> Duration {
    let sent = shared.now();
    let nodes = vec![shared.node.clone()];
    let leader = shared.group.status().leader;
    let renew = Command::Renew { nodes };
    let outcome = tokio::select! {
        biased;
        outcome = shared.propose(&renew, shared.times.renew) => outcome,
        // the one that was asked may be lost: leases do not last until it is known that it does not answer
        _ = shared.group.until(|status| status.leader.is_some() && status.leader != leader) => {
            reached!(RENEWED_ELSEWHERE);
            return Duration::ZERO;
        }
    };
    match outcome {
        Ok(Outcome::Renewed { strangers, .. }) if strangers.is_empty() => {
            shared.renewed(sent);
            return shared.times.renew;
        }
        Ok(Outcome::Renewed { .. }) => {
            shared.lose_lease();
            shared.stand(Standing::Removed);
        }
        Ok(outcome) => tracing::warn!(%outcome, "the lease is not renewed"),
        Err(error) => tracing::debug!(%error, "the lease is not renewed"),
    }
    RETRY_AFTER
}
