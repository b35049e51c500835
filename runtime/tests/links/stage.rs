//! Nodes of one cluster, each with its own links, on the current runtime.

use odeon::core::{ClusterId, NodeName};
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::remote::{Authority, Links, LinksConfig, StartLinksError, Transport, Trust};
use odeon::{Client, ClientConfig, Node, NodeConfig};
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
        let valid = Duration::from_secs(86_400);
        let since = SystemTime::now() - Duration::from_secs(43_200);
        let authority = Authority::create(&id, valid, since).expect("an authority");
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
        self.bound(SocketAddr::from((at, 0)), name, incarnation, app).await.expect("a port is free")
    }

    /// Starts a node that listens at a certain port, if that is free.
    pub(crate) async fn bound(
        &self,
        address: SocketAddr,
        name: &str,
        incarnation: u64,
        app: App,
    ) -> Result<Linked, StartLinksError> {
        self.advertised(address, None, name, incarnation, app).await
    }

    /// The same of one that tells others where it is found.
    pub(crate) async fn advertised(
        &self,
        address: SocketAddr,
        advertise: Option<SocketAddr>,
        name: &str,
        incarnation: u64,
        app: App,
    ) -> Result<Linked, StartLinksError> {
        let name: NodeName = name.parse().expect("a name");
        let executor = Executor::new(tokio::runtime::Handle::current(), 0);
        let host = Host { executors: vec![executor], blocking: Arc::new(Inline), seed: 7 };
        let node = Node::start(host, NodeConfig::named(name.clone()), app).await.expect("the node starts");
        let trust = self.node_trust(name.as_str());
        let config = LinksConfig {
            address,
            advertise,
            trust,
            incarnation,
            artifact: Some([7; 32]),
            transport: Transport::default(),
        };
        let links = Links::start(&node, config).await?;
        Ok(Linked { node, links })
    }

    /// What a client shows.
    pub(crate) fn client_trust(&self, name: &str) -> Trust {
        let (valid, now) = (Duration::from_secs(3_600), SystemTime::now());
        let name = name.parse().expect("a name");
        let credentials = self.authority.issue_client(&name, valid, now).expect("credentials");
        Trust::new(&credentials, now).expect("they are good")
    }

    /// What a node shows.
    pub(crate) fn node_trust(&self, name: &str) -> Trust {
        self.node_trust_of(name, SystemTime::now())
    }

    /// What a node shows whose certificate holds for an hour from then on, as late as it may be by now.
    pub(crate) fn node_trust_of(&self, name: &str, then: SystemTime) -> Trust {
        let valid = Duration::from_secs(3_600);
        let credentials = self.authority.issue(&name.parse().expect("a name"), valid, then);
        Trust::new(&credentials.expect("credentials"), then).expect("they were good then")
    }

    /// Connects a program outside of the cluster with one of these nodes.
    pub(crate) async fn client(&self, name: &str, nodes: &[&Linked]) -> Client {
        let addresses = nodes.iter().map(|node| node.links.local_address()).collect();
        let (trust, transport) = (self.client_trust(name), Transport::default());
        Client::connect(ClientConfig { addresses, trust, transport }).await.expect("a node lets it in")
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

/// Tries until it goes well, with a generous limit.
pub(crate) async fn at_last<T, E: std::fmt::Display>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(tokio::time::Instant::now() < limit, "never: {what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
