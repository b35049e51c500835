//! Keeps what should run running: the shells of `odeon_core::supervision`, on ractor.
//!
//! Reading order: `child` is what can be supervised; `supervisor` is the shell of a core's machine; `part` and
//! `service` are children: a single future, and the host of all cells of a service, with its table in `cells` and its
//! decisions in `verdict`; `tree` puts them together; `node` is how people see it.
//!
//! Architecture invariant: ractor actors have no names and no groups here, and receive life-cycle events only. What
//! they start they stop themselves, in reverse order, because ractor would do it in any order.

mod alarm;
mod cells;
mod child;
mod living;
mod node;
mod part;
mod policy;
mod resting;
mod service;
mod supervisor;
#[cfg(test)]
mod tests;
mod tree;
mod verdict;

pub(crate) use node::phase_name;
pub use node::{LastExit, Load, TreeNode, TreeNodeKind};
pub use part::{AddPartError, PartSpec, Running};
pub use policy::{OnFailure, RestartPolicy};
pub(crate) use service::ServiceHost;
pub(crate) use tree::Tree;
