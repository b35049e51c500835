//! The world as programs and scripts meet it: unmodified code on virtual time, network and disks.
#![allow(
    clippy::disallowed_methods,
    reason = "programs under simulation may use whatever is plain std and tokio"
)]

mod support;

mod addresses;
mod clocks;
mod crashes;
mod datagrams;
mod disks;
mod escapes;
mod executors;
mod http;
mod streams;
mod symbols;
mod threads;
mod traces;
