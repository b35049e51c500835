//! Nodes that call each other, over real sockets on loopback.

#![allow(clippy::disallowed_methods, reason = "callers outside of any node are tasks of the test")]

mod calls;
mod chains;
mod client;
mod elsewhere;
mod fragile;
mod full;
mod gossip;
mod large;
mod many;
mod members;
mod passed;
mod resting;
mod rogue;
mod stage;
mod topics;
mod unknown;
mod unread;
mod watches;
