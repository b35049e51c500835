//! What a node knows of its peers: whom it has dialed, who has dialed it, which connection stays, which session goes on.

mod handshake;

use super::clients::Clients;
use super::elsewhere::Ways;
use super::endpoint::{Endpoint, HandshakeError, Incoming, close};
use super::gossip::Gossip;
use super::keeper;
use super::links::{LinkStatus, RenewError};
use super::offers::{Offers, TooManyServices};
use super::peer::Peer;
use super::providers::Changes;
use super::trust::{Subject, Trust};
use crate::cell::Wheel;
use crate::directory::Inlet;
use crate::host::Executor;
use crate::node::NodeInner;
use crate::reach::reached;
use crate::replication::Exchange;
use crate::service::compact::Compacts;
use crate::telemetry::events::Events;
use crate::topics::Topics;
use odeon_core::delivery::Loss;
use odeon_core::supervision::Backoff;
use odeon_core::wire::admission::{Known, Ours, Sessions};
use odeon_core::wire::duel::{Dial, Held};
use odeon_core::wire::handshake::{ArtifactDigest, Turned};
use odeon_core::wire::session::{LaneCounts, Received};
use odeon_core::{ClusterId, NodeId, NodeName, Random, Refusal};
use parking_lot::Mutex;
use quinn::{Connection, VarInt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The code with which a connection is closed whose dialer was turned away, or which gave way to another one.
const TURNED: VarInt = VarInt::from_u32(2);

/// Why a peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection, or with a stranger.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// Turned away, by the peer or by this node.
    #[error("{}; {}", .0, .0.advice())]
    Turned(Turned),
    /// The connection broke in the middle.
    #[error("{0}")]
    Broken(String),
}

pub(crate) struct Core {
    pub(super) node: Weak<NodeInner>,
    pub(super) wheel: Arc<Wheel>,
    pub(super) events: Events,
    /// All connections live on this one.
    pub(super) executor: Executor,
    endpoint: Endpoint,
    us: Ours,
    sessions: AtomicU64,
    pub(super) peers: Mutex<BTreeMap<NodeName, Entry>>,
    pub(super) clients: Clients,
    /// What clients are told: what this node offers, and what its peers do.
    pub(super) told: Offers,
    /// The node is stopping: nobody is dialed any more.
    closed: AtomicBool,
    random: Mutex<Random>,
    /// What this node offers.
    pub(super) offers: Offers,
    /// Who receives what is published.
    pub(super) topics: Arc<Topics>,
    pub(super) gossip: Gossip,
    /// Of what leads messages to one peer or another.
    pub(super) changes: Arc<Changes>,
    /// What may travel compactly.
    pub(super) compacts: Arc<Compacts>,
    pub(super) ways: Ways,
    /// What replicas of this node ask those of others, and are asked; none if it has no replicas.
    pub(super) exchange: OnceLock<Exchange>,
    /// The last incarnations of nodes that the cluster has removed.
    outcasts: Mutex<BTreeMap<NodeName, u64>>,
}

/// What is known of a node of some name.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) incarnation: u64,
    /// What that drew when it started; 0: it did not say.
    run: u64,
    /// It was told that another process says to be the same.
    twin_told: bool,
    pub(super) held: Option<Holding>,
    /// Dials to it, counted.
    attempts: u64,
    /// It has dialed this node, and was who it said to be: the way from there is open.
    pub(super) has_dialed: bool,
    /// The latest of its dials that was seen to end.
    ended: Option<Dial>,
    pub(super) address: Option<SocketAddr>,
    /// When it has lost its connection last.
    pub(super) lost: Option<Duration>,
}

/// A connection, or a dial that waits for its answer.
pub(super) struct Holding {
    held: Held,
    pub(super) connection: Connection,
    /// Its handshake is done.
    pub(super) is_up: bool,
}

impl Holding {
    fn is(&self, connection: &Connection) -> bool {
        self.connection.stable_id() == connection.stable_id()
    }
}

