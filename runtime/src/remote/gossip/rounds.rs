//! Gossip at work: a part of the node that runs chitchat and looks, at each round, at what it has learned.

use super::dials::Dials;
use super::members::{Members, SERVICES, SUSPECTS, TOPICS, VERSION, write_suspects};
use super::wire::Wire;
use crate::node::Node;
use crate::reach::reached;
use crate::remote::core::{Core, Holding};
use crate::supervision::{AddPartError, PartSpec, Running};
use crate::telemetry::events::{Event, Events};
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, Heartbeat, Version,
    spawn_chitchat,
};
use odeon_core::NodeId;
use parking_lot::Mutex;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// A round of gossip: each time a node talks to up to three others that live, and now and then to one that does not.
const INTERVAL: Duration = Duration::from_millis(250);
/// Rounds after which a peer is asked for a list that should have come by itself.
const PATIENCE: u32 = 4;

/// When chitchat believes a node to be dead: the time since it was heard of is more than [`PHI`] times the mean of the
/// last intervals, of which five are taken to be of one second. That is between 2.5 s in a busy cluster and 12 s right
/// after the node has come.
const PHI: f64 = 12.0;
const INTERVALS: usize = 20;
const INTERVAL_PRIOR: Duration = Duration::from_secs(1);
/// Longer ones were times of death.
const INTERVAL_MAX: Duration = Duration::from_secs(10);
/// A dead node is told of for half of this time and then forgotten: each makes all messages longer.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Where an earlier run in the same incarnation has stopped: what is not above these numbers is not believed.
type Last = Arc<Mutex<Option<(Heartbeat, Version)>>>;

/// Begins to gossip, until the node stops.
///
/// # Errors
/// The node is stopping.
pub(in crate::remote) async fn begin(node: &Node, core: &Arc<Core>) -> Result<(), AddPartError> {
    let spec = PartSpec::new("gossip").outlives_services();
    let (core, last) = (core.clone(), Last::default());
    node.add_part(&spec, move |running| run(core.clone(), last.clone(), running)).await
}

