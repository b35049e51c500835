//! Write services as actors: contracts, cells, supervision, nodes.
//!
//! Reading order: [`mod@service`] is what authors touch; [`node`] wires the parts; `cell` runs services;
//! `supervision` restarts them; [`directory`] finds them; [`topics`] tells many at once; [`remote`] is how nodes talk;
//! [`host`] is what a node is handed from outside.
//!
//! Architecture invariant: nothing here mentions the simulator, starts a thread outside [`host`], or keeps
//! process-wide state.

pub mod cell;
pub mod directory;
pub mod host;
pub mod journal;
pub mod membership;
pub mod node;
mod placement;
pub mod reach;
pub mod remote;
pub mod replication;
pub mod service;
mod supervision;
pub mod telemetry;
pub mod test;
pub mod topics;

pub use node::{App, Node, NodeConfig, ServiceOptions};
pub use odeon_core as core;
pub use odeon_macros::{Weigh, contract, service};
pub use remote::{Client, ClientConfig};
pub use service::{CallError, Contract, ContractError, Cx, Never, Service, StartError, Weigh};
pub use supervision::{
    AddPartError, LastExit, Load, OnFailure, PartSpec, RestartPolicy, Running, TreeNode, TreeNodeKind,
};
pub use topics::{JoinError, Published, Topic};
/// Log lines and spans. What is written in a handler carries service, key, method and trace: see
/// [`telemetry::doing`].
pub use tracing;

/// What authors of services need.
pub mod prelude {
    pub use crate::node::RefError;
    pub use crate::{
        App, CallError, ContractError, Cx, JoinError, Node, RestartPolicy, ServiceOptions, StartError, Topic,
        Weigh,
    };
    pub use odeon_core::supervision::{Exit, StopReason};
    pub use odeon_core::{Criticality, Refusal, Retry, UnknownCause};
    pub use std::time::Duration;
    pub use tracing;
}
