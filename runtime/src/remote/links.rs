//! The links of a node: whom it talks to, who has dialed whom, and which connection stays.

use super::core::{ConnectError, Core, Entry};
use super::elsewhere::OfferedService;
use super::endpoint::{BindError, Endpoint, Transport};
use super::gossip::{self, Liveness, Members};
use super::offers::TooManyServices;
use super::porch::Porch;
use super::probes::Probes;
use super::pulse::Pulse;
use super::trust::{Subject, Trust};
use crate::node::Node;
use crate::replication::Exchange;
use crate::supervision::{AddPartError, PartSpec, Running};
use crate::telemetry::dump::PeerDump;
use futures_util::future::BoxFuture;
use odeon_core::delivery::{Books, Loss};
use odeon_core::wire::admission::Ours;
use odeon_core::wire::handshake::{ArtifactDigest, Features};
use odeon_core::wire::version::VersionRange;
use odeon_core::{ClusterId, NodeId, NodeName};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

/// How often somebody looks who waits for silence.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest orderly end of all links.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What a node's links need to know.
pub struct LinksConfig {
    /// Where to listen (UDP); port 0 for any.
    pub address: SocketAddr,
    /// Where others dial it, if that is elsewhere: behind a translation of addresses, or on a host with several networks.
    pub advertise: Option<SocketAddr>,
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
    #[error(
        "the certificate is that of {certificate}, but this is the node {node}: give it its own credentials"
    )]
    Name {
        /// Whom the certificate names.
        certificate: Subject,
        /// What the node is called.
        node: NodeName,
    },
    /// They cannot run as a part of the node.
    #[error("{0}")]
    Part(#[from] AddPartError),
    /// Its services cannot be told to others.
    #[error("{0}")]
    Services(#[from] TooManyServices),
    /// It has some already.
    #[error("the node has links already")]
    Again,
}

/// Why a node goes on with the credentials that it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewError {
    /// The certificate is another node's.
    #[error("the certificate is that of {certificate}, but it should be that of {own}")]
    Name {
        /// Whom the certificate names.
        certificate: Subject,
        /// Whose it should be.
        own: Subject,
    },
    /// The certificate is of another cluster.
    #[error("the certificate is of the cluster {certificate}, but this node is in {cluster}")]
    Cluster {
        /// Whose certificate it is.
        certificate: ClusterId,
        /// Where the node is.
        cluster: ClusterId,
    },
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
    /// Whether the peer has dialed this node since that began, and not only been dialed by it.
    pub has_dialed: bool,
    /// Messages sent to it.
    pub sent: u64,
    /// Of these, those with which a handler began there.
    pub handled: u64,
    /// Those that expired there first.
    pub expired: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Those of which nothing will be heard. They may have run.
    pub lost: BTreeMap<Loss, u64>,
    /// Those of which nothing has been heard yet.
    pub open: u64,
    /// What became of the messages to earlier incarnations of the peer. Nothing of that is open.
    pub earlier: Books,
    /// Frames that wait or are not acknowledged.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Of these, those of large bodies, which have streams of their own.
    pub large_bytes: usize,
    /// Calls that wait for an answer.
    pub calls: usize,
    /// Activations there that are watched from here.
    pub watches: usize,
    /// The round trip as QUIC has measured it.
    pub round_trip: Option<Duration>,
    /// How long this node has suspected it, if it does: nothing has come from it for some time.
    pub suspect: Option<Duration>,
    /// It suspects this node, as it tells in gossip: what is sent to it does not arrive.
    pub suspects_us: bool,
    /// Other nodes that suspect it, as they tell in gossip.
    pub suspected_by: Vec<NodeName>,
    /// What gossip says of this incarnation of the peer.
    pub liveness: Liveness,
    /// Messages of gossip that were sent to it.
    pub gossip_sent: u64,
    /// Those, either way, for which there was no connection or no room.
    pub gossip_dropped: u64,
    /// Those from it that made no sense.
    pub gossip_bad: u64,
}

/// The links of a node. Clones are handles.
#[derive(Clone)]
pub struct Links(Arc<Core>);

