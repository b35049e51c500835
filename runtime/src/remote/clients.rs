//! The clients of a node: programs outside of the cluster that call services over one connection each.
//!
//! They are kept apart from the peers, so whatever looks for a node finds none of them: nobody dials them, gossips with
//! them or sends them requests. Runs of a client are told apart by their incarnations; several may be there at once.

use super::control::{Offer, Services};
use super::core::{Core, Entry};
use super::keeper::CONTACT_WITHIN;
use super::links::LinkStatus;
use super::offers::Offers;
use super::peer::Peer;
use super::trust::Subject;
use crate::reach::reached;
use odeon_core::delivery::Loss;
use odeon_core::wire::admission::check_role;
use odeon_core::wire::handshake::{Hello, Turned};
use odeon_core::{NodeId, NodeName, ServiceName};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Runs of clients that a node has sessions with at the most, those included that may come back.
const CLIENTS_MAX: usize = 4_096;

/// The clients of a node.
pub(super) type Clients = Mutex<BTreeMap<NodeId, Entry>>;

/// At the other end of a connection.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    Node(NodeName),
    /// One run of a client.
    Client(NodeId),
}

impl Whom {
    /// Who has dialed, and says hello. The certificate tells in which role.
    pub(super) fn says(subject: Subject, hello: &Hello) -> Self {
        match subject {
            Subject::Client(name) => Self::Client(NodeId { name, incarnation: hello.from.node.incarnation }),
            Subject::Node(name) => Self::Node(name),
            Subject::Authority => unreachable!("its certificate is let in by nobody"),
        }
    }

    pub(super) fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    pub(super) fn name(&self) -> &NodeName {
        match self {
            Self::Node(name) => name,
            Self::Client(id) => &id.name,
        }
    }

    /// The name of a client.
    pub(super) fn client(&self) -> Option<Arc<str>> {
        self.is_client().then(|| Arc::from(self.name().as_str()))
    }
}

impl Core {
    /// Looks at what is known of somebody. Clients of whom nothing is known are not kept.
    pub(super) fn with<R>(&self, whom: &Whom, look: impl FnOnce(&mut Entry) -> R) -> R {
        match whom {
            Whom::Node(name) => look(self.peers.lock().entry(name.clone()).or_default()),
            Whom::Client(id) => {
                let mut clients = self.clients.lock();
                let entry = clients.entry(id.clone()).or_default();
                let seen = look(entry);
                if entry.peer.is_none() && entry.held.is_none() {
                    clients.remove(id);
                }
                seen
            }
        }
    }

    /// Whether somebody may come at all, as what it says to be.
    pub(super) fn may_come(&self, whom: &Whom, hello: &Hello) -> Result<(), Turned> {
        check_role(hello, whom.is_client())?;
        let Whom::Client(id) = whom else { return Ok(()) };
        let clients = self.clients.lock();
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(id) {
            return Err(Turned::Busy);
        }
        let is_first = clients.is_empty();
        drop(clients);
        if is_first {
            // nobody has wanted to know in the meantime
            self.gather();
        }
        Ok(())
    }

    /// A client has lost its connection at this time. If it does not come back it is forgotten.
    pub(super) fn expect_back(self: &Arc<Self>, client: &NodeId, lost: Duration) {
        // a node that stops needs its port back at once
        let (core, wheel, client) = (Arc::downgrade(self), self.wheel.clone(), client.clone());
        self.executor.spawn(async move {
            wheel.sleep(CONTACT_WITHIN).await;
            let Some(core) = core.upgrade() else { return };
            let gone = {
                let mut clients = core.clients.lock();
                let is_back =
                    clients.get(&client).is_none_or(|entry| entry.held.is_some() || entry.lost != Some(lost));
                if is_back { None } else { clients.remove(&client) }
            };
            if let Some(peer) = gone.and_then(|entry| entry.peer) {
                peer.end("the client has not come back", Loss::Link);
                reached!(CLIENT_GONE);
            }
        });
    }

    /// What somebody is told of services, and numbers them by.
    pub(super) fn offers_for(&self, peer: &Peer) -> &Offers {
        if peer.client().is_some() { &self.told } else { &self.offers }
    }

    /// A peer has told what it offers.
    pub(super) fn learn(&self, peer: &Peer, services: Services) {
        peer.offers(services);
        if !self.clients.lock().is_empty() {
            self.tell_clients();
        }
    }

    /// Tells clients what has changed in what there is to call.
    pub(super) fn tell_clients(&self) {
        if self.gather() {
            self.client_peers().iter().for_each(|peer| peer.outbox.tell_services());
        }
    }

    /// Brings together what this node and its peers offer. Whether there was something new.
    pub(super) fn gather(&self) -> bool {
        let mut all = BTreeMap::new();
        for peer in self.peers.lock().values().filter_map(|entry| entry.peer.as_ref()) {
            for offer in &peer.services().services {
                let Ok(name) = offer.name.parse::<ServiceName>() else { continue };
                let version = |offer: &Offer| (offer.major, offer.minor);
                if all.get(&name).is_none_or(|known| version(known) < version(offer)) {
                    all.insert(name, Offer { relayed: true, ..offer.clone() });
                }
            }
        }
        for offer in self.offers.services().services {
            if let Ok(name) = offer.name.parse() {
                all.insert(name, offer);
            }
        }
        self.told.extend(all.into_iter().collect()).unwrap_or_else(|error| {
            tracing::error!(%error, "clients are not told of all services");
            false
        })
    }

    /// All with whom there is a session.
    pub(super) fn all_peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.peers.lock().values().filter_map(|entry| entry.peer.clone()).collect::<Vec<_>>();
        peers.into_iter().chain(self.client_peers()).collect()
    }

    pub(super) fn client_status(&self) -> Vec<LinkStatus> {
        let members = self.gossip.members();
        self.clients.lock().values().filter_map(|entry| entry.status(&members)).collect()
    }

    /// The clients with whom there is a session.
    pub(super) fn client_peers(&self) -> Vec<Arc<Peer>> {
        self.clients.lock().values().filter_map(|entry| entry.peer.clone()).collect()
    }
}
