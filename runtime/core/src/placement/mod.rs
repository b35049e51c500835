//! Which node has which entities and singletons, as the cluster group agrees on it.
//!
//! Reading order: a key falls into one of the [`SLOTS`] of its service ([`slot_of`]); the [`Table`] of a service says
//! which node owns each slot; [`plan`] says what should be otherwise, and goes into the log as a command. What commands
//! make of tables is in `view`; `slots` and `written` are how sets of slots and tables are written down.
//!
//! A slot without an owner gets one at once. A slot with an owner that should be elsewhere is handed over: the table says
//! to whom, its owner ends its activations and says so, and only then another one owns it. So does a member that drains,
//! or that offers the service no longer while others do: it owns its slots until it has handed them over, or is no member
//! any more. Whoever takes back the last offer of a service has ended its activations before.
//!
//! Architecture invariant: at each epoch a slot has one owner at the most, which is a member in this incarnation, and the
//! epoch of a slot never falls: what is done in the name of an earlier one can be told and refused.

mod plan;
mod slot;
mod slots;
mod table;
mod view;
mod written;

#[cfg(test)]
mod handover_tests;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod world;
#[cfg(test)]
mod written_tests;

pub use plan::{LOAD_PERCENT, MOVING_MAX, load_max, plan};
pub use slot::{SLOTS, SlotId, slot_of};
pub use slots::{Slots, SlotsError};
pub use table::{Share, Slot, Table};
pub use written::TableError;
