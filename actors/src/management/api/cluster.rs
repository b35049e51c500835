//! What is said of the members of a cluster, and of the group of replicas that agrees on them.

use odeon::core::membership::{MemberState, OfferKind, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The members, as far as this node has heard: `GET /api/v1/members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Members {
    /// What this node is called, `name@incarnation`.
    pub node: String,
    /// How it stands to the cluster.
    pub standing: StandingKind,
    /// What it waits for while it joins, or all why it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Whether it may act as the member that it is. It says no before others get its work.
    pub holds_lease: bool,
    /// The index of the entry that made the members what they are: the same epoch has the same members on each node.
    pub epoch: u64,
    /// The feature level of the cluster.
    pub level: u32,
    /// By name.
    pub members: Vec<MemberSummary>,
    /// The last ones that are members no more, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<GoneSummary>,
}

/// How a node stands to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StandingKind {
    /// It is not a member yet.
    Joining,
    /// It was refused, and tries again.
    Refused,
    /// It is a member.
    Member,
    /// It was a member, and is no more until it is started anew.
    Removed,
    /// It has left.
    Left,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberSummary {
    /// Its name.
    pub name: String,
    /// Which of its starts it is.
    pub incarnation: u64,
    /// `up`, or `draining`: it takes no more work and will leave.
    #[schemars(with = "String")]
    pub state: MemberState,
    /// The epoch since which that is so.
    pub since: u64,
    /// Since when, in milliseconds since 1970 by the clock of the node that had it written down; 0 if that is not known.
    #[serde(default)]
    pub since_ms: u64,
    /// Milliseconds for which the node that was asked has suspected it: nothing comes from it. It stays a member as long
    /// as it renews its lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect_ms: Option<u64>,
    /// Other nodes that suspect it, by their own word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspected_by: Vec<String>,
    /// What it does in the cluster group, as far as this node knows.
    pub role: MemberRole,
    /// Where other nodes dial it (UDP).
    pub address: String,
    /// The machine that it is on.
    pub host: String,
    /// Where that is; empty: nobody has said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// The version of Odeon that it runs.
    pub version: String,
    /// SHA-256 of its program in hexadecimal; empty: it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact: String,
    /// The lowest feature level that it can read.
    pub level_min: u32,
    /// The highest.
    pub level_max: u32,
    /// What it offers, by name.
    pub services: Vec<OfferSummary>,
}

/// What a member does in the cluster group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRole {
    /// It votes, and leads.
    Leader,
    /// It votes.
    Voter,
    /// It has the log, and does not vote.
    Learner,
    /// It is not in the group, or not yet.
    None,
}

/// A service that a member offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferSummary {
    /// Its name.
    pub name: String,
    /// `stateless`, `entity` or `singleton`.
    #[schemars(with = "String")]
    pub kind: OfferKind,
    /// The contract's name on the wire.
    pub contract: String,
    /// The contract's version, `major.minor`.
    pub version: String,
}

/// A node that is a member no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GoneSummary {
    /// Its name.
    pub name: String,
    /// Its last incarnation.
    pub incarnation: u64,
    /// `left`, `lease-ended`, `restarted` or `ordered`.
    #[schemars(with = "String")]
    pub reason: Reason,
    /// The epoch since which it is gone.
    pub since: u64,
    /// Since when, in milliseconds since 1970 by the clock of the node that had it written down; 0 if that is not known.
    #[serde(default)]
    pub since_ms: u64,
}

/// The cluster group as the replica of this node sees it: `GET /api/v1/cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterStatus {
    /// What this node is called, `name@incarnation`.
    pub node: String,
    /// Its replica, in hexadecimal: drawn once for its directory.
    pub replica: String,
    /// What that does.
    pub role: ReplicaRole,
    /// The latest term that it knows.
    pub term: u64,
    /// The node that leads; none: no leader is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Milliseconds since a majority was last heard of, if it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_heard_ms: Option<u64>,
    /// The index of its last entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// The last entry that a majority is known to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<u64>,
    /// The last entry that it has applied: all up to there are committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// The last entry that is in its snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
    /// Why it has ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Those who vote, and those who only take entries.
    pub replicas: Vec<ReplicaSummary>,
    /// The nodes that this one was told form the cluster.
    pub founders: Vec<String>,
    /// The nodes that may vote, as this one was told.
    pub eligible: Vec<String>,
    /// How many of them are to vote.
    pub voters_wanted: usize,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaRole {
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

/// A replica of the cluster group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaSummary {
    /// Its node.
    pub node: String,
    /// Its id, in hexadecimal.
    pub replica: String,
    /// Whether it votes.
    pub votes: bool,
    /// Whether it is the replica that its node has now, as a member.
    pub is_member: bool,
    /// How many entries it lacks; the leader alone knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
}

/// A higher feature level: `POST /api/v1/cluster/upgrade`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// The level that the cluster is to have, one more than it has: said twice, it is raised once. Default: one more than
    /// the node knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
}

/// A node that will not come back: `POST /api/v1/cluster/remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    /// Its name.
    pub node: String,
    /// Which of its starts.
    pub incarnation: u64,
}

/// The cluster group has taken an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// The epoch of the members as they are by that.
    pub epoch: u64,
}
