//! The operating system that the simulator puts under a node.
//!
//! Symbols of libc (clocks, random bytes, parking, sockets, files) are defined here and come before libc's. On
//! a thread with a [`Kernel`] they are answered from it; on every other thread they fall through to the real
//! function. Nothing in a node knows of this: it is linked in by the simulator alone.
//!
//! Reading order: `symbol` (how a symbol is replaced), `kernel` (all state, and the one way to it), `parking`
//! (where a turn ends), then what programs use: `time`, `entropy`, `machine`, `descriptor`, `sockets` over
//! `ports`, `udp` and `tcp`, `files`; `leaks` for what must not be used; and [`process`], the real processes that
//! a simulation runs in.
//!
//! **Invariants.** This is the only package with `unsafe`. It knows no network: what leaves a host is collected
//! ([`Kernel::drain_outbox`]) and carried by the world. It starts no thread and blocks on nothing.

mod descriptor;
mod entropy;
mod files;
mod kernel;
mod leaks;
mod machine;
mod memory;
mod parking;
mod ports;
pub mod process;
mod sockets;
mod symbol;
mod tcp;
mod time;
mod trace;
mod udp;
mod wire;

pub use entropy::Stream;
pub use files::{Disk, Faults};
pub use kernel::{Counters, Kernel, Parked, Seat, install, outside, uninstall, with};
pub use parking::{TurnEnd, turn};
pub use symbol::Errno;
pub use time::{Clock, work};
pub use trace::{Digest, Happening, Place, Recorder};
pub use wire::{Emission, Payload, Segment};
