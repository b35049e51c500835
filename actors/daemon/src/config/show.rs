//! The effective configuration, written as a file that says all of it.

use super::{Cluster, Settings};
use crate::duration::exact;
use crate::exit::Failure;
use odeon::core::{NodeName, ServiceName};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

#[derive(Serialize)]
struct Whole<'a> {
    node: Node<'a>,
    http: Http,
    management: Management,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a Cluster>,
    bindings: &'a BTreeMap<ServiceName, ServiceName>,
    services: &'a BTreeMap<ServiceName, toml::Table>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a NodeName,
    directory: &'a Path,
    executors: usize,
    blocking_threads: usize,
    stop_within: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

#[derive(Serialize)]
struct Http {
    address: SocketAddr,
    within: String,
    body_bytes_max: usize,
    head_bytes_max: usize,
    connections_max: usize,
    timeout_idle: String,
    timeout_head: String,
    timeout_body: String,
    timeout_write: String,
}

#[derive(Serialize)]
struct Management {
    address: SocketAddr,
}

impl Settings {
    /// As a configuration file that says all of it.
    ///
    /// # Errors
    /// Something cannot be said in TOML, such as a path that is not UTF-8.
    pub(crate) fn to_toml(&self) -> Result<String, Failure> {
        let limits = &self.http.connections;
        let whole = Whole {
            node: Node {
                name: &self.name,
                directory: &self.directory,
                executors: self.executors,
                blocking_threads: self.blocking_threads,
                stop_within: exact(self.stop_within),
                log: self.log.as_deref(),
            },
            http: Http {
                address: self.http.address,
                within: exact(self.http.within),
                body_bytes_max: self.http.body_bytes_max,
                head_bytes_max: limits.head_bytes_max,
                connections_max: limits.connections_max,
                timeout_idle: exact(limits.timeout_idle),
                timeout_head: exact(limits.timeout_head),
                timeout_body: exact(limits.timeout_body),
                timeout_write: exact(limits.timeout_write),
            },
            management: Management { address: self.management },
            cluster: self.cluster.as_ref(),
            bindings: &self.bindings,
            services: &self.services,
        };
        toml::to_string(&whole).map_err(|e| Failure::failed(format_args!("the configuration: {e}")))
    }
}
