//! Names of what is replicated. The algorithm is Raft (Ongaro and Ousterhout, "In Search of an Understandable
//! Consensus Algorithm", 2014).

use serde::{Deserialize, Serialize};
use std::fmt;

/// One replica: what one data directory keeps of groups. Drawn by chance when the directory is made, so that a node
/// whose disk was replaced is another replica: it does not know for whom the old one has voted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which entry of a group's log: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// The term of the leader that made it.
    pub term: u64,
    /// Its place in the log, from 0.
    pub index: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}
