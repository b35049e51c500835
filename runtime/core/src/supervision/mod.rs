//! Decides what a supervisor does when a child ends.

mod exit;

pub use exit::{Exit, StopReason};
