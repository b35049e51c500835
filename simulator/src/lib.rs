//! Runs whole nodes, unmodified, under virtual time from one seed.
//!
//! [`Simulation`] is the world: hosts, network, disks, clocks and the loop that gives each its turns.
//! [`Options`] are its misfortunes, [`Report`] is what it hands back. A program under simulation is plain
//! tokio code; it knows nothing of this package.

pub mod command;
mod disks;
mod events;
mod network;
mod node;
mod options;
mod panics;
pub mod reach;
mod report;
pub mod runner;
pub mod scenario;
pub mod token;
pub mod trace;
mod world;

pub use node::Machine;
pub use odeon_simulator_macros::test;
pub use options::{DiskOptions, MachineOptions, NetworkOptions, Options};
pub use panics::panic_on_purpose;
pub use report::{Report, Statistics};
pub use world::{Crash, HostId, Simulation};

use std::time::Duration;

/// The processor works for so long: nothing else runs on its executor meanwhile. What a handler computes takes no virtual
/// time but for this; outside of a simulation it does nothing.
pub fn work(span: Duration) {
    odeon_simulator_os::work(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
}
