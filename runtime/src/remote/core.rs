//! What a node knows of its peers: whom it has dialed, who has dialed it, which connection stays, which session goes on.

use super::clients::{Clients, Whom};
use super::control::{self, HANDSHAKE_MAX};
use super::elsewhere::Ways;
use super::endpoint::{Endpoint, HandshakeError, Incoming, Member};
use super::gossip::Gossip;
use super::keeper;
use super::link::{Link, LinkEnd};
use super::links::{LinkStatus, RenewError};
use super::offers::{Offers, TooManyServices};
use super::peer::Peer;
use super::providers::Changes;
use super::relay;
use super::trust::{Subject, Trust};
use crate::cell::Wheel;
use crate::directory::Inlet;
use crate::host::Executor;
use crate::node::NodeInner;
use odeon_core::supervision::Backoff;
use odeon_core::wire::admission::{Known, Met, Ours, Sessions, admit, confirm};
use odeon_core::wire::duel::{Dial, Held};
use odeon_core::wire::handshake::{Expected, Hello, Reply, Turned, Welcome};
use odeon_core::wire::session::{LaneCounts, Received, Resume, SessionId};
use odeon_core::{ClusterId, NodeId, NodeName, Random, Refusal};
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The code with which a connection is closed whose dialer was turned away, or which gave way to another one.
const TURNED: VarInt = VarInt::from_u32(2);
/// Longest handshake, from the end of that of TLS on.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// Why a peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection, or with a stranger.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// Turned away, by the peer or by this node.
    #[error("{0}")]
    Turned(Turned),
    /// The connection broke in the middle.
    #[error("{0}")]
    Broken(String),
}

pub(crate) struct Core {
    pub(super) node: Weak<NodeInner>,
    pub(super) wheel: Arc<Wheel>,
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
    pub(super) gossip: Gossip,
    /// Of what leads messages to one peer or another.
    pub(super) changes: Arc<Changes>,
    pub(super) ways: Ways,
}

