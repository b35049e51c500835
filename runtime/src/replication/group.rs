//! One group, as this node takes part in it.

use super::exchange::{AskError, Exchange};
use super::log::Log;
use super::machine::{Applier, StateMachine};
use super::message::{Answer, Ask, entry_id};
use super::peers::Peers;
use super::raft::{InSpan, LogId, Types};
use super::serve::{self, Node, Seat};
use super::snapshot::Snapshots;
use crate::host::Blocking;
use crate::journal::Journal;
use bytes::Bytes;
use odeon_core::journal::GroupId;
use odeon_core::{EntryId, NodeName, ReplicaId};
use openraft::Instant as _;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::raft::ClientWriteResponse;
use openraft::{AsyncRuntime, ChangeMembers, Config, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What could not be done for want of a leader is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(50);
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
    /// A leader tells that it lives so often. Default 200 ms.
    pub heartbeat: Duration,
    /// A replica that has not heard of a leader for a time of this range wants to be elected: at least three heartbeats.
    /// Default 1 to 2 s.
    pub election: RangeInclusive<Duration>,
    /// After so many entries another snapshot is taken. Default 5,000.
    pub snapshot_after: u64,
}

impl GroupConfig {
    /// All else as by default.
    pub fn new(group: GroupId, replica: ReplicaId, node: NodeName, snapshots: impl Into<PathBuf>) -> Self {
        Self {
            group,
            replica,
            node,
            snapshots: snapshots.into(),
            heartbeat: Duration::from_millis(200),
            election: Duration::from_secs(1)..=Duration::from_secs(2),
            snapshot_after: 5_000,
        }
    }

    fn raft(&self) -> Result<Config, StartGroupError> {
        let milliseconds = |duration: Duration| duration.as_millis() as u64;
        let config = Config {
            cluster_name: self.group.to_string(),
            heartbeat_interval: milliseconds(self.heartbeat),
            election_timeout_min: milliseconds(*self.election.start()),
            election_timeout_max: milliseconds(*self.election.end()),
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

/// What has become of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its entry.
    pub at: EntryId,
    /// What the state machine said.
    pub answer: Bytes,
}

/// Why a command was not applied, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// There was no leader to make an entry of it in time. It will not be applied.
    #[error("{0}")]
    NotExecuted(String),
    /// It may have been applied, or be applied yet.
    #[error("it is not known whether it will be applied: {0}")]
    Unknown(String),
}

/// The leader, as far as it is known, did not tell how far one has to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no majority has said in time how far one has to read: {0}")]
pub struct ReadError(pub String);

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
    /// The last entry that it has applied.
    pub applied: Option<EntryId>,
    /// The last entry that is in its snapshot.
    pub snapshot: Option<u64>,
    /// The time since a majority was last heard of, if it leads.
    pub quorum_heard: Option<Duration>,
    /// Why it has ended, if it has.
    pub failure: Option<String>,
}

impl GroupStatus {
    fn of(metrics: &RaftMetrics<Types>) -> Self {
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
            applied: metrics.last_applied.as_ref().map(entry_id),
            snapshot: index(&metrics.snapshot),
            quorum_heard: metrics.last_quorum_acked.map(|at| at.elapsed()),
            failure: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }
}

/// A replica of a group on this node. Clones are handles; it runs until [`Group::stop`], or its executor ends.
#[derive(Clone)]
pub struct Group(Arc<Inner>);

struct Inner {
    group: GroupId,
    replica: ReplicaId,
    raft: Node,
    exchange: Exchange,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("group", &self.0.group)
            .field("replica", &self.0.replica)
            .finish_non_exhaustive()
    }
}

/// The outcome of one try.
enum Tried<T> {
    Done(T),
    /// Nothing was done; worth another try.
    Again(String),
    Unknown(String),
}

