//! What nodes say to each other: the frames of their lanes, and the handshake that comes first. Bytes in, values out,
//! and the other way round; who holds the connection is somebody else's business.
//!
//! Reading order: [`limits`] and [`varint`] are the ground; [`envelope`] is what a frame says, with [`chain`] for the
//! calls that led to it; [`frame`] writes and reads it. Before any frame there is a [`handshake`]: [`version`] is what
//! both speak, [`session`] where each lane goes on, [`duel`] which of two connections stays, and [`admission`] who is
//! let in.
//!
//! Frames are laid out by hand, since millions of them are read each second. The handshake is a few serde structs,
//! written as MessagePack maps by name, since it must be read by versions that are not written yet.

pub mod admission;
pub mod chain;
pub mod duel;
pub mod envelope;
pub mod frame;
pub mod handshake;
mod layout;
pub mod limits;
pub mod session;
pub mod varint;
pub mod version;
