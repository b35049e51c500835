//! The cluster group, and this node as a member of it.
//!
//! Reading order: [`Membership`] is what the rest of the node asks; `start` opens what the disk has and runs the rest as a
//! part of the node: `member` forms the group or joins it, and renews the lease; `leader` does what only the leader may: it ends
//! leases and says who votes. `offers` is what its card says of its services. `machine` holds the view that all of them agree on; what commands make of it is decided in
//! [`odeon_core::membership`].
//!
//! Architecture invariant: nobody but the group says who is a member. What is seen here of others is a reason to propose
//! something.

mod leader;
mod machine;
mod member;
mod offers;
mod start;
mod store;

pub use start::{MembershipConfig, StartMembershipError};

use crate::cell::fence::Fence;
use crate::cell::{Tick, Wheel};
use crate::journal::Journal;
use crate::node::{Node, NodeInner};
use crate::reach::reached;
use crate::replication::{Group, GroupStatus, ProposeError};
use crate::telemetry::events::{Event, Events};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use odeon_core::membership::{Card, Command, Lease, Outcome, Problem, Proposal, Times, View};
use odeon_core::{NodeId, NodeName, ReplicaId, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// How this node stands to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not a member yet.
    Joining {
        /// For people: what it waits for.
        waits_for: String,
    },
    /// It was refused. It tries again, for what is wrong may be mended elsewhere.
    Refused {
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// It is a member.
    Member,
    /// It was a member, and is no more.
    Removed,
    /// It has left.
    Left,
}

/// The cluster group as this node takes part in it. Clones are handles.
#[derive(Clone)]
pub struct Membership(Arc<Shared>);

struct Shared {
    node: NodeId,
    replica: ReplicaId,
    group: Group,
    journal: Journal,
    events: Events,
    view: watch::Receiver<Arc<View>>,
    renewals: watch::Receiver<u64>,
    standing: watch::Sender<Standing>,
    lease: Mutex<Lease>,
    /// How often it had ended when it was given again.
    lapses: AtomicU64,
    /// What is placed on the node acts within the lease; the node's time.
    fence: Option<Arc<Fence>>,
    wheel: Arc<Wheel>,
    times: Times,
    founders: BTreeSet<NodeName>,
    eligible: BTreeSet<NodeName>,
    voters_wanted: usize,
    card: watch::Sender<Card>,
    /// Where timestamps begin.
    origin: Instant,
}

impl Membership {
    /// That of a node, if it has one.
    pub fn of(node: &Node) -> Option<Self> {
        node.inner().membership.get().cloned()
    }

    /// What this node is called in its cluster.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// Those who form the cluster, as this node was told.
    pub fn founders(&self) -> &BTreeSet<NodeName> {
        &self.0.founders
    }

    /// Those who may vote, as this node was told.
    pub fn eligible(&self) -> &BTreeSet<NodeName> {
        &self.0.eligible
    }

    /// How many of them are to vote, as this node was told.
    pub fn voters_wanted(&self) -> usize {
        self.0.voters_wanted
    }

    /// The members, as far as this node has heard. It is not older than what this node has seen before.
    pub fn view(&self) -> Arc<View> {
        self.0.view.borrow().clone()
    }

    /// Follows the view: each change, or at least the last one of several. A renewal is none.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.0.view.clone()
    }

    /// How this node stands to the cluster.
    pub fn standing(&self) -> Standing {
        self.0.standing.borrow().clone()
    }

    /// Waits until it stands so.
    pub async fn until(&self, is_so: impl FnMut(&Standing) -> bool) -> Standing {
        let mut standing = self.0.standing.subscribe();
        let now = standing.wait_for(is_so).await.map(|now| now.clone());
        now.expect("the sender is held by this handle")
    }

    /// Whether this node may act as the member that it is: volatile entities and singletons, above all. It says no before
    /// the group gives its work to others.
    pub fn holds_lease(&self) -> bool {
        self.0.lease.lock().holds(self.0.now())
    }

    /// Whether what this node knows of the cluster may be out of date, for it holds no lease. What is stateless goes on by
    /// that.
    pub fn is_stale(&self) -> bool {
        *self.0.standing.borrow() != Standing::Member || !self.holds_lease()
    }

    /// Whether what is placed here may act: a little shorter than the lease, as long as activations themselves think so.
    pub(crate) fn may_act(&self) -> bool {
        let now = Tick::at(self.0.wheel.elapsed());
        self.holds_lease() && self.0.fence.as_ref().is_none_or(|fence| fence.is_open(now))
    }

    /// How often a lease had ended when the node was given another one.
    pub(crate) fn lapses(&self) -> u64 {
        self.0.lapses.load(Relaxed)
    }

    /// Where its promises are written down.
    pub(crate) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// Where it is noted what happens to the node.
    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// How long it may, if it may.
    pub(crate) fn lease_left(&self) -> Option<Duration> {
        let (ends, now) = (self.0.lease.lock().ends()?, self.0.now());
        (now < ends).then(|| ends.since(now))
    }

    /// Waits until others have all entities and singletons of this node that they can have, once the group knows that it
    /// drains ([`Command::Drain`]). False: the time is up, and it has some.
    pub fn gave_away(&self, within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move { tokio::time::timeout(within, crate::placement::drained(self)).await.is_ok() })
    }

    /// The cluster group as this node's replica sees it.
    pub fn group(&self) -> GroupStatus {
        self.0.group.status()
    }

    /// It offers what its node has registered by now.
    pub(crate) fn offer(&self, node: &NodeInner) {
        let offers = offers::offers(node);
        self.0.card.send_if_modified(|card| {
            let is_new = card.offers != offers;
            card.offers = offers;
            is_new
        });
    }

    /// What it says of itself from now on. What it offers it says by itself.
    pub fn say(&self, change: impl FnOnce(&mut Card)) {
        self.0.card.send_modify(change);
    }

    /// Has the cluster group take a command.
    ///
    /// # Errors
    /// [`ProposeError`]. What the group refuses is no error, but an outcome.
    pub fn propose<'a>(
        &'a self,
        command: &'a Command,
        within: Duration,
    ) -> BoxFuture<'a, Result<Outcome, ProposeError>> {
        Box::pin(async move { self.0.propose(command, within).await })
    }

    /// Leaves the cluster: others take over at once, not when the lease ends.
    ///
    /// # Errors
    /// [`ProposeError`]: there was no leader in time. The lease will end.
    pub fn leave(&self, within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(async move {
            self.0.standing.send_replace(Standing::Left);
            self.0.lose_lease();
            let reason = odeon_core::membership::Reason::Left;
            let leave = Command::Remove { node: self.0.node.clone(), reason, renewals: None };
            self.0.propose(&leave, within).await.map(drop)
        })
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership").field("node", &self.0.node).finish_non_exhaustive()
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.origin.elapsed()
    }

    /// A renewal was taken that was sent then.
    fn renewed(&self, sent: Timestamp) {
        let mut lease = self.lease.lock();
        // whoever leaves says so first, and gives its lease up under the same lock
        if self.is_over() {
            return;
        }
        // the clock of the fence is read first: what passes in between makes it close too early, never too late
        let (fenced, now) = (self.wheel.elapsed(), self.now());
        let is_closed = self.fence.as_ref().is_some_and(|fence| !fence.is_open(Tick::at(fenced)));
        let begins = match lease.ends() {
            None => true,
            Some(_) if is_closed || !lease.holds(now) => {
                reached!(LAPSED);
                self.lapses.fetch_add(1, Relaxed);
                true
            }
            Some(_) => false,
        };
        lease.taken(sent);
        if let (Some(fence), Some(ends)) = (&self.fence, lease.ends()) {
            fence.open_until(fenced + ends.since(now));
            if begins {
                fence.opened.notify_one();
            }
        }
    }

    fn lose_lease(&self) {
        let mut lease = self.lease.lock();
        lease.lose();
        self.fence.iter().for_each(|fence| fence.close());
    }

    fn stand(&self, standing: Standing) {
        self.standing.send_if_modified(|now| {
            // whoever has left or was removed has to come back as another incarnation
            let is_over = matches!(now, Standing::Left | Standing::Removed);
            let changes = !is_over && *now != standing;
            if changes {
                self.events.note(&Event::Standing { node: self.node.clone(), standing: standing.clone() });
                *now = standing;
            }
            changes
        });
    }

    fn is_over(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Left | Standing::Removed)
    }

    async fn propose(&self, command: &Command, within: Duration) -> Result<Outcome, ProposeError> {
        let proposal = Proposal { at: unix_millis(), ..command.clone().into() };
        let proposal = serde_json::to_vec(&proposal).expect("commands can be written");
        let applied = self.group.propose(Bytes::from(proposal), within).await?;
        let read = serde_json::from_slice(&applied.answer);
        read.map_err(|error| ProposeError::Unknown(format!("the answer cannot be read: {error}")))
    }
}

/// Milliseconds since 1970; zero if the clock stands before that.
#[expect(
    clippy::disallowed_methods,
    reason = "people are told when something changed; nothing is decided by it"
)]
fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