impl Group {
    /// Starts the replica of this node, on the executor on which this is called, where what the journal and the newest
    /// snapshot have of it ends. A new one waits until it is made part of a group, or forms one.
    ///
    /// # Errors
    /// [`StartGroupError`].
    pub async fn start(
        config: GroupConfig,
        journal: &Journal,
        blocking: Arc<dyn Blocking>,
        exchange: &Exchange,
        machine: Box<dyn StateMachine>,
    ) -> Result<Self, StartGroupError> {
        let raft_config = config.raft()?;
        let GroupConfig { group, replica, snapshots, .. } = config;
        let log = Log::open(group, journal.clone()).await.map_err(StartGroupError::Written)?;
        let snapshots = Snapshots::new(snapshots, group, blocking);
        let applier = Applier::open(machine, snapshots).await.map_err(StartGroupError::Written)?;
        let peers = Peers { exchange: exchange.clone(), group };
        let raft = Raft::new(replica, Arc::new(raft_config), peers, log, applier).await;
        let raft = raft.map_err(|error| StartGroupError::Ended(error.to_string()))?;
        exchange.seat(group, Some(Seat::new(replica, raft.clone())));
        InSpan::spawn(tell(group, raft.metrics()));
        Ok(Self(Arc::new(Inner { group, replica, raft, exchange: exchange.clone() })))
    }

    /// Forms the group with these replicas as its first voters. Of them one does it, or several do it alike; the others
    /// wait. Whether it was formed before is kept: it is not formed again then.
    ///
    /// # Errors
    /// [`ChangeError::Refused`]: it was formed before, or this replica is none of them.
    pub async fn form(&self, voters: BTreeMap<ReplicaId, NodeName>) -> Result<(), ChangeError> {
        self.0.raft.initialize(voters).await.map_err(|error| match error {
            RaftError::APIError(error) => ChangeError::Refused(error.to_string()),
            RaftError::Fatal(fatal) => ChangeError::Unknown(fatal.to_string()),
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

    /// Has the leader, wherever it is, make an entry of a command, and waits until that is applied there.
    ///
    /// # Errors
    /// [`ProposeError`]; whether it will be applied is known only for [`ProposeError::NotExecuted`].
    pub async fn propose(&self, command: Bytes, within: Duration) -> Result<Applied, ProposeError> {
        let outcome = self.try_until(within, |left| self.try_propose(command.clone(), left)).await;
        match outcome {
            Tried::Done(applied) => Ok(applied),
            Tried::Again(problem) => Err(ProposeError::NotExecuted(problem)),
            Tried::Unknown(problem) => Err(ProposeError::Unknown(problem)),
        }
    }

    /// Waits until all that was committed anywhere before this was called is applied here (linearizable reads).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn barrier(&self, within: Duration) -> Result<(), ReadError> {
        let deadline = Instant::now() + within;
        let index = match self.try_until(within, |left| self.try_barrier(left)).await {
            Tried::Done(index) => index,
            Tried::Again(problem) | Tried::Unknown(problem) => return Err(ReadError(problem)),
        };
        let applied = self.until(|status| status.applied.is_some_and(|applied| applied.index >= index));
        let late = |_| ReadError(format!("entry {index} is not applied here yet"));
        timeout_at(deadline, applied).await.map(drop).map_err(late)
    }

    async fn try_until<T, F>(&self, within: Duration, mut attempt: impl FnMut(Duration) -> F) -> Tried<T>
    where
        F: Future<Output = Tried<T>>,
    {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let problem = match attempt(left).await {
                Tried::Again(problem) => problem,
                outcome => return outcome,
            };
            let before = self.status().leader;
            let later = Instant::now() + RETRY_AFTER;
            if later > deadline {
                return Tried::Again(problem);
            }
            // until there is another leader, or a while has passed
            let _ = timeout_at(later, self.until(|status| status.leader != before)).await;
        }
    }

    async fn try_propose(&self, command: Bytes, within: Duration) -> Tried<Applied> {
        let answer = self.ask_leader(within, Ask::Propose { command }).await;
        answer.and_then(|answer| match answer {
            Answer::Proposed { at, answer } => Tried::Done(Applied { at, answer }),
            other => Tried::Unknown(format!("an answer to something else: {other:?}")),
        })
    }

    async fn try_barrier(&self, within: Duration) -> Tried<u64> {
        let answer = self.ask_leader(within, Ask::Barrier).await;
        answer.and_then(|answer| match answer {
            Answer::Barrier { index } => Tried::Done(index),
            other => Tried::Unknown(format!("an answer to something else: {other:?}")),
        })
    }

    async fn ask_leader(&self, within: Duration, ask: Ask) -> Tried<Answer> {
        let Inner { group, replica, raft, exchange } = &*self.0;
        let Some((leader, node)) = self.status().leader else {
            return Tried::Again(format!("{group} has no leader that is known here"));
        };
        if leader != *replica {
            return match exchange.ask(&node, (*group, Some(leader)), ask, within).await {
                Ok(answer) => Tried::of(answer),
                Err(error @ (AskError::NotSent(_) | AskError::TooMany)) => {
                    Tried::Again(format!("the leader is on {node}: {error}"))
                }
                Err(error @ (AskError::Lost | AskError::Late)) => {
                    Tried::Unknown(format!("the leader is on {node}: {error}"))
                }
            };
        }
        let answered = async {
            match ask {
                Ask::Propose { command } => serve::propose(raft, command).await,
                _ => serve::barrier(raft).await,
            }
        };
        match timeout_at(Instant::now() + within, answered).await {
            Ok(Ok(answer)) => Tried::of(answer),
            Ok(Err(serve::Ended(problem))) => Tried::Unknown(problem),
            Err(_) => Tried::Unknown("no majority has confirmed it in time".into()),
        }
    }

    /// Adds a replica that takes entries and does not vote. Returns once this is committed.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn add_learner(&self, replica: ReplicaId, node: NodeName) -> Result<(), ChangeError> {
        changed(self.0.raft.add_learner(replica, node, false).await)
    }

