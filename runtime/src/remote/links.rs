//! The links of a node: whom it talks to, who has dialed whom, and which connection stays.

use super::control::{self, HANDSHAKE_MAX, Offer, Services};
use super::endpoint::{BindError, Endpoint, HandshakeError, Incoming, Member, Transport};
use super::link::{Link, LinkEnd};
use super::peer::Peer;
use super::target::{Spoken, Target};
use super::trust::Trust;
use crate::cell::Wheel;
use crate::directory::{Inlet, ServiceKind};
use crate::host::Executor;
use crate::node::{Node, NodeInner};
use odeon_core::wire::admission::{Known, Met, Ours, Sessions, admit, confirm};
use odeon_core::wire::duel::{Dial, Held};
use odeon_core::wire::handshake::{ArtifactDigest, Expected, Features, Hello, Reply, Turned, Welcome};
use odeon_core::wire::session::{LaneCounts, Received, Resume};
use odeon_core::wire::version::VersionRange;
use odeon_core::{NodeId, NodeName, Refusal, ServiceName};
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The code with which a connection is closed whose dialer was turned away, or which gave way to another one.
const TURNED: VarInt = VarInt::from_u32(2);
/// Longest handshake, from the end of that of TLS on.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// What a node's links need to know.
pub struct LinksConfig {
    /// Where to listen (UDP); port 0 for any.
    pub address: SocketAddr,
    /// Who this node is, and whom it trusts.
    pub trust: Trust,
    /// Counts the starts of a node of this name: greater each time.
    pub incarnation: u64,
    /// SHA-256 of the program, if it is known: nodes of the same program send each other compact bodies.
    pub artifact: Option<[u8; 32]>,
    /// How connections behave.
    pub transport: Transport,
}

/// Why a node has no links.
#[derive(Debug, thiserror::Error)]
pub enum StartLinksError {
    /// There is no port.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The certificate is another node's.
    #[error("the certificate is that of {certificate}, but this node is {node}: give it its own credentials")]
    Name {
        /// Whom the certificate names.
        certificate: NodeName,
        /// What the node is called.
        node: NodeName,
    },
    /// It has some already.
    #[error("the node has links already")]
    Again,
}

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

/// A link as it is now.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The peer.
    pub node: NodeId,
    /// Where it can be dialed, if it can.
    pub address: Option<SocketAddr>,
    /// Whether there is a connection.
    pub connected: bool,
    /// Messages sent to it.
    pub sent: u64,
    /// Of these, those with which a handler began there.
    pub handled: u64,
    /// Those that expired there first.
    pub expired: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Those of which nothing will be heard, by reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// Those of which nothing has been heard yet.
    pub open: u64,
    /// Frames that wait or are not acknowledged.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Calls that wait for an answer.
    pub calls: usize,
    /// The round trip as QUIC has measured it.
    pub round_trip: Option<Duration>,
}

/// The links of a node. Clones are handles.
#[derive(Clone)]
pub struct Links(Arc<Core>);

pub(crate) struct Core {
    pub(super) node: Weak<NodeInner>,
    pub(super) wheel: Arc<Wheel>,
    /// All connections live on this one.
    pub(super) executor: Executor,
    endpoint: Endpoint,
    us: Ours,
    sessions: AtomicU64,
    peers: Mutex<BTreeMap<NodeName, Entry>>,
    /// What this node offers; a service's position is its number.
    offers: Vec<ServiceName>,
    services: Services,
}

/// What is known of a node of some name.
#[derive(Default)]
struct Entry {
    peer: Option<Arc<Peer>>,
    incarnation: u64,
    held: Option<Holding>,
    /// Dials to it, counted.
    attempts: u64,
    /// The latest of its dials that was seen to end.
    ended: Option<Dial>,
    address: Option<SocketAddr>,
}

/// A connection, or a dial that waits for its answer.
struct Holding {
    held: Held,
    connection: Connection,
    /// Its handshake is done.
    is_up: bool,
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

impl Links {
    /// Begins to listen. What the node offers is what it has registered by now.
    ///
    /// # Errors
    /// [`StartLinksError`].
    pub fn start(node: &Node, config: LinksConfig) -> Result<Self, StartLinksError> {
        let inner = node.inner();
        if config.trust.node() != &inner.name {
            let (certificate, node) = (config.trust.node().clone(), inner.name.clone());
            return Err(StartLinksError::Name { certificate, node });
        }
        let executor = inner.host.executors[0].clone();
        let cluster = config.trust.cluster().clone();
        let endpoint = Endpoint::bind(config.address, config.trust, &config.transport, &executor)?;
        let us = Ours {
            cluster,
            node: NodeId { name: inner.name.clone(), incarnation: config.incarnation },
            versions: VersionRange::SPOKEN,
            artifact: config.artifact.map(ArtifactDigest),
            address: endpoint.local_address().to_string(),
            features: Features::default(),
            session_next: 1,
        };
        let (offers, services) = offered(node);
        let core = Arc::new(Core {
            node: Arc::downgrade(inner),
            wheel: inner.wheel.clone(),
            executor: executor.clone(),
            endpoint,
            us,
            sessions: AtomicU64::new(1),
            peers: Mutex::default(),
            offers,
            services,
        });
        inner.links.set(core.clone()).map_err(|_| StartLinksError::Again)?;
        executor.spawn(accept(Arc::downgrade(&core), core.endpoint.clone()));
        Ok(Self(core))
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.0.endpoint.local_address()
    }

