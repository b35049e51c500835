//! What replicas say to each other, and what they write down: MessagePack maps by name, so that versions which are not
//! written yet can read them. openraft's own forms change with its versions.

use super::raft::{Command, LogId, Members, Payload, RaftEntry, RaftVote, SnapshotMeta, StoredMembers};
use bytes::Bytes;
use odeon_core::journal::GroupId;
use odeon_core::{EntryId, NodeName, ReplicaId};
use openraft::vote::{RaftLeaderId, RaftLeaderIdExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One message from node to node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Message {
    Ask {
        /// Whoever asks knows the answer by it.
        id: u64,
        group: GroupId,
        /// The replica that is meant; none: whichever is there.
        #[serde(default)]
        to: Option<ReplicaId>,
        ask: Ask,
    },
    Answer {
        id: u64,
        answer: Answer,
    },
}

/// What a replica is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ask {
    Append {
        vote: Ballot,
        previous: Option<EntryId>,
        entries: Vec<Written>,
        committed: Option<EntryId>,
    },
    Vote {
        vote: Ballot,
        last: Option<EntryId>,
        #[serde(default)]
        transfer: bool,
    },
    PreVote {
        vote: Ballot,
        last: Option<EntryId>,
    },
    /// The leader gives way: the replica is to be elected.
    Lead {
        from: Ballot,
        last: Option<EntryId>,
    },
    /// A piece of a snapshot.
    Install {
        vote: Ballot,
        meta: Meta,
        /// Bytes of all of it.
        length: u64,
        /// How many of them came before this piece.
        at: u64,
        piece: Bytes,
    },
    Propose {
        command: Bytes,
        /// How long whoever asks waits for the answer, in milliseconds.
        #[serde(default)]
        within: u32,
    },
    /// The last entry that may have been committed when this is answered.
    Barrier,
    /// Which replica is there.
    Who,
    /// What a node hands over to another one, whatever replicas they have.
    Take {
        body: Bytes,
    },
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Appended,
    /// It does not have the entry before these.
    Conflict,
    /// It knows of a later leader or candidate.
    Later {
        vote: Ballot,
    },
    Voted {
        vote: Ballot,
        granted: bool,
        last: Option<EntryId>,
    },
    Leads,
    /// It has the piece.
    Piece,
    Installed {
        vote: Ballot,
    },
    Proposed {
        at: EntryId,
        answer: Bytes,
    },
    Barrier {
        index: u64,
    },
    Who {
        replica: ReplicaId,
        /// Whether it is part of a group that was formed.
        is_formed: bool,
    },
    NotLeader {
        leader: Option<(ReplicaId, NodeName)>,
    },
    /// It has what was handed over.
    Taken,
    /// The entry was made; whether it will be committed is not known.
    Unknown {
        problem: String,
    },
    /// Nothing was done.
    Refused {
        problem: String,
    },
}

/// For whom a replica has voted in a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ballot {
    pub(super) term: u64,
    pub(super) replica: ReplicaId,
    /// It is the leader, elected by a majority.
    pub(super) elected: bool,
}

/// An entry without its index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) term: u64,
    pub(super) content: Content,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Content {
    /// A new leader's first one.
    Blank,
    Command(Bytes),
    Members(Seats),
}

/// The replicas of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seats {
    /// The voters; two sets while one replaces the other (joint consensus).
    pub(super) voters: Vec<BTreeSet<ReplicaId>>,
    /// On which node each is, those that do not vote included.
    pub(super) nodes: BTreeMap<ReplicaId, NodeName>,
}

/// What a snapshot stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// The last entry that is in it.
    pub(super) last: Option<EntryId>,
    pub(super) seats: Seats,
    /// The entry that made these the replicas.
    pub(super) seated: Option<EntryId>,
}

/// Named, in one piece.
pub(super) fn encode(what: &impl Serialize) -> Bytes {
    let mut bytes = Vec::new();
    let mut to = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    what.serialize(&mut to).expect("all of its types can be written");
    Bytes::from(bytes)
}

/// # Errors
/// For people: why it makes no sense.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    crate::service::messagepack_check(bytes)?;
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// Reads a message and writes it anew. For the fuzz target.
///
/// # Errors
/// For people: why it makes no sense.
#[doc(hidden)]
pub fn message_reread(bytes: &[u8]) -> Result<Bytes, String> {
    decode::<Message>(bytes).map(|message| encode(&message))
}

pub(super) fn log_id(of: EntryId) -> LogId {
    // only the term of a leader counts once it is elected
    LogId::new(
        <super::raft::LeaderId as RaftLeaderIdExt>::new_committed(of.term, ReplicaId::default()),
        of.index,
    )
}

pub(super) fn entry_id(of: &LogId) -> EntryId {
    EntryId { term: **of.committed_leader_id(), index: of.index() }
}

impl From<Ballot> for RaftVote {
    fn from(Ballot { term, replica, elected }: Ballot) -> Self {
        if elected { Self::new_committed(term, replica) } else { Self::new(term, replica) }
    }
}

impl From<&RaftVote> for Ballot {
    fn from(vote: &RaftVote) -> Self {
        Self { term: vote.leader_id.term(), replica: *vote.leader_id.node_id(), elected: vote.committed }
    }
}

impl Written {
    pub(super) fn at(self, index: u64) -> Result<RaftEntry, String> {
        let payload = match self.content {
            Content::Blank => Payload::Blank,
            Content::Command(command) => Payload::Normal(Command(command)),
            Content::Members(seats) => Payload::Membership(seats.members()?),
        };
        Ok(RaftEntry { log_id: log_id(EntryId { term: self.term, index }), payload })
    }
}

impl From<&RaftEntry> for Written {
    fn from(entry: &RaftEntry) -> Self {
        let content = match &entry.payload {
            Payload::Blank => Content::Blank,
            Payload::Normal(Command(command)) => Content::Command(command.clone()),
            Payload::Membership(members) => Content::Members(members.into()),
        };
        Self { term: entry_id(&entry.log_id).term, content }
    }
}

impl Seats {
    pub(super) fn members(self) -> Result<Members, String> {
        Members::new(self.voters, self.nodes).map_err(|error| error.to_string())
    }
}

impl From<&Members> for Seats {
    fn from(members: &Members) -> Self {
        Self {
            voters: members.get_joint_config().clone(),
            nodes: members.nodes().map(|(replica, node)| (*replica, node.clone())).collect(),
        }
    }
}

impl Meta {
    pub(super) fn raft(self) -> Result<SnapshotMeta, String> {
        // of a group that was never formed there is no snapshot
        let members = StoredMembers::new(self.seated.map(log_id), self.seats.members()?);
        Ok(SnapshotMeta { last_log_id: self.last.map(log_id), last_membership: members })
    }
}

impl From<&SnapshotMeta> for Meta {
    fn from(meta: &SnapshotMeta) -> Self {
        let members = &meta.last_membership;
        Self {
            last: meta.last_log_id.as_ref().map(entry_id),
            seats: members.membership().into(),
            seated: members.log_id().as_ref().map(entry_id),
        }
    }
}
