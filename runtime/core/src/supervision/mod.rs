//! Decides what a supervisor does when a child ends.
//!
//! The words and their meaning are those of Erlang/OTP's `supervisor`. Reading order: [`ChildSpec`] is what a
//! supervisor knows of a child, [`Strategy`] says whom a failure concerns, [`Restarts`] whether and when to begin
//! again. [`Machine`] puts them together for a supervisor with a few known children that may concern each other;
//! [`Judge`] is for hosts of many cells of one kind, each judged by itself.
//!
//! Architecture invariant: nothing here knows what a child is. It has a name, and it starts and ends.

mod backoff;
mod child;
mod exit;
mod judge;
mod machine;
mod restart;
mod roster;
mod strategy;

pub use backoff::Backoff;
pub use child::{ChildName, ChildSpec, Restart};
pub use exit::{Exit, StopReason};
pub use judge::Judge;
pub use machine::{Effect, Event, Failure, Machine, Settings};
pub use restart::{RestartLimits, Restarts, Verdict};
pub use roster::{Child, ChildState};
pub use strategy::Strategy;
