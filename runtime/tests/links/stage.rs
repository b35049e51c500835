//! Nodes of one cluster, each with its own links, on the current runtime.

use odeon::core::{ClusterId, NodeName};
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::remote::{Authority, Links, LinksConfig, Transport, Trust};
use odeon::{Node, NodeConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

/// A cluster: whoever has its authority can have members.
pub(crate) struct Cluster {
    authority: Authority,
}

/// A node with links.
pub(crate) struct Linked {
    pub(crate) node: Node,
    pub(crate) links: Links,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let id = ClusterId::new("test", 7).expect("a name");
        let valid = Duration::from_secs(3_600);
        let authority = Authority::create(&id, valid, SystemTime::now()).expect("an authority");
        Self { authority }
    }

    /// Starts a node that listens.
    pub(crate) async fn node(&self, name: &str, app: App) -> Linked {
        self.incarnation(name, 1, app).await
    }

    pub(crate) async fn incarnation(&self, name: &str, incarnation: u64, app: App) -> Linked {
        self.listening(Ipv4Addr::LOCALHOST, name, incarnation, app).await
    }

    pub(crate) async fn listening(&self, at: Ipv4Addr, name: &str, incarnation: u64, app: App) -> Linked {
        let name: NodeName = name.parse().expect("a name");
        let executor = Executor::new(tokio::runtime::Handle::current(), 0);
        let host = Host { executors: vec![executor], blocking: Arc::new(Inline), seed: 7 };
        let node = Node::start(host, NodeConfig::named(name.clone()), app).await.expect("the node starts");
        let (valid, now) = (Duration::from_secs(3_600), SystemTime::now());
        let credentials = self.authority.issue(&name, valid, now).expect("credentials");
        let config = LinksConfig {
            address: SocketAddr::from((at, 0)),
            trust: Trust::new(&credentials, now).expect("they are good"),
            incarnation,
            artifact: Some([7; 32]),
            transport: Transport::default(),
        };
        let links = Links::start(&node, config).await.expect("a port is free");
        Linked { node, links }
    }
}

/// Waits for a fact, with a generous limit.
pub(crate) async fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !fact() {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