    /// Dials a node at an address, and waits until there is a link to it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self, address: SocketAddr) -> Result<NodeId, ConnectError> {
        self.0.dial(address).await
    }

    /// All links, by the name of the peer.
    pub fn status(&self) -> Vec<LinkStatus> {
        self.0.peers.lock().values().filter_map(Entry::status).collect()
    }

    /// Ends all links in order.
    pub async fn close(&self, within: Duration) -> bool {
        self.0.endpoint.close("the node is stopping", within).await
    }
}

impl Entry {
    fn status(&self) -> Option<LinkStatus> {
        let peer = self.peer.as_ref()?;
        let up = self.held.as_ref().filter(|holding| holding.is_up);
        let mut status = LinkStatus {
            node: (*peer.node).clone(),
            address: self.address,
            connected: up.is_some(),
            sent: 0,
            handled: 0,
            expired: 0,
            refused: BTreeMap::new(),
            lost: BTreeMap::new(),
            open: 0,
            queued: 0,
            queued_bytes: 0,
            calls: peer.pending.len(),
            round_trip: up.map(|holding| holding.connection.rtt()),
        };
        for lane in &peer.lanes {
            let (books, (frames, bytes)) = (lane.books(), lane.queue());
            status.sent += books.sent();
            status.handled += books.handled();
            status.expired += books.expired();
            status.open += books.open();
            status.queued += frames;
            status.queued_bytes += bytes;
            for (reason, count) in books.refused() {
                *status.refused.entry(reason.into()).or_default() += count;
            }
            for (reason, count) in books.lost() {
                *status.lost.entry(reason).or_default() += count;
            }
        }
        Some(status)
    }
}

fn offered(node: &Node) -> (Vec<ServiceName>, Services) {
    let described: Vec<_> = node.services().into_iter().map(|service| service.description).collect();
    let names = described.iter().map(|d| d.name.clone()).collect();
    let offers = described.iter().map(|d| Offer {
        name: d.name.to_string(),
        contract: d.contract.into(),
        major: d.version.major,
        minor: d.version.minor,
        keyed: d.kind == ServiceKind::Entity,
        methods: d.methods.iter().map(|m| m.name.into()).collect(),
    });
    (names, Services { number: 1, services: offers.collect() })
}

/// Takes those who dial, as long as the node lives.
async fn accept(core: Weak<Core>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let Some(core) = core.upgrade() else { return };
        core.executor.clone().spawn(async move {
            if let Err(error) = core.answer(incoming).await {
                tracing::debug!(%error, "who dialed was not let in");
            }
        });
    }
}

impl Core {
    pub(super) fn services(&self) -> Services {
        self.services.clone()
    }

    /// Where messages for a service of this node go.
    pub(super) fn inlet(&self, service: u32, key: Option<&str>) -> Result<Arc<dyn Inlet>, Refusal> {
        let unknown = |service: String| Refusal::UnknownService { service };
        let name = self.offers.get(service as usize).ok_or_else(|| unknown(format!("number {service}")))?;
        let node = self.node.upgrade().ok_or(Refusal::Stopped)?;
        node.registry.dynamic(name).ok_or_else(|| unknown(name.to_string()))?.inlet(key)
    }

    /// A receiver on some peer that offers the service.
    pub(crate) fn find(
        &self,
        service: &ServiceName,
        key: Option<&Arc<str>>,
        spoken: Spoken,
    ) -> Result<Arc<Target>, Refusal> {
        let wanted = service.to_string();
        let peers: Vec<Arc<Peer>> = {
            let peers = self.peers.lock();
            peers.values().filter_map(|entry| entry.peer.clone()).filter(|peer| !peer.is_gone()).collect()
        };
        for peer in peers {
            let services = peer.services();
            let Some(number) = services.services.iter().position(|offer| offer.name == wanted) else {
                continue;
            };
            let offer = &services.services[number];
            return Target::new(&peer, number as u32, offer, spoken, key).map(Arc::new);
        }
        Err(Refusal::UnknownService { service: wanted })
    }

    fn ours(&self, entry: &Entry) -> Ours {
        let session_next = match &entry.peer {
            Some(peer) if !peer.is_gone() => peer.session,
            _ => self.sessions.fetch_add(1, Ordering::Relaxed),
        };
        Ours { session_next, ..self.us.clone() }
    }