async fn run(core: Arc<Core>, last: Last, mut running: Running) -> Result<(), String> {
    running.ready();
    let mut rounds = interval(INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let address = loop {
        tokio::select! {
            biased;
            () = running.stopping() => return Ok(()),
            _ = rounds.tick() => {}
        }
        if let Some(address) = advertised(&core) {
            break address;
        }
    };
    let wire = Wire(core.clone());
    let chitchat = spawn_chitchat(config(&core, address), Vec::new(), &wire).await;
    let chitchat = chitchat.map_err(|error| error.to_string())?;
    let mut ended = std::pin::pin!(chitchat.termination_watcher());
    let mut rounds_of = Rounds { core, chitchat, last, dials: Dials::default(), behind: 0 };
    rounds_of.begin().await;
    loop {
        tokio::select! {
            biased;
            () = running.stopping() => break,
            end = &mut ended => {
                let problem = end.err().map_or_else(|| "it has ended".to_owned(), |error| error.to_string());
                return Err(format!("gossip does not go on: {problem}"));
            }
            _ = rounds.tick() => rounds_of.look().await,
        }
    }
    // an error says that it has ended already
    let _ = rounds_of.chitchat.shutdown().await;
    Ok(())
}

/// Where others are told that this node listens. One that listens on all interfaces does not know by which of its
/// addresses it can be reached; the one of its first link is one.
fn advertised(core: &Core) -> Option<SocketAddr> {
    let mut address = core.advertised();
    if address.ip().is_unspecified() {
        let entries = core.peers.lock();
        let connections = entries.values().filter_map(|entry| entry.held.as_ref()).filter(|held| held.is_up);
        let mut used = connections.filter_map(|Holding { connection, .. }| {
            // quinn knows it of those who have dialed this node
            connection.local_ip().or_else(|| way_to(connection.remote_address()).ok())
        });
        address.set_ip(used.next()?.to_canonical());
    }
    Some(address)
}

/// The address from which the operating system sends to another one. Nothing is sent.
fn way_to(other: SocketAddr) -> io::Result<IpAddr> {
    let any =
        if other.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(other)?;
    Ok(socket.local_addr()?.ip())
}

pub(super) fn config(core: &Core, address: SocketAddr) -> ChitchatConfig {
    let NodeId { name, incarnation } = core.us();
    ChitchatConfig {
        chitchat_id: ChitchatId::new(name.as_str(), *incarnation, address),
        cluster_id: core.cluster().to_string(),
        gossip_interval: INTERVAL,
        listen_addr: address,
        // every peer is a seed; chitchat would look names up in a thread of its own
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig::new(
            PHI,
            INTERVALS,
            INTERVAL_MAX,
            INTERVAL_PRIOR,
            REMEMBERED,
        ),
        // nothing is ever deleted
        marked_for_deletion_grace_period: REMEMBERED,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

/// Says what there is to say of this node, beyond where an earlier run has stopped.
pub(super) fn announce(chitchat: &mut Chitchat, last: Option<(Heartbeat, Version)>, services: u64) {
    let own = chitchat.self_node_state();
    if let Some((heartbeat, version)) = last {
        own.try_set_heartbeat(heartbeat);
        own.set_max_version(version);
    }
    own.set(VERSION, env!("CARGO_PKG_VERSION"));
    own.set(SERVICES, services);
}

struct Rounds {
    core: Arc<Core>,
    chitchat: ChitchatHandle,
    last: Last,
    dials: Dials,
    /// Rounds for which some list of a peer has not come.
    behind: u32,
}

impl Rounds {
    /// What it says of this node.
    async fn begin(&self) {
        let last = *self.last.lock();
        let mut chitchat = self.chitchat.chitchat().lock_owned().await;
        announce(&mut chitchat, last, self.core.offers.number());
    }

    /// One look at what is known by now.
    async fn look(&mut self) {
        let before = self.core.gossip.members();
        let now = {
            let chitchat = self.chitchat.chitchat();
            let mut chitchat = chitchat.lock().await;
            self.read(&mut chitchat)
        };
        if *before != now {
            tell(&self.core.events, &before, &now);
            let moved = !before.alive().eq(now.alive()) || !before.suspects().eq(now.suspects());
            *self.core.gossip.members.lock() = Arc::new(now);
            if moved {
                self.core.changes.note();
            }
        }
        self.greet();
        self.dials.look(&self.core);
    }

    fn read(&self, chitchat: &mut Chitchat) -> Members {
        let own = chitchat.self_node_state();
        own.set(SERVICES, self.core.offers.number());
        own.set(SUSPECTS, write_suspects(&self.core.suspects()));
        own.set(TOPICS, self.core.topics.number());
        *self.last.lock() = Some((own.heartbeat(), own.max_version()));
        self.core.gossip.digest.lock().set(chitchat.node_states().keys());
        Members::of_chitchat(chitchat)
    }

    /// Gossips with peers that it has not heard of, and asks those for their lists of which too little is known.
    fn greet(&mut self) {
        let members = self.core.gossip.members();
        let mut strangers = Vec::new();
        let mut behind = Vec::new();
        for entry in self.core.peers.lock().values() {
            let Some(peer) = entry.connected() else { continue };
            match members.of(&peer.node.name).filter(|member| member.incarnation >= peer.node.incarnation) {
                None => strangers.extend(entry.dialable()),
                Some(member) if member.incarnation > peer.node.incarnation => {}
                Some(member) => {
                    let services = member.services > peer.services().number;
                    let topics = peer.groups.is_behind(member.topics);
                    if services || topics {
                        behind.push((peer.clone(), services, topics));
                    }
                }
            }
        }
        for address in strangers {
            // an error says that it has ended, which is seen elsewhere
            let _ = self.chitchat.gossip(address);
        }
        // most are on their way
        self.behind = if behind.is_empty() { 0 } else { self.behind + 1 };
        if self.behind >= PATIENCE {
            self.behind = 0;
            reached!(ASKED);
            for (peer, services, topics) in behind {
                if services {
                    peer.outbox.want_services();
                }
                if topics {
                    peer.want_topics();
                }
            }
        }
    }
}

/// Tells who has come and gone.
fn tell(events: &Events, before: &Members, now: &Members) {
    for (name, member) in now.iter() {
        let was = before.of(name).filter(|was| was.incarnation == member.incarnation);
        let was_alive = was.is_some_and(|was| was.is_alive);
        let node = NodeId { name: name.clone(), incarnation: member.incarnation };
        let address = member.address;
        if member.is_alive && !was_alive {
            reached!(HEARD_OF);
            events.note(&Event::Heard { node, address, version: member.version.clone() });
        } else if was_alive && !member.is_alive {
            reached!(UNHEARD);
            events.note(&Event::Unheard { node, address });
        }
    }
}
