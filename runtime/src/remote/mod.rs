//! Node to node: who is a member of the cluster, and the QUIC endpoint over which members talk.
//!
//! Reading order: [`trust`] says who is who; [`endpoint`] lets members in and turns strangers away.
//!
//! Architecture invariant: whatever leaves [`Endpoint`] as a connection has proved by mutual TLS 1.3 that it is a
//! node of this cluster, or one of its clients. There is no way around it, not for tests either.

mod client;
mod clients;
mod control;
mod core;
mod elsewhere;
pub mod endpoint;
mod gossip;
mod inbound;
mod keeper;
mod lane;
mod large;
mod link;
mod links;
mod offers;
mod peer;
mod pending;
mod porch;
mod probes;
mod providers;
mod pulse;
mod receipts;
mod relay;
mod replication;
mod reply;
mod target;
mod topics;
pub mod trust;
mod waiters;
mod watches;

pub use client::{Client, ClientConfig, ConnectClientError};
#[doc(hidden)]
pub use control::control_reread;
pub use core::ConnectError;
pub(crate) use core::Core;
pub use elsewhere::{Elsewhere, OfferedService};
pub use endpoint::{Endpoint, Member, Transport};
pub use gossip::Liveness;
#[doc(hidden)]
pub use gossip::gossip_read;
pub use links::{LinkStatus, Links, LinksConfig, RenewError, StartLinksError};
pub use offers::TooManyServices;
pub(crate) use providers::Rota;
pub(crate) use receipts::{Receipts, Teller};
pub(crate) use reply::{Answering, Left};
pub(crate) use target::{Spoken, Target};
pub use trust::{Authority, Credentials, Stranger, Subject, Trust};
pub(crate) use watches::RemoteWatch;

/// A number from the operating system's chance; none if it has none.
pub(crate) fn random() -> Option<u64> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(u64::from_ne_bytes(bytes))
}
