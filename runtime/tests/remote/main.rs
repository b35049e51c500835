//! The trust between nodes and the endpoint they talk over, on loopback.
#![allow(
    clippy::disallowed_methods,
    reason = "peers outside of any node are tasks of the test and read its clock"
)]

mod authority;
mod credentials;
mod endpoint;
mod renewal;
mod stage;
mod strangers;
