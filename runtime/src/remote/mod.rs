//! Node to node: who is a member of the cluster, and the QUIC endpoint over which members talk.
//!
//! Reading order: [`trust`] says who is who; [`endpoint`] lets members in and turns strangers away.
//!
//! Architecture invariant: whatever leaves [`Endpoint`] as a connection has proved by mutual TLS 1.3 that it is a
//! node of this cluster. There is no way around it, not for tests either.

pub mod endpoint;
pub mod trust;

pub use endpoint::{Endpoint, Member, Transport};
pub use trust::{Authority, Credentials, Stranger, Trust};
