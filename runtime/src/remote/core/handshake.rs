//! How two nodes come to terms over a new connection, and what becomes of the connection when it ends.

use super::{ConnectError, Core, Entry, Holding, TURNED};
use crate::reach::reached;
use crate::remote::clients::Whom;
use crate::remote::control::{self, HANDSHAKE_MAX};
use crate::remote::endpoint::{Incoming, Member, close, refused};
use crate::remote::keeper;
use crate::remote::link::{Link, LinkEnd};
use crate::remote::peer::Peer;
use crate::telemetry::events::Event;
use odeon_core::delivery::Loss;
use odeon_core::wire::admission::{Met, Ours, admit, confirm};
use odeon_core::wire::duel::{Dial, Held};
use odeon_core::wire::handshake::{Expected, Hello, Party, Reply, Turned, Welcome};
use odeon_core::wire::session::{Resume, SessionId};
use odeon_core::{NodeId, NodeName};
use quinn::{Connection, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest handshake, from the end of that of TLS on.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

impl Core {
    /// Dials an address, and waits until there is a link; to a certain node, if one is given.
    pub(in crate::remote) async fn dial(
        self: &Arc<Self>,
        address: SocketAddr,
        expected: Option<&NodeName>,
    ) -> Result<NodeId, ConnectError> {
        let member = self.endpoint.connect(address).await?;
        let (node, connection) = (member.name().clone(), member.connection);
        if let Some(expected) = expected.filter(|expected| **expected != node) {
            close(&connection, TURNED, b"another node was expected here");
            return Err(ConnectError::Broken(format!("{address} is {node}, not {expected} as it was")));
        }
        let (ours, hello) = {
            let mut peers = self.peers.lock();
            let entry = peers.entry(node.clone()).or_default();
            if let Some(holding) = entry.held.as_ref().filter(|h| h.connection.close_reason().is_none()) {
                close(&connection, TURNED, b"there is a link already");
                reached!(DIALED_TWICE);
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
        let answer = answer.map_err(|error| {
            // what became of a stream says less than what became of its connection
            let closed = connection.close_reason();
            closed.and_then(|reason| refused(address, &reason)).map_or(error, ConnectError::Handshake)
        });
        let up = answer.and_then(|(welcome, streams)| {
            self.confirmed(&node, &connection, address, (&ours, &hello, &welcome), streams)
        });
        if let Err(error) = &up {
            close(&connection, TURNED, error.to_string().as_bytes());
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
        let link = self.meet((&whom, entry), &met, &welcome.from, session, (connection, streams));
        drop(peers);
        self.up(link?, whom, hello.dial());
        Ok(welcome.from.node.clone())
    }

    /// Somebody dials this node.
    pub(in crate::remote) async fn answer(self: &Arc<Self>, incoming: Incoming) -> Result<(), ConnectError> {
        let Member { subject, connection } = incoming.handshake().await?;
        let heard = tokio::time::timeout(HANDSHAKE_WITHIN, hear(&connection)).await;
        let (hello, (mut to, from)) =
            heard.unwrap_or_else(|_| Err(ConnectError::Broken("no hello in time".into())))?;
        let whom = Whom::says(subject, &hello);
        let (welcome, met) = match self.admit(&whom, &hello, &connection) {
            Ok(admitted) => admitted,
            Err(turned) => {
                reached!(TURNED_AWAY);
                if matches!(turned, Turned::Twin { .. }) {
                    self.tell_of_twin(&whom, &turned, &connection);
                }
                let told = async {
                    let _ = control::write(&mut to, &Reply::Turned(turned.clone())).await;
                    let _ = to.finish();
                    connection.closed().await
                };
                // the dialer closes it once it has read why; one that does not is closed here
                let _ = tokio::time::timeout(HANDSHAKE_WITHIN, told).await;
                close(&connection, TURNED, turned.to_string().as_bytes());
                return Err(ConnectError::Turned(turned));
            }
        };
        let welcome = Reply::Welcome(welcome);
        let written = tokio::time::timeout(HANDSHAKE_WITHIN, control::write(&mut to, &welcome)).await;
        let link = self.with(&whom, |entry| {
            if !entry.held.as_ref().is_some_and(|h| h.is(&connection)) {
                return Err(ConnectError::Broken("it gave way to another connection".into()));
            }
            let session = hello.from.session();
            self.meet((&whom, entry), &met, &hello.from, session, (&connection, (to, from)))
        });
        match (written, link) {
            (Ok(Ok(())), Ok(link)) => {
                self.up(link, whom, hello.dial());
                Ok(())
            }
            (Ok(Err(error)), _) => {
                self.forget(&whom, &connection, None);
                Err(ConnectError::Broken(error.to_string()))
            }
            (Err(_), _) => {
                let problem = "it does not read that it may come in";
                close(&connection, TURNED, problem.as_bytes());
                self.forget(&whom, &connection, None);
                Err(ConnectError::Broken(problem.into()))
            }
            (_, Err(error)) => {
                close(&connection, TURNED, error.to_string().as_bytes());
                self.forget(&whom, &connection, None);
                Err(error)
            }
        }
    }

    /// Two processes say to be one node: once for each node, whoever looks here shall know.
    fn tell_of_twin(&self, whom: &Whom, turned: &Turned, connection: &Connection) {
        if !self.with(whom, |entry| std::mem::replace(&mut entry.twin_told, true)) {
            let (address, turned) = (connection.remote_address(), turned.clone());
            self.events.note(&Event::Twin { address, turned });
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
            close(&old, TURNED, b"the peer has dialed anew");
            reached!(GAVE_WAY);
            self.forget(whom, &old, None);
        }
        self.with(whom, |entry| {
            entry.has_dialed = true;
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
        party: &Party,
        session: SessionId,
        (connection, control): (&Connection, (SendStream, RecvStream)),
    ) -> Result<Link, ConnectError> {
        let node = &party.node;
        let received = match &met.outgoing {
            Resume::Continue { from } => Some(from.clone()),
            Resume::Fresh | Resume::Stale { .. } => None,
        };
        let same = entry.peer.clone().filter(|peer| *peer.node == *node && !peer.is_gone());
        // a peer that has forgotten our session has forgotten its own, and the other way round
        let goes_on = same.filter(|peer| {
            let out = received.is_some() || peer.lanes.used().all(|lane| lane.is_untouched());
            let known = peer.inbound.session.lock().is_none_or(|known| known == session);
            out && known && peer.session == met.sending.number
        });
        let peer = match goes_on {
            Some(peer) => {
                reached!(WENT_ON);
                peer
            }
            // a session of which the peer has nothing may begin: it has heard of it in a handshake with its answer lost, and
            // the one that it was to be of is another incarnation
            None if received.as_ref().is_some_and(|received| !received.is_nothing()) => {
                return Err(ConnectError::Broken("the session that the peer goes on with is over".into()));
            }
            None => {
                let old = entry.peer.take();
                match &old {
                    None => reached!(BEGAN),
                    Some(old) if *old.node == *node => reached!(FORGOTTEN),
                    Some(_) => reached!(RESTARTED),
                }
                if let Some(old) = &old {
                    old.end("it has begun anew", Loss::Link);
                }
                let peer = Peer::new(node.clone(), whom.client(), met.sending.number, self, old.as_deref());
                if !whom.is_client() {
                    keeper::start(self, &peer);
                }
                peer
            }
        };
        let replicating = peer.set_up(true);
        self.replicas_lose(&peer);
        peer.set_artifact(met.same_artifact);
        peer.groups.agree(met.features);
        *peer.inbound.session.lock() = Some(session);
        (entry.incarnation, entry.run) = (node.incarnation, party.run);
        entry.peer = Some(peer.clone());
        if let Some(holding) = &mut entry.held {
            holding.is_up = true;
            holding.held.peer = Some(node.incarnation);
        }
        let received = received.unwrap_or_default();
        Ok(Link { peer, connection: connection.clone(), control, received, replicating })
    }

    /// Runs a link until it ends.
    fn up(self: &Arc<Self>, link: Link, whom: Whom, dial: Dial) {
        let core = self.clone();
        let (peer, connection) = (link.peer.clone(), link.connection.clone());
        let address = connection.remote_address();
        self.events.note(&Event::LinkUp { peer: (*peer.node).clone(), address });
        self.executor.spawn(async move {
            let end: LinkEnd = link.run(core.clone()).await;
            let ended = (dial.dialer.name == peer.node.name).then_some(dial);
            if end.is_for_good() {
                // over another connection the same would come again
                peer.end(&end.to_string(), Loss::Broken);
            }
            core.forget(&whom, &connection, ended);
            core.events.note(&Event::LinkDown { peer: (*peer.node).clone(), reason: end.to_string() });
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
                self.replicas_lose(peer);
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