impl Links {
    /// Begins to listen, and to gossip: whom one of its peers knows it will know and have a link to. What the node
    /// offers is what it has registered by now, and what it registers later.
    ///
    /// # Errors
    /// [`StartLinksError`].
    pub fn start(node: &Node, config: LinksConfig) -> BoxFuture<'_, Result<Self, StartLinksError>> {
        Box::pin(async move {
            let inner = node.inner();
            if *config.trust.subject() != Subject::Node(inner.name.clone()) {
                let (certificate, node) = (config.trust.subject().clone(), inner.name.clone());
                return Err(StartLinksError::Name { certificate, node });
            }
            let executor = inner.host.executors[0].clone();
            let cluster = config.trust.cluster().clone();
            let (look_every, probes) = (Pulse::every(&config.transport), config.transport.clone());
            let endpoint = Endpoint::bind(config.address, config.trust, &config.transport, &executor)?;
            let us = Ours {
                cluster,
                node: NodeId { name: inner.name.clone(), incarnation: config.incarnation },
                // without chance it does not say
                run: super::random().unwrap_or(0),
                versions: VersionRange::SPOKEN,
                artifact: config.artifact.map(ArtifactDigest),
                address: config.advertise.unwrap_or(endpoint.local_address()).to_string(),
                features: Features::TOPICS,
                is_client: false,
                session_next: 1,
            };
            let core = Core::new(inner, &executor, endpoint, us);
            core.offer(inner)?;
            inner.links.set(core.clone()).map_err(|_| StartLinksError::Again)?;
            inner.topics.call(core.us().clone());
            // what was registered in between
            core.offer(inner)?;
            let spec = PartSpec::new("links").stop_within(2 * CLOSE_WITHIN).outlives_services();
            let listening = core.clone();
            node.add_part(&spec, move |running| {
                let probes = Probes::new(&probes);
                accept(listening.clone(), look_every, probes, running)
            })
            .await?;
            gossip::begin(node, &core).await?;
            Ok(Self(core))
        })
    }

    /// Those of a node, if it has any.
    pub fn of(node: &Node) -> Option<Self> {
        node.inner().links.get().cloned().map(Self)
    }

    /// What replicas on this node ask those on others through its links, and are asked.
    pub fn exchange(&self) -> Exchange {
        self.0.exchange()
    }

    /// Waits until nothing has been under way to or from other nodes for a while: those who have not heard yet that their
    /// receivers are elsewhere have their messages passed on, and get their answers. False: the time is up.
    pub(crate) async fn quiet(&self, lasting: Duration, within: Duration) -> bool {
        let begun = Instant::now();
        let mut since = begun;
        while since.elapsed() < lasting {
            if begun.elapsed() >= within {
                return false;
            }
            if self.0.all_peers().iter().any(|peer| peer.is_up() && peer.is_busy()) {
                since = Instant::now();
            }
            sleep(LOOK_EVERY).await;
        }
        true
    }

    /// The cluster has removed these incarnations: nothing that they ask for is done any more.
    pub(crate) fn cast_out<'a>(&self, removed: impl Iterator<Item = (&'a NodeName, u64)>) {
        self.0.cast_out(removed);
    }

    /// How often something has changed that may lead messages elsewhere: connections, suspicions, lists of services.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes()
    }

    /// Whoever knows where something is looks again.
    pub(crate) fn note_change(&self) {
        self.0.changes.note();
    }

    /// What the node is called in its cluster.
    pub fn node(&self) -> &NodeId {
        self.0.us()
    }

    /// The cluster that it is a node of.
    pub fn cluster(&self) -> &ClusterId {
        self.0.cluster()
    }

    /// The digest of the program, if it is known.
    pub fn artifact(&self) -> Option<ArtifactDigest> {
        self.0.artifact()
    }

    /// New connections use these credentials. Those that exist go on, for their peers have accepted them.
    ///
    /// # Errors
    /// [`RenewError`]; the links go on with what they have.
    pub fn renew(&self, trust: Trust) -> Result<(), RenewError> {
        self.0.renew(trust)
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Where it says that others find it; an address of no network is one that listens on all.
    pub fn advertised(&self) -> SocketAddr {
        self.0.advertised()
    }

    /// Dials a node at an address, and waits until there is a link to it. Whoever does not wait any more does not stop the
    /// dial: the peer may have taken it for a link already.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&self, address: SocketAddr) -> BoxFuture<'_, Result<NodeId, ConnectError>> {
        Box::pin(async move {
            let core = self.0.clone();
            let dial = async move { core.dial(address, None).await };
            let dialed = self.0.executor.spawn(dial.in_current_span()).await;
            dialed.unwrap_or_else(|error| Err(ConnectError::Broken(error.to_string())))
        })
    }

    /// Closes all connections without a word, as if the network had failed. Sessions go on over the next ones.
    pub fn drop_connections(&self) {
        self.0.drop_connections();
    }

    /// Messages of gossip that were dropped as there was never a link to the node that they were for.
    pub fn gossip_to_strangers(&self) -> u64 {
        self.0.gossip.to_strangers()
    }

    /// The services that other nodes have and this one has not, by name; of nodes that cannot be reached at the moment
    /// none.
    pub fn services(&self) -> Vec<OfferedService> {
        self.0.offered_elsewhere()
    }

    /// All links, by the name of the peer.
    pub fn status(&self) -> Vec<LinkStatus> {
        self.0.status()
    }

    /// The link to one node, if there is one or was.
    pub fn status_of(&self, node: &NodeName) -> Option<LinkStatus> {
        self.0.status_of(node)
    }

    /// Which incarnation of a node messages go to that are sent now, if there is a link to one or was.
    pub fn incarnation_of(&self, node: &NodeName) -> Option<NodeId> {
        self.0.incarnation_of(node)
    }

    /// What waits for each peer, and what is under way; of those alone for which there is anything.
    pub(crate) fn look(&self) -> Vec<PeerDump> {
        self.0.all_peers().iter().filter_map(|peer| peer.look()).collect()
    }

    /// The clients that have a link, or had one lately: one entry for each run of a program.
    pub fn clients(&self) -> Vec<LinkStatus> {
        self.0.client_status()
    }
}

