//! A real node behind its gateway and its management interface, asked over loopback.

mod calls;
mod client;
mod limits;
#[allow(clippy::disallowed_methods, reason = "certificates hold by the wall clock")]
mod links;
mod logs;
mod management;
mod problems;
mod services;
mod stopping;
mod topics;
