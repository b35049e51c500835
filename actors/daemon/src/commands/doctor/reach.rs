//! Reachability: each peer is dialed with the node's certificate; who has dialed this node, its links tell.

use super::certificates::Held;
use super::dial::{Reached, dial};
use super::ports::reached_at;
use super::report::Check;
use super::site::Site;
use super::verdict::{Dialed, GROUP, Own, judge, judge_itself, judge_way_back};
use crate::cluster::resolve;
use crate::config::Cluster;
use odeon::remote::endpoint::HandshakeError;
use odeon::remote::{Endpoint, Transport};
use odeon_actors::management::api::{LinkSummary, Links};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Peers that are dialed, at the most: all at once.
const PEERS_MAX: usize = 32;
/// Of the addresses that a name stands for.
const ADDRESSES_MAX: usize = 2;
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);
/// For all of one peer.
const PEER_WITHIN: Duration = Duration::from_secs(7);
const CLOSE_WITHIN: Duration = Duration::from_millis(300);

/// Makes all checks of it. `links` are those of the node, if one runs.
pub(super) async fn check(site: &Site, held: Option<&Held>, links: Option<&Links>) -> Vec<Check> {
    let Some(config) = &site.settings.cluster else {
        return vec![GROUP.skipped("peers", "the node is in no cluster: it has none")];
    };
    let Some(trust) = held.and_then(|held| held.trust.as_ref().ok()) else {
        return vec![GROUP.skipped("peers", "without a certificate that peers accept nobody is dialed")];
    };
    let from = SocketAddr::new(config.listen.ip(), 0);
    let wanted =
        Transport { mtu_max: config.mtu_max, handshake_max: HANDSHAKE_WITHIN, ..Transport::default() };
    let endpoint = match Endpoint::bind_to_dial(from, trust.clone(), &wanted, &site.executor) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return vec![GROUP.failed(
                "peers",
                format_args!("nobody can be dialed from {}: {error}", config.listen.ip()),
                "[cluster] listen has to be an address of this machine",
            )];
        }
    };
    let checks = Dials { site, config, endpoint: &endpoint, links, own: Own::of(site, trust) }.check().await;
    // who was dialed is told that it is over
    endpoint.close("odeon doctor has seen enough", CLOSE_WITHIN).await;
    checks
}

struct Dials<'a> {
    site: &'a Site,
    config: &'a Cluster,
    endpoint: &'a Endpoint,
    links: Option<&'a Links>,
    own: Own,
}

/// Whom to dial: what it is called here, and where it is.
#[derive(Clone, Debug)]
struct Target {
    shown: String,
    /// The node is told of it, and has to find somebody there.
    is_configured: bool,
    addresses: Result<Vec<SocketAddr>, String>,
}