impl Entry {
    pub(super) fn status(&self, members: &Members) -> Option<LinkStatus> {
        let peer = self.peer.as_ref()?;
        let up = self.held.as_ref().filter(|holding| holding.is_up);
        let books = peer.books();
        let (mut queued, mut queued_bytes) = (0, 0);
        for (frames, bytes) in peer.lanes.used().map(|lane| lane.queue()) {
            queued += frames;
            queued_bytes += bytes;
        }
        let large_bytes = peer.large.queue().1 as usize;
        queued_bytes += large_bytes;
        let [gossip_sent, gossip_dropped, gossip_bad] = peer.outbox.counted();
        Some(LinkStatus {
            node: (*peer.node).clone(),
            address: self.address,
            connected: up.is_some(),
            has_dialed: self.has_dialed,
            sent: books.sent(),
            handled: books.handled(),
            expired: books.expired(),
            refused: books.refused().into_iter().map(|(reason, count)| (reason.into(), count)).collect(),
            lost: books.lost().clone(),
            open: books.open(),
            earlier: peer.earlier.clone(),
            queued,
            queued_bytes,
            large_bytes,
            calls: peer.pending.len(),
            watches: peer.wanted_watches.len(),
            round_trip: up.map(|holding| holding.connection.rtt()),
            suspect: peer.suspicion.since().map(|since| peer.wheel.elapsed().saturating_sub(since)),
            suspects_us: members.suspects_us(&peer.node),
            suspected_by: members.suspected_by(&peer.node).cloned().collect(),
            liveness: members.liveness(&peer.node),
            gossip_sent,
            gossip_dropped,
            gossip_bad,
        })
    }
}

/// Closes all links if whoever has it is dropped before it has done so in order: a node that stops may have no time
/// left for its links, and its peers shall not have to find out.
struct Closes(Option<Arc<Core>>);

impl Drop for Closes {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            core.close_at_once("the node is stopping, and has no time left");
        }
    }
}

/// Takes those who dial, and looks after those who are silent, until the node stops.
async fn accept(
    core: Arc<Core>,
    look_every: Duration,
    mut probes: Probes,
    mut running: Running,
) -> Result<(), String> {
    let mut closes = Closes(Some(core.clone()));
    let mut pulse = Pulse::default();
    let porch = Porch::default();
    let mut look = pin!(core.wheel.sleep(look_every));
    let mut probe = pin!(core.wheel.sleep(probes.every()));
    let mut spread = pin!(core.clone().spread_topics());
    running.ready();
    loop {
        let incoming = tokio::select! {
            biased;
            () = running.stopping() => break,
            never = spread.as_mut() => match never {},
            () = look.as_mut() => {
                pulse.look(&core);
                look.set(core.wheel.sleep(look_every));
                continue;
            }
            () = probe.as_mut() => {
                probes.look(&core);
                probe.set(core.wheel.sleep(probes.every()));
                continue;
            }
            incoming = core.incoming() => incoming,
        };
        let Some(incoming) = incoming else { return Err("the endpoint has ended".into()) };
        let Some((incoming, place)) = porch.take(incoming) else { continue };
        let core = core.clone();
        core.executor.clone().spawn(async move {
            let _place = place;
            if let Err(error) = core.answer(incoming).await {
                tracing::debug!(%error, "who dialed was not let in");
            }
        });
    }
    core.close("the node is stopping", CLOSE_WITHIN).await;
    closes.0 = None;
    Ok(())
}
