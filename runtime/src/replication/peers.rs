//! The replicas on other nodes, as openraft asks them.

use super::campaign::Campaigns;
use super::exchange::{AskError, Exchange};
use super::message::{Answer, Ask, Ballot, Meta, Written, entry_id, log_id};
use super::raft::{RaftVote, Snapshot, Types};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use odeon_core::journal::GroupId;
use odeon_core::{NodeName, ReplicaId};
use openraft::base::{BoxFuture, BoxStream};
use openraft::entry::RaftEntry as _;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Appends that are under way to one replica.
const APPENDS_MAX: usize = 32;
/// A replica that has not written entries for so long is asked anew.
const APPEND_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a snapshot that are sent at once.
const PIECE: usize = 256 << 10;
/// A replica that has not taken a piece of a snapshot for so long is asked anew.
const PIECE_WITHIN: Duration = Duration::from_secs(10);

/// All replicas of one group.
pub(super) struct Peers {
    pub(super) exchange: Exchange,
    pub(super) group: GroupId,
    pub(super) campaigns: Arc<Campaigns>,
}

/// One of them.
#[derive(Clone)]
pub(super) struct Peer {
    exchange: Exchange,
    group: GroupId,
    replica: ReplicaId,
    node: NodeName,
    campaigns: Arc<Campaigns>,
    /// Whether several appends may be under way: a lone write takes one round trip then, not two.
    is_pipe: bool,
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, replica: ReplicaId, node: &NodeName) -> Peer {
        let (exchange, campaigns) = (self.exchange.clone(), self.campaigns.clone());
        Peer { exchange, group: self.group, replica, node: node.clone(), campaigns, is_pipe: true }
    }

    async fn new_heartbeat_client(&mut self, replica: ReplicaId, node: &NodeName) -> Peer {
        Peer { is_pipe: false, ..self.new_client(replica, node).await }
    }
}

fn unreachable(problem: impl ToString) -> Unreachable<Types> {
    Unreachable::new(&AnyError::error(problem))
}

fn unexpected(answer: Answer) -> RPCError<Types> {
    match answer {
        Answer::Refused { problem } => unreachable(problem),
        other => unreachable(format!("an answer to something else: {other:?}")),
    }
    .into()
}

impl Peer {
    /// The question is on its way when this returns.
    fn ask(
        &self,
        ask: Ask,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, RPCError<Types>>> + Send + use<> {
        let answer = self.exchange.ask(&self.node, (self.group, Some(self.replica)), ask, within);
        async move { answer.await.map_err(|error: AskError| unreachable(error).into()) }
    }

    fn append(
        &self,
        request: AppendEntriesRequest<Types>,
        within: Duration,
    ) -> impl Future<Output = Result<AppendEntriesResponse<Types>, RPCError<Types>>> + Send + use<> {
        let AppendEntriesRequest { vote, prev_log_id, entries, leader_commit } = request;
        let ask = Ask::Append {
            vote: Ballot::from(&vote),
            previous: prev_log_id.as_ref().map(entry_id),
            entries: entries.iter().map(Written::from).collect(),
            committed: leader_commit.as_ref().map(entry_id),
        };
        // a heartbeat says nothing of entries that it may overtake
        let to = (self.group, Some(self.replica));
        let answer = self.exchange.ask_so(&self.node, to, ask, !self.is_pipe, within);
        async move {
            match answer.await.map_err(unreachable)? {
                Answer::Appended => Ok(AppendEntriesResponse::Success),
                Answer::Conflict => Ok(AppendEntriesResponse::Conflict),
                Answer::Later { vote } => Ok(AppendEntriesResponse::HigherVote(vote.into())),
                other => Err(unexpected(other)),
            }
        }
    }

    async fn voted(&self, ask: Ask, within: Duration) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.ask(ask, within).await? {
            Answer::Voted { vote, granted, last } => {
                Ok(VoteResponse::new(RaftVote::from(vote), last.map(log_id), granted))
            }
            other => Err(unexpected(other)),
        }
    }

    /// Sends a snapshot piece by piece.
    async fn install(&self, vote: Ballot, meta: Meta, state: Bytes) -> Result<Ballot, RPCError<Types>> {
        let length = state.len() as u64;
        let mut at = 0;
        loop {
            let end = state.len().min(at + PIECE);
            let piece = state.slice(at..end);
            let ask = Ask::Install { vote, meta: meta.clone(), length, at: at as u64, piece };
            match self.ask(ask, PIECE_WITHIN).await? {
                Answer::Piece if end < state.len() => at = end,
                Answer::Installed { vote } => return Ok(vote),
                other => return Err(unexpected(other)),
            }
        }
    }
}

type Appends<'s> = BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.append(request, option.soft_ttl()).await
    }

    /// Sends what is appended without waiting for the answers to what was before, which come in order.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<Appends<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        if !self.is_pipe {
            return stream_append_sequential(self, input, option);
        }
        let peer = self.clone();
        let answers = input
            .map(move |request| {
                let previous = request.prev_log_id;
                let last = request.entries.last().map(|entry| entry.log_id()).or(previous);
                let answer = peer.append(request, APPEND_WITHIN);
                async move { Ok(answer.await?.into_stream_result(previous, last)) }
            })
            .buffered(APPENDS_MAX);
        // what comes behind one that failed means nothing
        let answers = answers.scan(false, |failed, answer| {
            let ended = std::mem::replace(failed, !matches!(answer, Ok(Ok(_))));
            std::future::ready((!ended).then_some(answer))
        });
        Box::pin(async move { Ok(Box::pin(answers) as Appends<'s>) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let VoteRequest { vote, last_log_id, leadership_transfer: transfer } = request;
        let ask = Ask::Vote { vote: Ballot::from(&vote), last: last_log_id.as_ref().map(entry_id), transfer };
        self.voted(ask, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let VoteRequest { vote, last_log_id, .. } = request;
        let last = last_log_id.as_ref().map(entry_id);
        if !self.campaigns.may_ask(last, Instant::now()) {
            return Err(unreachable("another candidate was just told that it may have the vote").into());
        }
        let ask = Ask::PreVote { vote: Ballot::from(&vote), last };
        self.voted(ask, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let Snapshot { meta, snapshot } = snapshot;
        let installed = pin!(self.install(Ballot::from(&vote), Meta::from(&meta), snapshot));
        match futures_util::future::select(installed, pin!(cancel)).await {
            futures_util::future::Either::Left((installed, _)) => {
                Ok(SnapshotResponse::new(RaftVote::from(installed?)))
            }
            futures_util::future::Either::Right((closed, _)) => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let from = Ballot::from(request.from_leader());
        let last = request.last_log_id().map(entry_id);
        match self.ask(Ask::Lead { from, last }, option.soft_ttl()).await? {
            Answer::Leads => Ok(Ok(())),
            other => Err(unexpected(other)),
        }
    }
}