impl Dials<'_> {
    async fn check(&self) -> Vec<Check> {
        let mut targets = self.configured().await;
        let met = self.met(&targets);
        let all = self.config.peers.len() + met.len();
        targets.extend(met);
        targets.truncate(PEERS_MAX);
        let left = all - targets.len();
        let itself = self.site.running().and_then(|node| node.links).map(reached_at);
        let itself = itself.map(|address| Target {
            shown: "itself".into(),
            is_configured: false,
            addresses: Ok(vec![address]),
        });
        let count = targets.len();
        let mut dialed = self.dial(targets.into_iter().chain(itself)).await;
        let itself = (dialed.len() > count).then(|| dialed.pop()).flatten();

        let mut checks: Vec<Check> =
            itself.iter().map(|(_, dialed)| judge_itself(dialed, &self.own)).collect();
        if dialed.is_empty() {
            checks.push(GROUP.skipped("peers", "none is configured: this node waits until others dial it"));
        }
        let anybody = dialed.iter().any(|(_, dialed)| dialed.is_another(&self.own));
        checks.extend(dialed.iter().map(|(target, dialed)| {
            judge(&target.shown, dialed, &self.own, anybody || !target.is_configured)
        }));
        if left > 0 {
            checks.push(
                GROUP.skipped("more peers", format_args!("{left} are not dialed: {PEERS_MAX} are enough")),
            );
        }
        checks.extend(self.ways_back(&dialed));
        checks
    }

    /// The peers that the node is told of.
    async fn configured(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut lookups = JoinSet::new();
        for (index, peer) in self.config.peers.iter().take(PEERS_MAX).enumerate() {
            let (peer, from, blocking) = (peer.clone(), self.config.listen, self.site.blocking.clone());
            let (shown, addresses) = (peer.to_string(), Err("it takes too long".into()));
            targets.push(Target { shown, is_configured: true, addresses });
            let lookup = async move { timeout(RESOLVE_WITHIN, resolve(&peer, from, &*blocking)).await };
            self.site.executor.spawn_in(&mut lookups, async move { (index, lookup.await) });
        }
        while let Some(found) = lookups.join_next().await {
            if let Ok((index, Ok(addresses))) = found {
                targets[index].addresses = addresses;
            }
        }
        targets
    }

    /// Those with whom the node has a link, or should have one, and which are not among the others.
    fn met(&self, configured: &[Target]) -> Vec<Target> {
        let known: BTreeSet<SocketAddr> =
            configured.iter().flat_map(|target| target.addresses.iter().flatten().copied()).collect();
        let target = |link: &LinkSummary| {
            let address: SocketAddr = link.address.as_ref()?.parse().ok()?;
            let shown = format!("{} ({address})", name_of(&link.node));
            let is_new = !known.contains(&address);
            is_new.then(|| Target { shown, is_configured: false, addresses: Ok(vec![address]) })
        };
        let links = self.links.iter().flat_map(|links| &links.links);
        links.filter(|link| link.connected || link.liveness == "alive").filter_map(target).collect()
    }

    /// Dials all of them at once.
    async fn dial(&self, targets: impl Iterator<Item = Target>) -> Vec<(Target, Dialed)> {
        let mut dials = JoinSet::new();
        let mut dialed = Vec::new();
        for (index, target) in targets.enumerate() {
            let (endpoint, packet_max) = (self.endpoint.clone(), self.config.mtu_max);
            let addresses = target.addresses.clone();
            dialed.push((target, Dialed::Late));
            self.site.executor.spawn_in(&mut dials, async move {
                (index, timeout(PEER_WITHIN, first(&endpoint, addresses, packet_max)).await)
            });
        }
        while let Some(found) = dials.join_next().await {
            if let Ok((index, Ok(found))) = found {
                dialed[index].1 = found;
            }
        }
        dialed
    }

    /// Of each peer that was reached, or has a link, whether it can dial this node.
    fn ways_back(&self, dialed: &[(Target, Dialed)]) -> Vec<Check> {
        if self.own.running.is_some() && self.links.is_none() {
            return vec![GROUP.skipped("from peers", "the node does not say who has dialed it")];
        }
        let reached = dialed.iter().filter_map(|(_, dialed)| dialed.reached());
        let others: Vec<&Reached> = reached.filter(|reached| reached.node != self.own.name).collect();
        let links = self.links.map(|links| &*links.links).unwrap_or_default();
        let mut names: BTreeSet<&str> = others.iter().map(|reached| reached.node.as_str()).collect();
        names.extend(links.iter().filter(|link| link.connected).map(|link| name_of(&link.node)));
        let check = |name: &&str| {
            let link = links.iter().find(|link| name_of(&link.node) == *name);
            let reached = others.iter().find(|reached| reached.node.as_str() == *name);
            judge_way_back(name, link, reached.map(|reached| reached.address), &self.own)
        };
        names.iter().take(PEERS_MAX).map(check).collect()
    }
}

/// The name in `name@incarnation`.
fn name_of(node: &str) -> &str {
    node.split_once('@').map_or(node, |(name, _)| name)
}

/// Dials the addresses of a peer, until one of them answers.
async fn first(endpoint: &Endpoint, addresses: Result<Vec<SocketAddr>, String>, packet_max: u16) -> Dialed {
    let addresses = match addresses {
        Ok(addresses) => addresses,
        Err(problem) => return Dialed::Unresolved(problem),
    };
    let mut dialed = Dialed::Unresolved("its name stands for no address".into());
    let from = endpoint.local_address().ip();
    for address in addresses.into_iter().take(ADDRESSES_MAX) {
        if from.is_loopback() && !address.ip().to_canonical().is_loopback() {
            // the system would drop it without a word
            let why = format!("this node listens on {from}, from where no other machine is reached");
            dialed = Dialed::Not(HandshakeError::Address { peer: address, why });
            continue;
        }
        match dial(endpoint, address, packet_max).await {
            Ok(reached) => return Dialed::Reached(reached),
            Err(error) => dialed = Dialed::Not(error),
        }
    }
    dialed
}
