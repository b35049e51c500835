//! Who receives what is published to a topic, anywhere in the cluster.
//!
//! Reading order: each node has a numbered list of its own members (`own`), and tells others what has changed since they
//! heard ([`News`]); what it has heard of theirs is in `heard`; [`Table`] has both, and says who the members of a group
//! are. Lists are evidence: each says what was so when its node wrote it.
//!
//! Architecture invariant: whoever has heard all news of a list knows it as it is, in whatever pieces and however often
//! they came; whoever lacks some knows that.

mod heard;
mod own;
mod table;

#[cfg(test)]
mod laws;

pub use heard::{Heard, Took};
pub use own::{JoinRefused, Own};
pub use table::{Group, Member, Table};

use crate::ServiceName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Groups of which one node has members, at the most.
pub const GROUPS_MAX: usize = 1_024;
/// Members that one node has, of all groups together, at the most.
pub const MEMBERS_MAX: usize = 16_384;

/// What the members of a group speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Its name on the wire.
    pub name: String,
    /// Changes that break callers.
    pub major: u16,
    /// Additions.
    pub minor: u16,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.name, self.major, self.minor)
    }
}

/// A member as the node that has it tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Receiver {
    /// Its service.
    pub service: ServiceName,
    /// The key of an entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// There is one of it in the whole cluster, whose group says where: it is the same member wherever it is. All others
    /// are members of their own on each node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub placed: bool,
}

/// Members of one group that have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The group.
    pub topic: ServiceName,
    /// What it speaks.
    pub contract: Contract,
    /// They.
    pub members: Vec<Receiver>,
}

/// Members of one group that have gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The group.
    pub topic: ServiceName,
    /// They.
    pub members: Vec<Receiver>,
}

/// What has changed in the list of a node, or a piece of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The number of the list that it goes on from. 0: from nothing, whatever was known before.
    pub after: u64,
    /// The number of the list that it leads to.
    pub number: u64,
    /// Which piece of it this is, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub piece: u32,
    /// Another piece follows: nothing of it counts before the last one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Who has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Joined>,
    /// Who has gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
}

impl News {
    /// That a list has this number, without what is in it.
    pub const fn number(number: u64) -> Self {
        Self { after: number, number, piece: 0, more: false, joined: Vec::new(), left: Vec::new() }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_first(piece: &u32) -> bool {
    *piece == 0
}
