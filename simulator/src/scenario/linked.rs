//! Nodes with links, as the scenarios start them: who lets them in, and what they begin with.

use super::{DAY, today};
use crate::{Machine, Simulation};
use odeon::core::{ClusterId, NodeName};
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::remote::{Authority, Credentials, Links, LinksConfig, Transport, Trust};
use odeon::{Node, NodeConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// The cluster of one run.
pub(super) struct Cluster {
    authority: Authority,
    today: SystemTime,
}

/// What lets a node or a client in.
#[derive(Clone)]
pub(super) struct Pass {
    credentials: Credentials,
    issued: SystemTime,
}

impl Cluster {
    pub(super) fn new(sim: &mut Simulation) -> Self {
        let today = today();
        let cluster = ClusterId::new("simulated", sim.random()).expect("it is short");
        let authority = Authority::create(&cluster, 1_000 * DAY, today);
        Self { authority: authority.expect("chance comes from the simulation"), today }
    }

    pub(super) fn node(&self, name: &NodeName) -> Pass {
        let credentials = self.authority.issue(name, DAY, self.today);
        Pass { credentials: credentials.expect("chance comes from the simulation"), issued: self.today }
    }

    pub(super) fn client(&self, name: &NodeName) -> Pass {
        let credentials = self.authority.issue_client(name, DAY, self.today);
        Pass { credentials: credentials.expect("chance comes from the simulation"), issued: self.today }
    }
}

impl Pass {
    pub(super) fn trust(&self) -> Trust {
        Trust::new(&self.credentials, self.issued).expect("it held when it was issued")
    }
}

/// Starts the node of a machine, with links that listen at this port.
pub(super) async fn start(machine: &Machine, pass: &Pass, port: u16, app: App) -> (Node, Links) {
    start_so(machine, pass, port, false, app).await
}

/// The same, for a node whose entities and singletons are placed by the cluster group.
pub(super) async fn start_placed(machine: &Machine, pass: &Pass, port: u16, app: App) -> (Node, Links) {
    start_so(machine, pass, port, true, app).await
}

async fn start_so(machine: &Machine, pass: &Pass, port: u16, placed: bool, app: App) -> (Node, Links) {
    let executors = machine.executors.iter().enumerate();
    let executors = executors.map(|(i, handle)| Executor::new(handle.clone(), i)).collect();
    let host = Host { executors, blocking: Arc::new(Inline), seed: machine.incarnation };
    let name: NodeName = machine.name.parse().expect("a node name");
    let config = NodeConfig { placed, ..NodeConfig::named(name) };
    let node = Node::start(host, config, app).await.expect("the node starts");
    let config = LinksConfig {
        address: SocketAddr::from((machine.address, port)),
        advertise: None,
        trust: pass.trust(),
        incarnation: machine.incarnation,
        artifact: Some([7; 32]),
        transport: Transport::default(),
    };
    let links = Links::start(&node, config).await.expect("a fresh host has the port free");
    (node, links)
}

/// A dial is waited for so long; it goes on if it takes longer.
const DIAL_WITHIN: Duration = Duration::from_millis(100);

/// Dials each of these nodes to which there is no link, wherever it is by now.
pub(super) async fn dial_all(
    links: &Links,
    names: &[NodeName],
    address_of: impl Fn(&NodeName) -> Option<SocketAddr>,
) {
    let status = links.status();
    let is_linked = |name: &NodeName| status.iter().any(|link| link.connected && link.node.name == *name);
    for name in names.iter().filter(|name| **name != links.node().name && !is_linked(name)) {
        let Some(address) = address_of(name) else { continue };
        if let Ok(Err(error)) = timeout(DIAL_WITHIN, links.connect(address)).await {
            tracing::debug!(%name, %error, "a node is not reached");
        }
    }
}
