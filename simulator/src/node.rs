//! What a host's program is given when it starts.

use crate::HostId;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The machine a program finds itself on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The host, as the script knows it.
    pub host: HostId,
    /// The host's name.
    pub name: String,
    /// The host's only address beside loopback.
    pub address: Ipv4Addr,
    /// Counts the starts of this host, from 1.
    pub incarnation: u64,
    /// One handle for each executor; the program itself runs on the first.
    pub executors: Vec<tokio::runtime::Handle>,
    /// An existing directory on the host's own disk; it outlives crashes.
    pub directory: PathBuf,
}
