//! The peers that a node was told of: its way into the cluster, and back into it when all others have forgotten it.
//! Each is dialed until there is a link to it, and again, wherever its name leads by then, when there is none any more.

use crate::config::PeerAddress;
use odeon::core::supervision::Backoff;
use odeon::core::wire::handshake::Turned;
use odeon::core::{NodeId, Random};
use odeon::host::{Blocking, Executor, run_blocking};
use odeon::remote::{ConnectError, Links};
use odeon::{Node, Running};
use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pauses between dials.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };
/// How often somebody looks whether the link is still there. Gossip restores most of them sooner.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Nodes that begin together miss each other at first: so many failures are nothing to tell of.
const FAILURES_QUIET: u32 = 1;

/// Whom to dial, and with what.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) node: Node,
    pub(super) links: Links,
    pub(super) addresses: Arc<[PeerAddress]>,
    pub(super) blocking: Arc<dyn Blocking>,
    pub(super) executor: Executor,
    pub(super) seed: u64,
}

impl Peers {
    /// Dials all of them, as a part of the node.
    pub(super) async fn run(self, mut running: Running) -> Result<(), String> {
        running.ready();
        let mut dials = JoinSet::new();
        for (address, seed) in self.addresses.iter().cloned().zip(self.seed..) {
            let peer = Peer { node: self.node.clone(), links: self.links.clone(), address };
            let blocking = self.blocking.clone();
            self.executor.spawn_in(&mut dials, async move { peer.keep(&*blocking, seed).await });
        }
        running.stopping().await;
        Ok(())
    }
}

/// One of them.
struct Peer {
    node: Node,
    links: Links,
    address: PeerAddress,
}

impl Peer {
    /// Dials whenever there is no link.
    async fn keep(&self, blocking: &dyn Blocking, seed: u64) -> Infallible {
        let mut random = Random::seeded(seed);
        let peer = &self.address;
        loop {
            let node = self.reach(blocking, &mut random).await;
            while self.links.status().iter().any(|link| link.connected && link.node.name == node.name) {
                sleep(LOOK_EVERY).await;
            }
            tracing::debug!(%peer, %node, "there is no link any more to a peer");
        }
    }

    /// Dials until there is a link. A problem is told of once, until another one takes its place.
    async fn reach(&self, blocking: &dyn Blocking, random: &mut Random) -> NodeId {
        let peer = &self.address;
        let mut told = String::new();
        let mut attempt = 0;
        loop {
            let problem = match self.dial(blocking).await {
                Ok(node) => {
                    self.node.release(&peer.to_string());
                    tracing::info!(%peer, %node, "a peer was reached");
                    return node;
                }
                Err(problem) => problem,
            };
            if attempt >= FAILURES_QUIET && problem != told {
                tracing::warn!(%peer, %problem, "a peer cannot be reached; it is dialed again and again");
                told = problem;
            }
            sleep(BACKOFF.wait(attempt, random)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Dials each address that the name stands for now, until one of them answers.
    async fn dial(&self, blocking: &dyn Blocking) -> Result<NodeId, String> {
        let mut problem = String::from("its name stands for no address");
        for address in resolve(&self.address, self.links.local_address(), blocking).await? {
            match self.links.connect(address).await {
                Ok(node) => return Ok(node),
                Err(error) => {
                    if let ConnectError::Turned(Turned::StaleIncarnation { claimed, known }) = error
                        && claimed == self.links.node().incarnation
                    {
                        self.is_over(known);
                    }
                    problem = error.to_string();
                }
            }
        }
        Err(problem)
    }

    /// The peer knows a later incarnation of this node: whatever runs as that has taken its place. (Or the peer itself
    /// is a former incarnation, which by chance is counted as ours: then the first successful dial takes it back.)
    fn is_over(&self, known: u64) {
        let (us, peer) = (self.links.node(), &self.address);
        if self.node.withheld().is_empty() {
            tracing::error!(
                %peer,
                "this node, {us}, is over for its peers: another process has come as {0}@{known}, with a copy of this \
                 node's directory, say. It is not ready any more. Keep one of the two: stop this one, or stop the other \
                 one, write {known} into the file `incarnation` of this one and start it again",
                us.name
            );
        }
        let reason = format!("{us} is over for {peer}: another process has come as {}@{known}", us.name);
        self.node.withhold(&peer.to_string(), &reason);
    }
}

/// The addresses of a host that can be dialed from here.
pub(crate) async fn resolve(
    peer: &PeerAddress,
    from: SocketAddr,
    blocking: &dyn Blocking,
) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = (peer.host.clone(), peer.port);
    let found = run_blocking(blocking, move || (host.as_str(), port).to_socket_addrs()).await;
    let found: Vec<SocketAddr> = found.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?.collect();
    let (mut fitting, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| from.is_ipv6() || address.is_ipv4());
    if fitting.is_empty() && !others.is_empty() {
        return Err(format!(
            "it has IPv6 addresses only, and this node listens on {from}: set listen to [::]:PORT"
        ));
    }
    fitting.dedup();
    Ok(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::host::Inline;

    async fn resolved(peer: &str, from: &str) -> Result<Vec<String>, String> {
        let from = from.parse().expect("an address");
        let found = resolve(&peer.parse().expect("an address"), from, &Inline).await?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_peer_is_looked_up_among_the_addresses_that_can_be_dialed() {
        assert_eq!(resolved("127.0.0.1:7000", "127.0.0.1:1").await, Ok(vec!["127.0.0.1:7000".into()]));
        assert_eq!(resolved("[::1]:7000", "[::]:1").await, Ok(vec!["[::1]:7000".into()]));
        let problem = resolved("[::1]:7000", "0.0.0.0:1").await.expect_err("it cannot be dialed");
        assert!(problem.contains("set listen to [::]:PORT"), "{problem}");
    }
}
