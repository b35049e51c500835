//! The peers that a node was told of: its way into the cluster, and back into it when all others have forgotten it.
//! Each is dialed until there is a link to it, and again, wherever its name leads by then, when there is none any more.

use crate::config::PeerAddress;
use odeon::Running;
use odeon::core::supervision::Backoff;
use odeon::core::{NodeId, Random};
use odeon::host::{Blocking, Executor, run_blocking};
use odeon::remote::Links;
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
            let (links, blocking) = (self.links.clone(), self.blocking.clone());
            self.executor.spawn_in(&mut dials, async move { keep(&links, &address, &*blocking, seed).await });
        }
        running.stopping().await;
        Ok(())
    }
}

/// Dials whenever there is no link.
async fn keep(links: &Links, peer: &PeerAddress, blocking: &dyn Blocking, seed: u64) -> Infallible {
    let mut random = Random::seeded(seed);
    loop {
        let node = reach(links, peer, blocking, &mut random).await;
        while links.status().iter().any(|link| link.connected && link.node.name == node.name) {
            sleep(LOOK_EVERY).await;
        }
        tracing::debug!(%peer, %node, "there is no link any more to a peer");
    }
}

/// Dials until there is a link. A problem is told of once, until another one takes its place.
async fn reach(links: &Links, peer: &PeerAddress, blocking: &dyn Blocking, random: &mut Random) -> NodeId {
    let mut told = String::new();
    let mut attempt = 0;
    loop {
        let problem = match dial(links, peer, blocking).await {
            Ok(node) => {
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
async fn dial(links: &Links, peer: &PeerAddress, blocking: &dyn Blocking) -> Result<NodeId, String> {
    let mut problem = String::from("its name stands for no address");
    for address in resolve(peer, links.local_address(), blocking).await? {
        match links.connect(address).await {
            Ok(node) => return Ok(node),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

/// The addresses of a host that can be dialed from here.
async fn resolve(
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
