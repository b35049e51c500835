//! Odeon's platform actors: the gateway and the management interface.
//!
//! Reading order: [`gateway`] brings requests from outside to services; [`management`] tells people and the command
//! line what the node does; [`http`] is what both stand on.
//!
//! Architecture invariant: no argument of a command line is parsed here, no file is read, nothing is printed.

pub mod gateway;
pub mod http;
pub mod management;
