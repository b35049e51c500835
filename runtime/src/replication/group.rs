//! One group, as this node takes part in it.

use super::campaign::Campaigns;
use super::exchange::Exchange;
use super::log::Log;
use super::machine::{Applier, StateMachine};
use super::message::{Answer, Ask};
use super::peers::Peers;
use super::raft::{InSpan, Types};
use super::serve::{Node, Seat};
use super::snapshot::Snapshots;
use super::status::{GroupStatus, tell};
use crate::host::Blocking;
use crate::journal::Journal;
use crate::telemetry::Events;
use futures_util::future::BoxFuture;
use odeon_core::journal::GroupId;
use odeon_core::membership::Times;
use odeon_core::{NodeName, ReplicaId};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::raft::ClientWriteResponse;
use openraft::{AsyncRuntime, ChangeMembers, Config, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Entries that are kept behind a snapshot, for replicas that are not far behind.
const KEPT: u64 = 1_000;
/// Entries that go to another replica at once.
const ENTRIES_MAX: u64 = 512;
/// A snapshot is taken and sent within this time.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);

/// How a group is kept.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Which.
    pub group: GroupId,
    /// The replica that this node's directory holds.
    pub replica: ReplicaId,
    /// The name of this node.
    pub node: NodeName,
    /// Where snapshots are kept. Made if it is not there.
    pub snapshots: PathBuf,
    /// A leader tells that it lives so often. Default as in [`Times`].
    pub heartbeat: Duration,
    /// A replica that has not heard of a leader for a time of this range wants to be elected: at least three heartbeats.
    /// Default as in [`Times`].
    pub election: RangeInclusive<Duration>,
    /// After so many entries another snapshot is taken. Default 5,000.
    pub snapshot_after: u64,
    /// Where it is noted who leads. Default: nowhere but in the log.
    pub events: Events,
}

impl GroupConfig {
    /// All else as by default.
    pub fn new(group: GroupId, replica: ReplicaId, node: NodeName, snapshots: impl Into<PathBuf>) -> Self {
        let times = Times::default();
        Self {
            group,
            replica,
            node,
            snapshots: snapshots.into(),
            heartbeat: times.heartbeat,
            election: times.election_min..=times.election_max,
            snapshot_after: 5_000,
            events: Events::default(),
        }
    }

    fn raft(&self) -> Result<Config, StartGroupError> {
        let milliseconds = |duration: Duration| duration.as_millis() as u64;
        // openraft waits for its greatest time, in which nobody votes for another leader, and for one of the range then
        let patience = *self.election.end() / 2;
        let earliest = self.election.start().saturating_sub(patience).max(self.heartbeat * 2);
        let config = Config {
            cluster_name: self.group.to_string(),
            heartbeat_interval: milliseconds(self.heartbeat),
            election_timeout_min: milliseconds(earliest),
            election_timeout_max: milliseconds(patience),
            install_snapshot_timeout: milliseconds(SNAPSHOT_WITHIN),
            max_payload_entries: ENTRIES_MAX,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_after),
            max_in_snapshot_log_to_keep: KEPT.min(self.snapshot_after),
            // one that comes back from a cut does not end the term of those who go on
            enable_pre_vote: Some(true),
            // a leader that began again in its term would answer reads from what it has applied until then
            enable_leader_restore: Some(false),
            ..Config::default()
        };
        config.validate().map_err(|error| StartGroupError::Config(error.to_string()))
    }
}

/// Why a replica does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartGroupError {
    /// Its times do not fit to each other.
    #[error("{0}")]
    Config(String),
    /// What was written down of it cannot be used. It must not vote with what is left.
    #[error("what was written down of it cannot be used: {0}")]
    Written(String),
    /// It has ended while it started.
    #[error("{0}")]
    Ended(String),
}

/// Why the replicas were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The leader is another one, if there is one.
    #[error("this is not the leader")]
    NotLeader,
    /// It cannot be done now. Nothing was.
    #[error("{0}")]
    Refused(String),
    /// It may be done, or be done yet.
    #[error("it is not known whether it is done: {0}")]
    Unknown(String),
}

