//! The world as programs and scripts meet it: unmodified code on virtual time, network and disks.

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