impl Entry {
    fn known(&self) -> Option<Known> {
        (self.incarnation > 0).then(|| Known {
            incarnation: self.incarnation,
            run: self.run,
            sessions: self.peer.as_ref().filter(|peer| !peer.is_gone()).map(|peer| Sessions {
                sending: peer.session,
                received: peer.inbound.session.lock().map(|session| Received {
                    session,
                    lanes: LaneCounts::new(peer.inbound.received()).unwrap_or_default(),
                }),
            }),
        })
    }
}

impl Core {
    pub(super) fn new(node: &Arc<NodeInner>, executor: &Executor, endpoint: Endpoint, us: Ours) -> Arc<Self> {
        endpoint.note_to(&node.events);
        Arc::new(Self {
            node: Arc::downgrade(node),
            wheel: node.wheel.clone(),
            events: node.events.clone(),
            executor: executor.clone(),
            endpoint,
            us,
            sessions: AtomicU64::new(1),
            peers: Mutex::default(),
            clients: Clients::default(),
            told: Offers::default(),
            closed: AtomicBool::new(false),
            random: Mutex::new(Random::seeded(node.next_seed())),
            offers: Offers::default(),
            topics: node.topics.clone(),
            gossip: Gossip::default(),
            changes: Arc::default(),
            compacts: Arc::default(),
            ways: Ways::default(),
            exchange: OnceLock::new(),
            outcasts: Mutex::default(),
        })
    }

    /// Offers what the node has registered by now, and tells its peers what is new.
    ///
    /// # Errors
    /// It is too much to be told; then peers know what they knew.
    pub(crate) fn offer(&self, node: &NodeInner) -> Result<(), TooManyServices> {
        if self.offers.refresh(node)? {
            self.tell_services();
            self.tell_clients();
        }
        Ok(())
    }

    /// Tells peers which services are ready, if that has changed.
    pub(super) fn look_at_services(&self) {
        if self.node.upgrade().is_some_and(|node| self.offers.refresh_ready(&node)) {
            self.tell_services();
        }
    }

    fn tell_services(&self) {
        self.peers.lock().values().filter_map(|e| e.peer.as_ref()).for_each(|p| p.outbox.tell_services());
    }

