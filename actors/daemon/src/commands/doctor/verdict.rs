//! What dials and links prove of the way to each peer, and of the way back.

use super::dial::Reached;
use super::report::{Check, Group};
use super::site::Site;
use crate::duration::show;
use odeon::core::NodeName;
use odeon::remote::Trust;
use odeon::remote::endpoint::{HandshakeError, MTU_MIN};
use odeon_actors::management::api::LinkSummary;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const GROUP: Group = Group::Reachability;
/// Each change that nodes agree on takes a round trip at least.
const ROUND_TRIP_SLOW: Duration = Duration::from_millis(100);

/// The node that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) name: NodeName,
    pub(super) listen: SocketAddr,
    /// Where the node has its port, if it runs.
    pub(super) running: Option<SocketAddr>,
    /// It may have to be the first to start.
    pub(super) is_founder: bool,
    /// In bytes of UDP payload.
    pub(super) packet_max: u16,
}

impl Own {
    pub(super) fn of(site: &Site, trust: &Trust) -> Self {
        let cluster = site.settings.cluster.as_ref();
        let founders = cluster.and_then(|cluster| cluster.group.as_ref()).map(|group| &group.founders);
        Self {
            name: trust.name().clone(),
            listen: cluster.map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |cluster| cluster.listen),
            running: site.running().and_then(|node| node.links),
            is_founder: founders.is_some_and(|founders| founders.contains(trust.name())),
            packet_max: cluster.map_or(MTU_MIN, |cluster| cluster.mtu_max),
        }
    }
}

/// How a dial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialed {
    /// Its name leads nowhere.
    Unresolved(String),
    /// There was no time left for it.
    Late,
    Not(HandshakeError),
    Reached(Reached),
}

impl Dialed {
    pub(super) fn reached(&self) -> Option<&Reached> {
        match self {
            Self::Reached(reached) => Some(reached),
            Self::Unresolved(_) | Self::Late | Self::Not(_) => None,
        }
    }

    /// Whether another node was reached.
    pub(super) fn is_another(&self, own: &Own) -> bool {
        self.reached().is_some_and(|reached| reached.node != own.name)
    }
}

/// The way to a peer. `is_spared`: the node does without it, for it finds all others by another one.
pub(super) fn judge(target: &str, dialed: &Dialed, own: &Own, is_spared: bool) -> Check {
    let name = format!("to {target}");
    match dialed {
        Dialed::Reached(reached) if reached.node == own.name => judge_namesake(&name, reached, own),
        Dialed::Reached(reached) => judge_path(&name, reached, own),
        Dialed::Unresolved(problem) => GROUP.failed(
            name,
            format_args!("it cannot be looked up: {problem}"),
            "correct it in [cluster] peers (or --peer), or add the name to DNS or /etc/hosts",
        ),
        Dialed::Late | Dialed::Not(HandshakeError::Silent { .. }) => {
            let found = "nobody answers there (UDP)";
            let advice = "start the node there, or look at its address and at firewalls between: UDP must pass both ways";
            match is_spared || (own.is_founder && own.running.is_none()) {
                true => GROUP.warning(name, found, advice),
                false => GROUP.failed(name, found, advice),
            }
        }
        Dialed::Not(error) => {
            let advice = match error {
                HandshakeError::Stranger { stranger, .. } => stranger.advice(),
                HandshakeError::Refused { .. } => {
                    "its log says why: an authority that it does not believe, or the clock of one of both hosts"
                }
                HandshakeError::Foreign { .. } => {
                    "another program has that port, or a node of another version"
                }
                HandshakeError::Closed { .. } | HandshakeError::Silent { .. } => {
                    "it is stopping, perhaps: ask again in a moment"
                }
                HandshakeError::Address { .. } => {
                    "set [cluster] listen (or --cluster-listen) to an address of the network in which the peer is"
                }
            };
            GROUP.failed(name, error, advice)
        }
    }
}

