//! What openraft is told of our types. Nothing of it is seen outside of this folder.

use bytes::Bytes;
use odeon_core::{NodeName, ReplicaId};
use openraft::impls::{Entry, EntryPayload, InlineBatch, OneshotResponder, Vote, leader_id_std};
use openraft::vote::RaftLeaderId;
use openraft::{AnyError, AsyncRuntime, OptionalSend, RaftTypeConfig, StoredMembership};
use openraft_rt_tokio::TokioRuntime;
use std::fmt;
use std::time::Duration;
use tracing::Instrument;
use tracing::instrument::Instrumented;

/// One leader a term at the most, as in the paper.
pub(super) type LeaderId = leader_id_std::LeaderId<u64, ReplicaId>;
pub(super) type Committed = <LeaderId as RaftLeaderId>::Committed;
pub(super) type LogId = openraft::LogId<Committed>;
pub(super) type RaftVote = Vote<LeaderId>;
pub(super) type Payload = EntryPayload<Command, ReplicaId, NodeName>;
pub(super) type RaftEntry = Entry<Committed, Payload>;
pub(super) type Members = openraft::Membership<ReplicaId, NodeName>;
pub(super) type StoredMembers = StoredMembership<Committed, ReplicaId, NodeName>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<Committed, ReplicaId, NodeName>;
pub(super) type Snapshot = openraft::Snapshot<Committed, ReplicaId, NodeName, Bytes>;

/// What a group replicates, as its state machine writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command(pub(super) Bytes);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Bytes;
    type NodeId = ReplicaId;
    type Node = NodeName;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = RaftVote;
    type Payload = Payload;
    type Entry = RaftEntry;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type AsyncRuntime = InSpan;
    type ErrorSource = AnyError;
}

/// tokio, with the node's span around each task: what it logs must name the node.
#[derive(Debug)]
pub(super) struct InSpan(TokioRuntime);

impl AsyncRuntime for InSpan {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let future: Instrumented<T> = future.in_current_span();
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
