//! A real node behind its gateway and its management interface, asked over loopback.

mod calls;
mod client;
mod limits;
mod links;
mod management;
mod services;
mod stopping;