fn judge_path(name: &str, reached: &Reached, own: &Own) -> Check {
    let Reached { node, handshake, round_trip, packet, .. } = reached;
    let found = format!(
        "{node} answers: mutual TLS in {}, round trip {}, packets of {packet} bytes pass",
        show(*handshake),
        show(*round_trip)
    );
    if *packet <= MTU_MIN && own.packet_max > MTU_MIN {
        let advice =
            "something between drops larger ones: correct the MTU of its interfaces, or set mtu_max = 1200";
        return GROUP.warning(name, format_args!("{found}, and no larger ones"), advice);
    }
    if *round_trip > ROUND_TRIP_SLOW {
        let advice = "each change that nodes agree on takes a round trip: voters belong near each other";
        return GROUP.warning(name, found, advice);
    }
    GROUP.ok(name, found)
}

/// Somebody who is called as this node.
fn judge_namesake(name: &str, reached: &Reached, own: &Own) -> Check {
    let node = &reached.node;
    match own.running {
        Some(address) if address.port() == reached.address.port() && reached.is_here => {
            GROUP.ok(name, format_args!("that is this node, {node}, itself"))
        }
        _ => GROUP.failed(
            name,
            format_args!("there is another process that is {node}, with this node's certificate"),
            "keep one of the two: each node has a name, a certificate and a directory of its own",
        ),
    }
}

/// The node's own port.
pub(super) fn judge_itself(dialed: &Dialed, own: &Own) -> Check {
    let name = "own port";
    match (dialed, own.running) {
        (Dialed::Reached(reached), _) if reached.node == own.name => GROUP.ok(
            name,
            format_args!("{} answers on {} as a member would be answered", own.name, reached.address),
        ),
        (Dialed::Reached(reached), _) => GROUP.failed(
            name,
            format_args!("{} answers on {}, not {}", reached.node, reached.address, own.name),
            "this configuration is another node's",
        ),
        (Dialed::Not(error), _) => {
            GROUP.failed(name, error, "its log may say why; it uses new certificates after SIGHUP")
        }
        (Dialed::Unresolved(_) | Dialed::Late, _) => GROUP.skipped(name, "there was no time to dial it"),
    }
}

