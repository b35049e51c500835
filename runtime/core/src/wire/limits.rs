//! What a message between nodes may hold at the most. Whatever comes in is held against these before anything is
//! allocated for it; what goes out is held against the same, so that no node sends what another would refuse.

pub use crate::id::{KEY_MAX, NODE_NAME_MAX};

/// Longest frame on a lane, in bytes behind its length. The default; the reader of a lane passes its own.
pub const FRAME_MAX: usize = 256 * 1024;
/// Longest `Hello`, or answer to one, in bytes.
pub const HANDSHAKE_MAX: usize = 64 * 1024;
/// Most lanes of a connection in one direction.
pub const LANES_MAX: usize = 32;
/// Receiver numbers of a lane lie below this: it bounds what a peer can make a node remember. A sender that has more
/// receivers gives a number to another one. Such a number takes two bytes.
pub const RECEIVERS_MAX: u32 = 1 << 14;
/// Earlier hops that a frame carries. With its sender they make the sixteen that a chain of calls may have.
pub const HOPS_MAX: usize = 15;
/// Longest name of a tenant or a principal, in bytes; the shortest has one.
pub const LABEL_MAX: usize = 128;
/// Longest text of a handler's own error, in bytes; it may be empty.
pub const FAILURE_TEXT_MAX: usize = 4096;
/// Longest body that goes within its frame, in bytes, as long as the sender has it its way: longer ones would hold up
/// the others of the lane, and get streams of their own.
pub const INLINE_MAX: usize = 64 * 1024;
/// Longest body that goes on a stream of its own, in bytes.
pub const LARGE_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of such bodies that a peer may have under way: those whose streams it has begun, up to where their frames are
/// read. As much as one of them may have.
pub const LARGE_UNDER_WAY_MAX: u64 = LARGE_MAX;
/// Longest advertised address, in bytes: a host name has 253 at the most, a port and its colon six.
pub const ADDRESS_MAX: usize = 259;
