//! Odeon's decisions: pure functions and small state machines.
//!
//! Architecture invariant: nothing in this crate does I/O, reads a clock, draws a random number or iterates a
//! map of random order. Time and chance are passed in; what should happen comes back as a value.
//!
//! Reading order: [`id`], [`cluster`], [`time`], [`random`] are the words; [`outcome`] and [`criticality`] say how
//! calls end and which go first; [`trace`] follows them; [`supervision`] decides about restarts; [`wire`] is what nodes
//! say to each other, and whom they listen to; [`delivery`] brings messages there; [`rendezvous`] says who has a key;
//! [`membership`] says who belongs together, and [`placement`] which of them has which entities and singletons;
//! [`topics`] says who receives what is published.

pub mod cluster;
pub mod criticality;
pub mod delivery;
pub mod id;
pub mod journal;
pub mod membership;
pub mod outcome;
pub mod placement;
pub mod random;
pub mod rendezvous;
pub mod replication;
pub mod supervision;
pub mod time;
pub mod topics;
pub mod trace;
pub mod wire;

pub use cluster::ClusterId;
pub use criticality::Criticality;
pub use id::{ActivationId, NodeId, NodeName, ServiceName};
pub use outcome::{Refusal, Retry, UnknownCause, Waypoint};
pub use random::Random;
pub use replication::{EntryId, ReplicaId};
pub use time::Timestamp;
pub use trace::{SpanId, TraceContext, TraceId};