/// What is known of a node of some name.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) incarnation: u64,
    pub(super) held: Option<Holding>,
    /// Dials to it, counted.
    attempts: u64,
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
        Arc::new(Self {
            node: Arc::downgrade(node),
            wheel: node.wheel.clone(),
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
            gossip: Gossip::default(),
            changes: Arc::default(),
            ways: Ways::default(),
        })
    }

    /// Offers what the node has registered by now, and tells its peers what is new.
    ///
    /// # Errors
    /// It is too much to be told; then peers know what they knew.
    pub(crate) fn offer(&self, node: &NodeInner) -> Result<(), TooManyServices> {
        if self.offers.refresh(node)? {
            self.peers.lock().values().filter_map(|e| e.peer.as_ref()).for_each(|p| p.outbox.tell_services());
            self.tell_clients();
        }
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.endpoint.local_address()
    }

    pub(super) fn us(&self) -> &NodeId {
        &self.us.node
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

    /// Ends all links in order. Answers whether all peers were told in time.
    pub(super) async fn close(&self, reason: &str, within: Duration) -> bool {
        self.closed.store(true, Ordering::Release);
        let peers = self.all_peers();
        let closed = self.endpoint.close(reason, within).await;
        for peer in peers {
            peer.end(reason, "stopped");
        }
        closed
    }

    /// The same without waiting for anybody.
    pub(super) fn close_at_once(&self, reason: &str) {
        self.closed.store(true, Ordering::Release);
        self.endpoint.close_at_once(reason);
        for peer in self.all_peers() {
            peer.end(reason, "stopped");
        }
    }

    /// Closes all connections; sessions go on over the next ones.
    pub(super) fn drop_connections(&self) {
        let drop_of = |entry: &Entry| {
            if let Some(holding) = &entry.held {
                holding.connection.close(TURNED, b"dropped");
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

    /// Where a peer can be dialed, if it can.
    pub(super) fn address_of(&self, peer: &NodeName) -> Option<SocketAddr> {
        self.peers.lock().get(peer)?.address
    }

    /// Where messages for a service of this node go.
    pub(super) fn inlet(
        self: &Arc<Self>,
        peer: &Peer,
        service: u32,
        key: Option<&str>,
    ) -> Result<Arc<dyn Inlet>, Refusal> {
        let unknown = |service: String| Refusal::UnknownService { service };
        let offers = self.offers_for(peer);
        let name = offers.name(service).ok_or_else(|| unknown(format!("number {service}")))?;
        if !self.offers.has(&name)
            && let Some(told) = offers.offer(service)
        {
            return Ok(relay::inlet(self, name, key, told));
        }
        let node = self.node.upgrade().ok_or(Refusal::Stopped)?;
        node.registry.dynamic(&name).ok_or_else(|| unknown(name.to_string()))?.inlet(key)
    }

    /// Another session with the same incarnation, after one that was given up.
    pub(super) fn begin_anew(self: &Arc<Self>, entry: &mut Entry) -> Option<Arc<Peer>> {
        let old = entry.peer.as_ref().filter(|_| !self.is_closed())?;
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let peer = Peer::new((*old.node).clone(), None, session, self, Some(old));
        peer.offers((*old.services()).clone());
        keeper::start(self, &peer);
        entry.peer = Some(peer.clone());
        Some(peer)
    }

    fn ours(&self, entry: &Entry) -> Ours {
        let session_next = match &entry.peer {
            Some(peer) if !peer.is_gone() => peer.session,
            _ => self.sessions.fetch_add(1, Ordering::Relaxed),
        };
        Ours { session_next, ..self.us.clone() }
    }

    /// Dials an address, and waits until there is a link; to a certain node, if one is given.
    pub(super) async fn dial(
        self: &Arc<Self>,
        address: SocketAddr,
        expected: Option<&NodeName>,
    ) -> Result<NodeId, ConnectError> {
        let member = self.endpoint.connect(address).await?;
        let (node, connection) = (member.name().clone(), member.connection);
        if let Some(expected) = expected.filter(|expected| **expected != node) {
            connection.close(TURNED, b"another node was expected here");
            return Err(ConnectError::Broken(format!("{address} is {node}, not {expected} as it was")));
        }
        let (ours, hello) = {
            let mut peers = self.peers.lock();
            let entry = peers.entry(node.clone()).or_default();
            if let Some(holding) = entry.held.as_ref().filter(|h| h.connection.close_reason().is_none()) {
                connection.close(TURNED, b"there is a link already");
                let stays = holding.held.dial.clone();
                return match &entry.peer {
                    Some(peer) if holding.is_up => Ok((*peer.node).clone()),
                    _ => Err(ConnectError::Turned(Turned::Duplicate { stays })),
                };
            }
            entry.attempts += 1;
            let ours = self.ours(entry);
            let expects = Expected { name: Some(node.clone()), incarnation: None };
            let hello = ours.hello(entry.known().as_ref(), expects, entry.attempts, entry.ended.clone());
            let held = Held { dial: hello.dial(), peer: None };
            entry.held = Some(Holding { held, connection: connection.clone(), is_up: false });
            (ours, hello)
        };
        let greeted = tokio::time::timeout(HANDSHAKE_WITHIN, greet(&connection, &hello)).await;
        let answer = greeted.unwrap_or_else(|_| Err(ConnectError::Broken("no answer in time".into())));
        let up = answer.and_then(|(welcome, streams)| {
            self.confirmed(&node, &connection, address, (&ours, &hello, &welcome), streams)
        });
        if let Err(error) = &up {
            connection.close(TURNED, error.to_string().as_bytes());
            self.forget(&Whom::Node(node), &connection, None);
        }
        up
    }

    /// The peer has answered our hello.
    fn confirmed(
        self: &Arc<Self>,
        name: &NodeName,
        connection: &Connection,
        address: SocketAddr,
        (ours, hello, welcome): (&Ours, &Hello, &Welcome),
        streams: (SendStream, RecvStream),
    ) -> Result<NodeId, ConnectError> {
        let mut peers = self.peers.lock();
        let entry = peers.entry(name.clone()).or_default();
        if !entry.held.as_ref().is_some_and(|h| h.is(connection)) {
            return Err(ConnectError::Broken("it gave way to the connection that the peer dialed".into()));
        }
        let known = entry.known();
        let met = confirm(ours, hello, welcome, name, known.as_ref()).map_err(ConnectError::Turned)?;
        entry.address = Some(address);
        let session = welcome.from.session();
        let whom = Whom::Node(name.clone());
        let link = self.meet((&whom, entry), &met, &welcome.from.node, session, (connection, streams));
        drop(peers);
        self.up(link?, whom, hello.dial());
        Ok(welcome.from.node.clone())
    }

    /// Somebody dials this node.
    pub(super) async fn answer(self: &Arc<Self>, incoming: Incoming) -> Result<(), ConnectError> {
        let Member { subject, connection } = incoming.handshake().await?;
        let heard = tokio::time::timeout(HANDSHAKE_WITHIN, hear(&connection)).await;
        let (hello, (mut to, from)) =
            heard.unwrap_or_else(|_| Err(ConnectError::Broken("no hello in time".into())))?;
        let whom = Whom::says(subject, &hello);
        let (welcome, met) = match self.admit(&whom, &hello, &connection) {
            Ok(admitted) => admitted,
            Err(turned) => {
                let _ = control::write(&mut to, &Reply::Turned(turned.clone())).await;
                let _ = to.finish();
                // the dialer closes it once it has read why; one that does not is closed here
                let _ = tokio::time::timeout(HANDSHAKE_WITHIN, connection.closed()).await;
                connection.close(TURNED, turned.to_string().as_bytes());
                return Err(ConnectError::Turned(turned));
            }
        };
        let written = control::write(&mut to, &Reply::Welcome(welcome)).await;
        let link = self.with(&whom, |entry| {
            if !entry.held.as_ref().is_some_and(|h| h.is(&connection)) {
                return Err(ConnectError::Broken("it gave way to another connection".into()));
            }
            let session = hello.from.session();
            self.meet((&whom, entry), &met, &hello.from.node, session, (&connection, (to, from)))
        });
        match (written, link) {
            (Ok(()), Ok(link)) => {
                self.up(link, whom, hello.dial());
                Ok(())
            }
            (Err(error), _) => {
                self.forget(&whom, &connection, None);
                Err(ConnectError::Broken(error.to_string()))
            }
            (_, Err(error)) => {
                connection.close(TURNED, error.to_string().as_bytes());
                self.forget(&whom, &connection, None);
                Err(error)
            }
        }
    }

    /// Lets somebody in who dials, or tells why not.
    fn admit(
        self: &Arc<Self>,
        whom: &Whom,
        hello: &Hello,
        connection: &Connection,
    ) -> Result<(Welcome, Met), Turned> {
        self.may_come(whom, hello)?;
        // a connection that gives way ends before it is told what has come over it
        if let Some(old) = self.gives_way(whom, hello) {
            old.close(TURNED, b"the peer has dialed anew");
            self.forget(whom, &old, None);
        }
        self.with(whom, |entry| {
            let ours = self.ours(entry);
            let held = entry.held.as_ref().map(|holding| &holding.held);
            let admitted = admit(&ours, hello, whom.name(), entry.known().as_ref(), held)?;
            let held = Held { dial: hello.dial(), peer: Some(hello.from.node.incarnation) };
            entry.held = Some(Holding { held, connection: connection.clone(), is_up: false });
            let address = reachable(&hello.from.address, connection.remote_address());
            entry.address = address.filter(|_| !whom.is_client());
            Ok((admitted.welcome, admitted.met))
        })
    }

    /// The connection that gives way if who has sent this hello is let in.
    fn gives_way(&self, whom: &Whom, hello: &Hello) -> Option<Connection> {
        self.with(whom, |entry| {
            let ours = Ours { session_next: u64::MAX >> 8, ..self.us.clone() };
            let held = entry.held.as_ref()?;
            let admitted = admit(&ours, hello, whom.name(), entry.known().as_ref(), Some(&held.held)).ok()?;
            admitted.replaces.is_some().then(|| held.connection.clone())
        })
    }

    /// Both have come to terms: the session goes on, or a new one begins.
    fn meet(
        self: &Arc<Self>,
        (whom, entry): (&Whom, &mut Entry),
        met: &Met,
        node: &NodeId,
        session: SessionId,
        (connection, control): (&Connection, (SendStream, RecvStream)),
    ) -> Result<Link, ConnectError> {
        let received = match &met.outgoing {
            Resume::Continue { from } => Some(from.clone()),
            Resume::Fresh | Resume::Stale { .. } => None,
        };
        let same = entry.peer.clone().filter(|peer| *peer.node == *node && !peer.is_gone());
        // a peer that has forgotten our session has forgotten its own, and the other way round
        let goes_on = same.filter(|peer| {
            let out = received.is_some() || peer.lanes.iter().all(|lane| lane.is_untouched());
            let known = peer.inbound.session.lock().is_none_or(|known| known == session);
            out && known && peer.session == met.sending.number
        });
        let peer = match goes_on {
            Some(peer) => peer,
            None if received.is_some() => {
                return Err(ConnectError::Broken("the session that the peer goes on with is over".into()));
            }
            None => {
                let old = entry.peer.take();
                if let Some(old) = &old {
                    old.end("it has begun anew", "link");
                }
                let peer = Peer::new(node.clone(), whom.client(), met.sending.number, self, old.as_deref());
                if !whom.is_client() {
                    keeper::start(self, &peer);
                }
                peer
            }
        };
        peer.set_up(true);
        peer.set_artifact(met.same_artifact);
        *peer.inbound.session.lock() = Some(session);
        entry.incarnation = node.incarnation;
        entry.peer = Some(peer.clone());
        if let Some(holding) = &mut entry.held {
            holding.is_up = true;
            holding.held.peer = Some(node.incarnation);
        }
        let received = received.unwrap_or_default();
        Ok(Link { peer, connection: connection.clone(), control, received })
    }

    /// Runs a link until it ends.
    fn up(self: &Arc<Self>, link: Link, whom: Whom, dial: Dial) {
        let core = self.clone();
        let (peer, connection) = (link.peer.clone(), link.connection.clone());
        tracing::info!(peer = %peer.node, address = %connection.remote_address(), "a link is up");
        self.executor.spawn(async move {
            let end: LinkEnd = link.run(core.clone()).await;
            let ended = (dial.dialer.name == peer.node.name).then_some(dial);
            if end.is_for_good() {
                // over another connection the same would come again
                peer.end(&end.to_string(), "broken");
            }
            core.forget(&whom, &connection, ended);
            tracing::info!(peer = %peer.node, reason = %end, "a link is down");
        });
    }

    /// A connection has ended.
    fn forget(self: &Arc<Self>, whom: &Whom, connection: &Connection, ended: Option<Dial>) {
        let lost = self.with(whom, |entry| {
            if ended.is_some() {
                entry.ended = ended;
            }
            if !entry.held.as_ref().is_some_and(|h| h.is(connection)) {
                return None;
            }
            entry.held = None;
            if let Some(peer) = &entry.peer {
                peer.set_up(false);
            }
            entry.lost = Some(self.wheel.elapsed());
            entry.lost
        });
        if let (Whom::Client(client), Some(lost)) = (whom, lost) {
            self.expect_back(client, lost);
        }
    }
}

/// Where to dial a peer that says where it listens. One that listens on all interfaces does not know by which of its
/// addresses it can be reached; the one that it has dialed from is one.
fn reachable(listens: &str, from: SocketAddr) -> Option<SocketAddr> {
    let mut address: SocketAddr = listens.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(from.ip().to_canonical());
    }
    Some(address)
}

/// The dialer's part of the handshake.
async fn greet(
    connection: &Connection,
    hello: &Hello,
) -> Result<(Welcome, (SendStream, RecvStream)), ConnectError> {
    let broken = |error: &dyn std::fmt::Display| ConnectError::Broken(error.to_string());
    let (mut to, mut from) = connection.open_bi().await.map_err(|e| broken(&e))?;
    control::write(&mut to, hello).await.map_err(|e| broken(&e))?;
    match control::read::<Reply>(&mut from, HANDSHAKE_MAX).await.map_err(|e| broken(&e))? {
        Reply::Welcome(welcome) => Ok((welcome, (to, from))),
        Reply::Turned(turned) => Err(ConnectError::Turned(turned)),
    }
}

/// Waits for the dialer's hello.
async fn hear(connection: &Connection) -> Result<(Hello, (SendStream, RecvStream)), ConnectError> {
    let broken = |error: &dyn std::fmt::Display| ConnectError::Broken(error.to_string());
    let (to, mut from) = connection.accept_bi().await.map_err(|e| broken(&e))?;
    let hello = control::read::<Hello>(&mut from, HANDSHAKE_MAX).await.map_err(|e| broken(&e))?;
    Ok((hello, (to, from)))
}
