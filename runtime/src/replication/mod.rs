//! Groups of replicas that agree on one log, and so on one state, while fewer than half of them are away.
//!
//! Reading order: [`Group`] is what callers use, [`StateMachine`] what they replicate. Inside, openraft decides:
//! `raft` tells it our types, `log` keeps its log and votes in the node's journal, `machine` and `snapshot` apply
//! and keep the state, `peers` asks the replicas of other nodes through the [`Exchange`], `serve` answers them,
//! `campaign` has one of two candidates give way.
//! `message` is what they say and what is written down.
//!
//! Architecture invariants: no type of openraft leaves this folder. Whatever is written down or sent is named and
//! versioned. A proposal's outcome is known to have failed only where no entry was made.

mod campaign;
mod exchange;
mod group;
mod log;
mod machine;
mod message;
mod peers;
mod propose;
mod raft;
mod serve;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;

pub use exchange::{Carrier, Exchange, NotCarried};
pub use group::{ChangeError, Group, GroupConfig, StartGroupError};
pub use machine::{Freeze, StateMachine};
#[doc(hidden)]
pub use message::message_reread;
pub use propose::{Applied, ProposeError, ReadError};
pub use status::{GroupStatus, Role};