    /// Dials an address.
    async fn dial(self: &Arc<Self>, address: SocketAddr) -> Result<NodeId, ConnectError> {
        let Member { node, connection } = self.endpoint.connect(address).await?;
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
            self.forget(&node, &connection, None);
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
        if !entry.held.as_ref().is_some_and(|h| h.connection.stable_id() == connection.stable_id()) {
            return Err(ConnectError::Broken("it gave way to the connection that the peer dialed".into()));
        }
        let known = entry.known();
        let met = confirm(ours, hello, welcome, name, known.as_ref()).map_err(ConnectError::Turned)?;
        entry.address = Some(address);
        let session = welcome.from.session();
        let link = self.meet(entry, &met, &welcome.from.node, session, (connection, streams));
        drop(peers);
        self.up(link?, hello.dial());
        Ok(welcome.from.node.clone())
    }

    /// Somebody dials this node.
    async fn answer(self: &Arc<Self>, incoming: Incoming) -> Result<(), ConnectError> {
        let Member { node, connection } = incoming.handshake().await?;
        let heard = tokio::time::timeout(HANDSHAKE_WITHIN, hear(&connection)).await;
        let (hello, (mut to, from)) =
            heard.unwrap_or_else(|_| Err(ConnectError::Broken("no hello in time".into())))?;
        // a connection that gives way ends before it is told what has come over it
        if let Some(old) = self.gives_way(&node, &hello) {
            old.close(TURNED, b"the peer has dialed anew");
            self.forget(&node, &old, None);
        }
        let link = {
            let mut peers = self.peers.lock();
            let entry = peers.entry(node.clone()).or_default();
            let ours = self.ours(entry);
            let held = entry.held.as_ref().map(|holding| &holding.held);
            match admit(&ours, &hello, &node, entry.known().as_ref(), held) {
                Err(turned) => Err(turned),
                Ok(admitted) => {
                    let held = Held { dial: hello.dial(), peer: Some(hello.from.node.incarnation) };
                    entry.held = Some(Holding { held, connection: connection.clone(), is_up: false });
                    entry.address = hello.from.address.parse().ok();
                    Ok((admitted.welcome, admitted.met))
                }
            }
        };
        let (welcome, met) = match link {
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
        let link = {
            let mut peers = self.peers.lock();
            let entry = peers.entry(node.clone()).or_default();
            if !entry.held.as_ref().is_some_and(|h| h.connection.stable_id() == connection.stable_id()) {
                return Err(ConnectError::Broken("it gave way to another connection".into()));
            }
            let session = hello.from.session();
            self.meet(entry, &met, &hello.from.node, session, (&connection, (to, from)))
        };
        match (written, link) {
            (Ok(()), Ok(link)) => {
                self.up(link, hello.dial());
                Ok(())
            }
            (Err(error), _) => {
                self.forget(&node, &connection, None);
                Err(ConnectError::Broken(error.to_string()))
            }
            (_, Err(error)) => {
                connection.close(TURNED, error.to_string().as_bytes());
                self.forget(&node, &connection, None);
                Err(error)
            }
        }
    }

    /// The connection that gives way if who has sent this hello is let in.
    fn gives_way(&self, name: &NodeName, hello: &Hello) -> Option<Connection> {
        let mut peers = self.peers.lock();
        let entry = peers.entry(name.clone()).or_default();
        let ours = Ours { session_next: u64::MAX >> 8, ..self.us.clone() };
        let held = entry.held.as_ref()?;
        let admitted = admit(&ours, hello, name, entry.known().as_ref(), Some(&held.held)).ok()?;
        admitted.replaces.is_some().then(|| held.connection.clone())
    }

    /// Both have come to terms: the session goes on, or a new one begins.
    fn meet(
        self: &Arc<Self>,
        entry: &mut Entry,
        met: &Met,
        node: &NodeId,
        session: odeon_core::wire::session::SessionId,
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
            None => {
                if let Some(old) = entry.peer.take() {
                    old.end("it has begun anew", "link");
                }
                if received.is_some() {
                    return Err(ConnectError::Broken(
                        "the session that the peer goes on with is over".into(),
                    ));
                }
                Peer::new(node.clone(), met.sending.number, self)
            }
        };
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
    fn up(self: &Arc<Self>, link: Link, dial: Dial) {
        let core = self.clone();
        let (peer, connection) = (link.peer.clone(), link.connection.clone());
        tracing::info!(peer = %peer.node, address = %connection.remote_address(), "a link is up");
        self.executor.spawn(async move {
            let end: LinkEnd = link.run(core.clone()).await;
            let ended = (dial.dialer.name == peer.node.name).then_some(dial);
            core.forget(&peer.node.name, &connection, ended);
            tracing::info!(peer = %peer.node, reason = %end, "a link is down");
        });
    }

    /// A connection has ended.
    fn forget(&self, name: &NodeName, connection: &Connection, ended: Option<Dial>) {
        let mut peers = self.peers.lock();
        let Some(entry) = peers.get_mut(name) else { return };
        if entry.held.as_ref().is_some_and(|h| h.connection.stable_id() == connection.stable_id()) {
            entry.held = None;
        }
        if ended.is_some() {
            entry.ended = ended;
        }
    }
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
