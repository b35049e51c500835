//! A replica answers what others ask it.

use super::campaign::Campaigns;
use super::machine::Applier;
use super::message::{Answer, Ask, Ballot, Meta, Written, entry_id, log_id};
use super::raft::{Command, InSpan, Snapshot, Types};
use super::snapshot::SNAPSHOT_MAX;
use bytes::Bytes;
use futures_util::FutureExt;
use odeon_core::{EntryId, NodeName, ReplicaId};
use openraft::AsyncRuntime;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{
    ClientWriteError, Fatal, ForwardReason, ForwardToLeader, LinearizableReadError, RaftError,
};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use openraft::{Raft, ReadPolicy};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) type Node = Raft<Types, Applier>;

/// A replica, as others see it.
pub(super) struct Seat {
    replica: ReplicaId,
    raft: Node,
    campaigns: Arc<Campaigns>,
    incoming: Mutex<Option<Incoming>>,
}

/// A snapshot of which not all has come.
struct Incoming {
    from: NodeName,
    vote: Ballot,
    meta: Meta,
    state: Vec<u8>,
}

/// The replica has ended, for this reason. What it was asked may have been done.
#[derive(Debug)]
pub(super) struct Ended(pub(super) String);

impl From<Fatal<Types>> for Ended {
    fn from(fatal: Fatal<Types>) -> Self {
        Self(fatal.to_string())
    }
}

fn refused(problem: impl ToString) -> Answer {
    Answer::Refused { problem: problem.to_string() }
}

impl Seat {
    pub(super) fn new(replica: ReplicaId, raft: Node, campaigns: Arc<Campaigns>) -> Arc<Self> {
        Arc::new(Self { replica, raft, campaigns, incoming: Mutex::default() })
    }

    pub(super) fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Works on a question. Appends are handed to openraft in the order in which they come. `done` is given the answer,
    /// or none if the replica has ended: whoever asked is not told that nothing was done, for that is not known.
    pub(super) fn serve(
        self: Arc<Self>,
        from: &NodeName,
        ask: Ask,
        done: impl FnOnce(Option<Answer>) + Send + 'static,
    ) {
        let answering = Box::pin(self.answer(from.clone(), ask));
        // a first look, whatever the caller's task has done before, hands it over
        let mut answering = tokio::task::coop::unconstrained(answering);
        match (&mut answering).now_or_never() {
            Some(answer) => done(answer.ok()),
            None => {
                InSpan::spawn(async move { done(answering.await.ok()) });
            }
        }
    }

    async fn answer(self: Arc<Self>, from: NodeName, ask: Ask) -> Result<Answer, Ended> {
        let raft = &self.raft;
        match ask {
            Ask::Append { vote, previous, entries, committed } => {
                self.append(vote, previous, entries, committed).await
            }
            Ask::Vote { vote, last, transfer } => {
                let mut request = VoteRequest::new(vote.into(), last.map(log_id));
                request.leadership_transfer = transfer;
                voted(raft.vote(request).await)
            }
            Ask::PreVote { vote, last } => self.pre_vote(vote, last).await,
            Ask::Lead { from, last } => {
                let request = TransferLeaderRequest::new(from.into(), self.replica, last.map(log_id));
                Ok(match raft.handle_transfer_leader(request).await? {
                    Ok(()) => Answer::Leads,
                    Err(error) => refused(error),
                })
            }
            Ask::Install { vote, meta, length, at, piece } => {
                self.install(from, vote, meta, (length, at), piece).await
            }
            Ask::Propose { command, within } => propose(raft, command, within).await,
            Ask::Take { .. } => Ok(Answer::Refused { problem: "that is no matter of a group".into() }),
            Ask::Barrier => barrier(raft).await,
            Ask::Who => {
                let metrics = raft.metrics();
                let is_formed = metrics.borrow_watched().membership_config.log_id().is_some();
                Ok(Answer::Who { replica: self.replica, is_formed })
            }
        }
    }

    async fn pre_vote(&self, vote: Ballot, last: Option<EntryId>) -> Result<Answer, Ended> {
        let answer = voted(self.raft.pre_vote(VoteRequest::new(vote.into(), last.map(log_id))).await)?;
        let is_granted = matches!(answer, Answer::Voted { granted: true, .. });
        if is_granted && !self.campaigns.back(vote.replica, last, Instant::now()) {
            return Ok(refused("it wants to be elected itself, and its id is greater"));
        }
        Ok(answer)
    }

    async fn append(
        &self,
        vote: Ballot,
        previous: Option<EntryId>,
        entries: Vec<Written>,
        committed: Option<EntryId>,
    ) -> Result<Answer, Ended> {
        let first = previous.map_or(0, |previous| previous.index + 1);
        let entries = (first..).zip(entries).map(|(index, entry)| entry.at(index));
        let entries = match entries.collect::<Result<_, _>>() {
            Ok(entries) => entries,
            Err(problem) => return Ok(refused(problem)),
        };
        let request = AppendEntriesRequest {
            vote: vote.into(),
            prev_log_id: previous.map(log_id),
            entries,
            leader_commit: committed.map(log_id),
        };
        let appended = self.raft.append_entries(request).await.map_err(|error| Ended(error.to_string()))?;
        Ok(match appended {
            AppendEntriesResponse::Success => Answer::Appended,
            AppendEntriesResponse::HigherVote(vote) => Answer::Later { vote: Ballot::from(&vote) },
            AppendEntriesResponse::Conflict => Answer::Conflict,
            AppendEntriesResponse::PartialSuccess(_) => refused("only some of the entries were written"),
        })
    }