/// The way from a peer, whose address is known if it was reached, to this node.
pub(super) fn judge_way_back(
    peer: &str,
    link: Option<&LinkSummary>,
    address: Option<SocketAddr>,
    own: &Own,
) -> Check {
    let name = format!("from {peer}");
    let listens = own.running.unwrap_or(own.listen);
    if listens.ip().is_loopback() && address.is_some_and(|address| !address.ip().to_canonical().is_loopback())
    {
        return GROUP.failed(
            name,
            format_args!("this node listens on {listens}, which no other machine reaches"),
            "set [cluster] listen (or --cluster-listen) to an address that others reach",
        );
    }
    match link {
        Some(link) if link.has_dialed => {
            GROUP.ok(name, format_args!("{} has dialed this node: the way back is open", link.node))
        }
        Some(link) if link.connected => GROUP.skipped(
            name,
            format_args!(
                "this node has dialed {}, so nothing is known of the way back: ask `doctor` on its machine",
                link.node
            ),
        ),
        _ if own.running.is_none() => {
            GROUP.skipped(name, "no node runs here that it could dial: start the node and ask again")
        }
        _ => GROUP.warning(
            name,
            "it answers, but the node has no link to it",
            "the logs of both say why it was turned away: `a peer cannot be reached`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    fn own() -> Own {
        Own {
            name: "north".parse().expect("a name"),
            listen: "0.0.0.0:7000".parse().expect("an address"),
            running: None,
            is_founder: false,
            packet_max: 6_500,
        }
    }

    fn running() -> Own {
        Own { running: Some("10.0.0.1:7000".parse().expect("an address")), ..own() }
    }

    fn reached(node: &str, address: &str) -> Reached {
        Reached {
            node: node.parse().expect("a name"),
            address: address.parse().expect("an address"),
            is_here: true,
            handshake: Duration::from_millis(3),
            round_trip: Duration::from_millis(1),
            packet: 1_452,
        }
    }

    fn outcome(dialed: Dialed, own: &Own, is_spared: bool) -> Outcome {
        judge("a:1", &dialed, own, is_spared).outcome
    }

    #[test]
    fn a_path_that_carries_small_packets_only_or_is_long_is_told_of() {
        let path = |change: fn(&mut Reached)| {
            let mut reached = reached("south", "10.0.0.2:7000");
            change(&mut reached);
            outcome(Dialed::Reached(reached), &own(), true)
        };
        assert_eq!(path(|_| {}), Outcome::Ok);
        assert_eq!(path(|reached| reached.packet = 1_200), Outcome::Warning);
        assert_eq!(path(|reached| reached.round_trip = Duration::from_millis(140)), Outcome::Warning);
        let small = Reached { packet: 1_200, ..reached("south", "10.0.0.2:7000") };
        let own = Own { packet_max: 1_200, ..own() };
        assert_eq!(outcome(Dialed::Reached(small), &own, true), Outcome::Ok, "nobody wants larger ones");
    }

    #[test]
    fn a_silent_peer_fails_unless_another_one_leads_into_the_cluster_or_this_node_begins_it() {
        let silent =
            || Dialed::Not(HandshakeError::Silent { peer: "10.0.0.2:7000".parse().expect("an address") });
        let founder = Own { is_founder: true, ..own() };
        assert_eq!(outcome(silent(), &own(), false), Outcome::Failed);
        assert_eq!(outcome(silent(), &own(), true), Outcome::Warning);
        assert_eq!(outcome(silent(), &founder, false), Outcome::Warning);
        assert_eq!(outcome(silent(), &Own { is_founder: true, ..running() }, false), Outcome::Failed);
        assert_eq!(outcome(Dialed::Late, &own(), false), Outcome::Failed);
        assert_eq!(outcome(Dialed::Unresolved("no such host".into()), &own(), true), Outcome::Failed);
    }

    #[test]
    fn somebody_of_the_same_name_is_this_node_or_one_too_many() {
        let namesake = |address| Dialed::Reached(reached("north", address));
        assert_eq!(outcome(namesake("10.0.0.1:7000"), &running(), false), Outcome::Ok);
        assert_eq!(outcome(namesake("10.0.0.1:7001"), &running(), false), Outcome::Failed);
        assert_eq!(outcome(namesake("10.0.0.1:7000"), &own(), false), Outcome::Failed);
        let copy = Dialed::Reached(Reached { is_here: false, ..reached("north", "10.0.0.2:7000") });
        assert_eq!(outcome(copy, &running(), false), Outcome::Failed, "on another machine");
        assert!(!namesake("10.0.0.1:7000").is_another(&running()));
        assert_eq!(judge_itself(&namesake("10.0.0.1:7000"), &running()).outcome, Outcome::Ok);
        let south = Dialed::Reached(reached("south", "10.0.0.1:7000"));
        assert_eq!(judge_itself(&south, &running()).outcome, Outcome::Failed);
    }

    #[test]
    fn the_way_back_is_proven_by_a_peer_that_has_dialed_and_by_nothing_else() {
        let there: Option<SocketAddr> = Some("10.0.0.2:7000".parse().expect("an address"));
        let link = |connected, has_dialed| {
            let link = serde_json::json!({
                "node": "south@1", "connected": connected, "has_dialed": has_dialed, "sent": 0, "handled": 0, "refused": {},
                "expired": 0, "lost": {}, "open": 0, "queued": 0, "queued_bytes": 0, "calls": 0,
            });
            serde_json::from_value::<LinkSummary>(link).expect("a link")
        };
        let judged =
            |link: Option<&LinkSummary>, own: &Own| judge_way_back("south", link, there, own).outcome;
        assert_eq!(judged(Some(&link(true, true)), &running()), Outcome::Ok);
        assert_eq!(judged(Some(&link(true, false)), &running()), Outcome::Skipped);
        assert_eq!(judged(None, &running()), Outcome::Warning);
        assert_eq!(judged(Some(&link(false, false)), &running()), Outcome::Warning);
        assert_eq!(judged(None, &own()), Outcome::Skipped);
        let loopback = Own { listen: "127.0.0.1:0".parse().expect("an address"), ..own() };
        assert_eq!(judged(None, &loopback), Outcome::Failed);
    }
}