    /// How often something has changed that may lead messages elsewhere.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.number()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.endpoint.local_address()
    }

    /// Where it says that others find it.
    pub(super) fn advertised(&self) -> SocketAddr {
        // a client says nothing
        self.us.address.parse().unwrap_or_else(|_| self.address())
    }

    pub(super) fn us(&self) -> &NodeId {
        &self.us.node
    }

    pub(super) fn artifact(&self) -> Option<ArtifactDigest> {
        self.us.artifact
    }

    pub(super) fn cluster(&self) -> &ClusterId {
        &self.us.cluster
    }

    /// New handshakes use these credentials, if they are this node's.
    pub(super) fn renew(&self, trust: Trust) -> Result<(), RenewError> {
        let Ours { cluster, node: NodeId { name, .. }, is_client, .. } = &self.us;
        let own = if *is_client { Subject::Client(name.clone()) } else { Subject::Node(name.clone()) };
        if *trust.subject() != own {
            return Err(RenewError::Name { certificate: trust.subject().clone(), own });
        }
        if trust.cluster() != cluster {
            let (certificate, cluster) = (trust.cluster().clone(), cluster.clone());
            return Err(RenewError::Cluster { certificate, cluster });
        }
        self.endpoint.renew(trust);
        Ok(())
    }

    /// The next who dials this node.
    pub(super) async fn incoming(&self) -> Option<Incoming> {
        self.endpoint.accept().await
    }

    pub(super) fn status(&self) -> Vec<LinkStatus> {
        let members = self.gossip.members();
        self.peers.lock().values().filter_map(|entry| entry.status(&members)).collect()
    }

    pub(super) fn status_of(&self, peer: &NodeName) -> Option<LinkStatus> {
        let members = self.gossip.members();
        self.peers.lock().get(peer)?.status(&members)
    }

    /// The incarnation that messages for a peer go to.
    pub(super) fn incarnation_of(&self, peer: &NodeName) -> Option<NodeId> {
        self.peers.lock().get(peer)?.peer.as_ref().map(|peer| (*peer.node).clone())
    }

    /// Ends all links in order. Answers whether all peers were told in time.
    pub(super) async fn close(&self, reason: &str, within: Duration) -> bool {
        self.closed.store(true, Ordering::Release);
        let peers = self.all_peers();
        let closed = self.endpoint.close(reason, within).await;
        for peer in peers {
            peer.end(reason, Loss::Stopped);
        }
        closed
    }

    /// The same without waiting for anybody.
    pub(super) fn close_at_once(&self, reason: &str) {
        self.closed.store(true, Ordering::Release);
        self.endpoint.close_at_once(reason);
        for peer in self.all_peers() {
            peer.end(reason, Loss::Stopped);
        }
    }

    /// Closes all connections; sessions go on over the next ones.
    pub(super) fn drop_connections(&self) {
        let drop_of = |entry: &Entry| {
            if let Some(holding) = &entry.held {
                close(&holding.connection, TURNED, b"dropped");
            }
        };
        self.peers.lock().values().for_each(drop_of);
        self.clients.lock().values().for_each(drop_of);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// How long to wait before the next dial.
    pub(super) fn backoff(&self, backoff: &Backoff, attempt: u32) -> Duration {
        backoff.wait(attempt, &mut self.random.lock())
    }

    /// One of so many, by chance. There must be one.
    pub(super) fn draw(&self, count: usize) -> usize {
        self.random.lock().below(count as u64) as usize
    }

    /// Chance for somebody who needs it often.
    pub(super) fn fork_random(&self) -> Random {
        self.random.lock().fork()
    }

    /// Where a peer can be dialed, if it can.
    pub(super) fn address_of(&self, peer: &NodeName) -> Option<SocketAddr> {
        self.peers.lock().get(peer)?.address
    }

    /// Where messages for a service of this node go.
    pub(super) fn inlet(
        self: &Arc<Self>,
        (peer, lane): (&Peer, usize),
        service: u32,
        key: Option<&str>,
        epoch: u64,
    ) -> Result<Arc<dyn Inlet>, Refusal> {
        let unknown = |service: String| Refusal::UnknownService { service };
        let offers = self.offers_for(peer);
        let name = offers.name(service).ok_or_else(|| unknown(format!("number {service}")))?;
        if !self.offers.has(&name)
            && let Some(told) = offers.offer(service)
        {
            return Ok(peer.passages.inlet(self, lane, name, key, told));
        }
        let node = self.node.upgrade().ok_or(Refusal::Stopped)?;
        node.registry.dynamic(&name).ok_or_else(|| unknown(name.to_string()))?.inlet(key, epoch)
    }

    /// The cluster has removed these incarnations, and with them all earlier ones.
    pub(crate) fn cast_out<'a>(&self, removed: impl Iterator<Item = (&'a NodeName, u64)>) {
        let mut new = Vec::new();
        {
            let mut outcasts = self.outcasts.lock();
            for (name, incarnation) in removed {
                if outcasts.get(name).is_none_or(|known| *known < incarnation) {
                    outcasts.insert(name.clone(), incarnation);
                    new.push(name.clone());
                }
            }
        }
        for name in new {
            let peer = self.peers.lock().get(&name).and_then(|entry| entry.peer.clone());
            if let Some(peer) = peer.filter(|peer| self.is_outcast(&peer.node)) {
                peer.cast_out();
            }
        }
    }

    /// Whether the cluster has removed it.
    pub(super) fn is_outcast(&self, node: &NodeId) -> bool {
        self.outcasts.lock().get(&node.name).is_some_and(|last| node.incarnation <= *last)
    }

    /// Another session with the same incarnation, after one that was given up.
    pub(super) fn begin_anew(self: &Arc<Self>, entry: &mut Entry) -> Option<Arc<Peer>> {
        let old = entry.peer.as_ref().filter(|_| !self.is_closed())?;
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let peer = Peer::new((*old.node).clone(), None, session, self, Some(old));
        peer.offers((*old.services()).clone());
        keeper::start(self, &peer);
        entry.peer = Some(peer.clone());
        reached!(BEGAN_ANEW);
        Some(peer)
    }

    fn ours(&self, entry: &Entry) -> Ours {
        let session_next = match &entry.peer {
            Some(peer) if !peer.is_gone() => peer.session,
            _ => self.sessions.fetch_add(1, Ordering::Relaxed),
        };
        Ours { session_next, ..self.us.clone() }
    }
}