    async fn install(
        &self,
        from: NodeName,
        vote: Ballot,
        meta: Meta,
        (length, at): (u64, u64),
        piece: Bytes,
    ) -> Result<Answer, Ended> {
        let state = match self.take_piece(from, vote, &meta, (length, at), piece) {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(Answer::Piece),
            Err(problem) => return Ok(refused(problem)),
        };
        let meta = match meta.raft() {
            Ok(meta) => meta,
            Err(problem) => return Ok(refused(problem)),
        };
        let snapshot = Snapshot { meta, snapshot: state };
        let installed = self.raft.install_full_snapshot(vote.into(), snapshot).await?;
        Ok(Answer::Installed { vote: Ballot::from(&installed.vote) })
    }

    /// Takes a piece of a snapshot. Gives back all of it with the last one.
    fn take_piece(
        &self,
        from: NodeName,
        vote: Ballot,
        meta: &Meta,
        (length, at): (u64, u64),
        piece: Bytes,
    ) -> Result<Option<Bytes>, String> {
        if length > SNAPSHOT_MAX {
            return Err(format!("a snapshot of {length} bytes: {SNAPSHOT_MAX} are the most"));
        }
        let mut incoming = self.incoming.lock();
        if at == 0 {
            *incoming = Some(Incoming { from: from.clone(), vote, meta: meta.clone(), state: Vec::new() });
        }
        let fits = |known: &Incoming| known.from == from && known.vote == vote && known.meta == *meta;
        let Some(known) = incoming.as_mut().filter(|known| fits(known)) else {
            return Err("the snapshot of which this is a piece is not known".into());
        };
        let had = known.state.len() as u64;
        if at != had || piece.len() as u64 > length - had {
            return Err(format!("{} bytes at {at} of {length}, of which {had} are here", piece.len()));
        }
        known.state.extend_from_slice(&piece);
        if (known.state.len() as u64) < length {
            return Ok(None);
        }
        Ok(incoming.take().map(|whole| Bytes::from(whole.state)))
    }
}

fn voted(voted: Result<openraft::raft::VoteResponse<Types>, RaftError<Types>>) -> Result<Answer, Ended> {
    let voted = voted.map_err(|error| Ended(error.to_string()))?;
    let last = voted.last_log_id.as_ref().map(entry_id);
    Ok(Answer::Voted { vote: Ballot::from(&voted.vote), granted: voted.vote_granted, last })
}

fn not_leader(ForwardToLeader { leader_id, leader_node, .. }: ForwardToLeader<Types>) -> Answer {
    Answer::NotLeader { leader: leader_id.zip(leader_node) }
}

/// A leader that has heard of no majority yet, or not lately, waits for one for so long, and no longer than half of the
/// time of whoever asks: its answer, that nothing was done, shall reach them.
const MAJORITY_WITHIN: Duration = Duration::from_millis(500);
const MAJORITY_AGAIN: Duration = Duration::from_millis(20);

/// Makes an entry of a command, if this is the leader, and waits until it is applied. Whoever asks waits for so many
/// milliseconds.
pub(super) async fn propose(raft: &Node, command: Bytes, within: u32) -> Result<Answer, Ended> {
    let until = Instant::now() + MAJORITY_WITHIN.min(Duration::from_millis(within.into()) / 2);
    let written = loop {
        let written = raft.client_write(Command(command.clone())).await;
        match &written {
            // whoever has just been elected has no answer to its first heartbeats yet
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))
                if forward.reason == ForwardReason::LeaseExpired && Instant::now() < until =>
            {
                InSpan::sleep(MAJORITY_AGAIN).await;
            }
            _ => break written,
        }
    };
    match written {
        Ok(written) => Ok(Answer::Proposed { at: entry_id(&written.log_id), answer: written.data }),
        Err(RaftError::Fatal(fatal)) => Err(fatal.into()),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => Ok(not_leader(forward)),
        Err(RaftError::APIError(error @ ClientWriteError::LogEntryDiscarded(_))) => {
            Ok(Answer::Unknown { problem: error.to_string() })
        }
        Err(RaftError::APIError(error)) => Ok(refused(error)),
    }
}

/// The index of the last entry that may have been committed by now, if this is the leader: it asks a majority whether it
/// is (ReadIndex; Ongaro's thesis, 6.4).
pub(super) async fn barrier(raft: &Node) -> Result<Answer, Ended> {
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => {
            let index = linearizer.read_log_id().index();
            Ok(Answer::Barrier { index })
        }
        Err(RaftError::Fatal(fatal)) => Err(fatal.into()),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => Ok(not_leader(forward)),
        Err(RaftError::APIError(error)) => Ok(refused(error)),
    }
}