/// A replica of a group on this node. Clones are handles; it runs until [`Group::stop`], or its executor ends.
#[derive(Clone)]
pub struct Group(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) group: GroupId,
    pub(super) replica: ReplicaId,
    pub(super) raft: Node,
    pub(super) exchange: Exchange,
    pub(super) contacts: Mutex<Vec<NodeName>>,
    /// Where the leader was said to be, and who was known to lead then: who has heard of another one since knows better.
    pub(super) said: Mutex<Option<(NodeName, Option<ReplicaId>)>>,
    pub(super) turn: AtomicUsize,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("group", &self.0.group)
            .field("replica", &self.0.replica)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Starts the replica of this node, on the executor on which this is called, where what the journal and the newest
    /// snapshot have of it ends. A new one waits until it is made part of a group, or forms one.
    ///
    /// # Errors
    /// [`StartGroupError`].
    pub fn start<'a>(
        config: GroupConfig,
        journal: &'a Journal,
        blocking: Arc<dyn Blocking>,
        exchange: &'a Exchange,
        machine: Box<dyn StateMachine>,
    ) -> BoxFuture<'a, Result<Self, StartGroupError>> {
        Box::pin(async move {
            let raft_config = config.raft()?;
            let GroupConfig { group, replica, snapshots, heartbeat, events, .. } = config;
            let log = Log::open(group, journal.clone()).await.map_err(StartGroupError::Written)?;
            let snapshots = Snapshots::new(snapshots, group, blocking);
            let applier = Applier::open(machine, snapshots).await.map_err(StartGroupError::Written)?;
            let campaigns = Arc::new(Campaigns::new(replica, heartbeat));
            let peers = Peers { exchange: exchange.clone(), group, campaigns: campaigns.clone() };
            let raft = Raft::new(replica, Arc::new(raft_config), peers, log, applier).await;
            let raft = raft.map_err(|error| StartGroupError::Ended(error.to_string()))?;
            exchange.seat(group, Some(Seat::new(replica, raft.clone(), campaigns)));
            InSpan::spawn(tell(group, raft.metrics(), events));
            let (contacts, said, turn) = Default::default();
            Ok(Self(Arc::new(Inner {
                group,
                replica,
                raft,
                exchange: exchange.clone(),
                contacts,
                said,
                turn,
            })))
        })
    }

    /// Forms the group with these replicas as its first voters. Of them one does it, or several do it alike; the others
    /// wait. Whether it was formed before is kept: it is not formed again then.
    ///
    /// # Errors
    /// [`ChangeError::Refused`]: it was formed before, or this replica is none of them.
    pub fn form(&self, voters: BTreeMap<ReplicaId, NodeName>) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async move {
            self.0.raft.initialize(voters).await.map_err(|error| match error {
                RaftError::APIError(error) => ChangeError::Refused(error.to_string()),
                RaftError::Fatal(fatal) => ChangeError::Unknown(fatal.to_string()),
            })
        })
    }

    /// Whether it knows of a group that was formed.
    pub fn is_formed(&self) -> bool {
        self.0.raft.metrics().borrow_watched().membership_config.log_id().is_some()
    }

    /// The group as this replica sees it.
    pub fn status(&self) -> GroupStatus {
        GroupStatus::of(&self.0.raft.metrics().borrow_watched())
    }

    /// Waits until the status is one of these.
    pub async fn until(&self, is_one: impl Fn(&GroupStatus) -> bool) -> GroupStatus {
        let mut metrics = self.0.raft.metrics();
        loop {
            let status = GroupStatus::of(&metrics.borrow_and_update());
            if is_one(&status) {
                return status;
            }
            if metrics.changed().await.is_err() {
                // it has ended, and changes no more
                std::future::pending::<()>().await;
            }
        }
    }

    /// Nodes that may know the leader, for a replica that takes no part yet.
    pub fn set_contacts(&self, nodes: Vec<NodeName>) {
        *self.0.contacts.lock() = nodes;
    }

    /// Asks which replica a node has, and whether it is part of a group that was formed.
    ///
    /// # Errors
    /// For people: why that is not known.
    pub async fn who(&self, node: &NodeName, within: Duration) -> Result<(ReplicaId, bool), String> {
        match self.0.exchange.ask(node, (self.0.group, None), Ask::Who, within).await {
            Ok(Answer::Who { replica, is_formed }) => Ok((replica, is_formed)),
            Ok(Answer::Refused { problem }) => Err(problem),
            Ok(other) => Err(format!("an answer to something else: {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Adds a replica that takes entries and does not vote. Returns once this is committed.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn add_learner(&self, replica: ReplicaId, node: NodeName) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async move { changed(self.0.raft.add_learner(replica, node, false).await) })
    }

    /// Makes these the voters, who take entries already, by joint consensus; those who were go on as learners.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn set_voters(&self, voters: BTreeSet<ReplicaId>) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async move {
            changed(self.0.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), true).await)
        })
    }

    /// Takes learners out of the group.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn remove(&self, learners: BTreeSet<ReplicaId>) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async move {
            changed(self.0.raft.change_membership(ChangeMembers::RemoveNodes(learners), false).await)
        })
    }

    /// Gives the lead to another voter, if this replica has it. Whether it takes it is seen in the status.
    ///
    /// # Errors
    /// It has ended.
    pub fn transfer(&self, to: ReplicaId) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async move { self.0.raft.trigger().transfer_leader(to).await.map_err(ended) })
    }

    /// Takes a snapshot now.
    ///
    /// # Errors
    /// It has ended.
    pub fn snapshot(&self) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async move { self.0.raft.trigger().snapshot().await.map_err(ended) })
    }

    /// Ends the replica here. What it has is kept.
    pub fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.0.exchange.seat(self.0.group, None);
            // an error says that it has panicked, which was reported
            let _ = self.0.raft.shutdown().await;
        })
    }
}

fn ended(fatal: Fatal<Types>) -> ChangeError {
    ChangeError::Unknown(fatal.to_string())
}

fn changed(
    outcome: Result<ClientWriteResponse<Types>, RaftError<Types, ClientWriteError<Types>>>,
) -> Result<(), ChangeError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(RaftError::Fatal(fatal)) => Err(ended(fatal)),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(ChangeError::NotLeader),
        Err(RaftError::APIError(error @ ClientWriteError::LogEntryDiscarded(_))) => {
            Err(ChangeError::Unknown(error.to_string()))
        }
        Err(RaftError::APIError(error)) => Err(ChangeError::Refused(error.to_string())),
    }
}
