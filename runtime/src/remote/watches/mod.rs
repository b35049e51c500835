//! Watches and links between activations of two nodes.
//!
//! Both are states that two nodes agree upon, not messages that may be lost: what this node [wants](wanted) to know, it
//! says again over each connection until the peer has heard of it, and what the peer has [seen](watched) end, that says
//! again until this node has. A watch is told of once: by the peer, or, when the session with that is over, as
//! [`Exit::NodeDown`](odeon_core::supervision::Exit::NodeDown).

mod wanted;
mod watched;

pub(crate) use wanted::RemoteWatch;
pub(super) use wanted::{Wanted, Wish};
pub(super) use watched::Watched;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Watches of one peer, at the most.
const WATCHES_MAX: usize = 1 << 16;
/// What is said at once.
const SAID_MAX: usize = 256;

/// How something that was watched has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) id: u64,
    /// Which activation it was.
    pub(super) activation: u64,
    /// Its exit, encoded for itself: a later version may know others.
    pub(super) exit: Bytes,
}
