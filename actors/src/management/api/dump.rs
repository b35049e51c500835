//! What tells why a node misbehaves.

use super::{ClusterStatus, Links, Members, Status, inside};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that tells why a node misbehaves, even while handlers block its executors: `GET /api/v1/dump`. Each part was read
/// by itself. Keys of entities are in it, and the words of panics; arguments, answers and secrets are not.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Dump {
    /// When it was taken: milliseconds since 1970 by the clock of the node's host.
    pub taken_ms: u64,
    /// What the node is called in its cluster, `name@incarnation`; none if it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The digest of its program, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// The node at one look.
    pub status: Status,
    /// What it knows of the members of its cluster; none if it has no group that agrees on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Members>,
    /// The group that agrees on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    /// Its links to other nodes.
    pub links: Links,
    /// The node from inside: what is stuck, what waits and where, what has happened last.
    pub inside: inside::Dump,
}