    /// Makes these the voters, who take entries already, by joint consensus; those who were go on as learners.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn set_voters(&self, voters: BTreeSet<ReplicaId>) -> Result<(), ChangeError> {
        changed(self.0.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), true).await)
    }

    /// Takes learners out of the group.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn remove(&self, learners: BTreeSet<ReplicaId>) -> Result<(), ChangeError> {
        changed(self.0.raft.change_membership(ChangeMembers::RemoveNodes(learners), false).await)
    }

    /// Gives the lead to another voter, if this replica has it. Whether it takes it is seen in the status.
    ///
    /// # Errors
    /// It has ended.
    pub async fn transfer(&self, to: ReplicaId) -> Result<(), ChangeError> {
        self.0.raft.trigger().transfer_leader(to).await.map_err(ended)
    }

    /// Takes a snapshot now.
    ///
    /// # Errors
    /// It has ended.
    pub async fn snapshot(&self) -> Result<(), ChangeError> {
        self.0.raft.trigger().snapshot().await.map_err(ended)
    }

    /// Ends the replica here. What it has is kept.
    pub async fn stop(&self) {
        self.0.exchange.seat(self.0.group, None);
        // an error says that it has panicked, which was reported
        let _ = self.0.raft.shutdown().await;
    }
}

/// Logs what becomes of the replica, until it ends.
async fn tell(group: GroupId, mut metrics: WatchReceiverOf<Types, RaftMetrics<Types>>) {
    let mut before = None;
    loop {
        let status = GroupStatus::of(&metrics.borrow_and_update());
        let now = (status.role, status.leader.clone());
        if before.as_ref() != Some(&now) {
            let (role, term) = (status.role, status.term);
            match (&status.failure, &status.leader) {
                (Some(failure), _) => tracing::error!(%group, failure, "a replica has ended"),
                (None, Some((_, leader))) => {
                    tracing::info!(%group, ?role, term, %leader, "a leader is known")
                }
                (None, None) => tracing::info!(%group, ?role, term, "no leader is known"),
            }
            before = Some(now);
        }
        if status.role == Role::Ended || metrics.changed().await.is_err() {
            return;
        }
    }
}

impl<T> Tried<T> {
    fn and_then<U>(self, then: impl FnOnce(T) -> Tried<U>) -> Tried<U> {
        match self {
            Self::Done(done) => then(done),
            Self::Again(problem) => Tried::Again(problem),
            Self::Unknown(problem) => Tried::Unknown(problem),
        }
    }
}

impl Tried<Answer> {
    fn of(answer: Answer) -> Self {
        match answer {
            Answer::NotLeader { leader: Some((_, node)) } => Self::Again(format!("the leader is on {node}")),
            Answer::NotLeader { leader: None } => Self::Again("there is no leader".into()),
            Answer::Refused { problem } => Self::Again(problem),
            Answer::Unknown { problem } => Self::Unknown(problem),
            answer => Self::Done(answer),
        }
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
