//! Gossip: how a node of which one peer has heard becomes known to all. It carries who there is, where each can be
//! dialed, and the version numbers of what they tell each other directly; nothing larger.
//!
//! chitchat (Scuttlebutt reconciliation: van Renesse et al., "Efficient reconciliation and flow control for
//! anti-entropy protocols", 2008) decides who tells whom what. [`wire`] carries its messages over the links that there
//! are, [`outbox`] holds them until a link takes them; [`rounds`] runs it, reads what it has learned into [`Members`],
//! and has those dialed to whom there is no link ([`dials`]).
//!
//! Architecture invariant: gossip is evidence, not a verdict. No connection is closed and no session ended because of
//! what it says.

mod dials;
mod digest;
mod members;
mod outbox;
mod rounds;
#[cfg(test)]
mod tests;
mod wire;

pub use members::Liveness;
pub(super) use members::Members;
pub(super) use outbox::{Counts, Outbox};
pub(super) use rounds::begin;
pub use wire::gossip_read;

use super::core::{Core, Entry};
use super::peer::Peer;
use super::receipts::Teller;
use crate::reach::reached;
use bytes::Bytes;
use digest::Digest;
use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages that have come and wait to be read.
const INBOX_MAX: usize = 64;

/// What a node's gossip shares with its links.
#[derive(Default)]
pub(super) struct Gossip {
    inbox: Mutex<VecDeque<(Arc<Peer>, Bytes)>>,
    came: Teller,
    members: Mutex<Arc<Members>>,
    /// Where messages were to go for which there was no link, since somebody looked.
    missed: Mutex<BTreeSet<SocketAddr>>,
    /// Messages to nodes with which there was never a link.
    to_strangers: AtomicU64,
    digest: Mutex<Digest>,
}

impl Gossip {
    /// Who there is, as far as was heard.
    pub(super) fn members(&self) -> Arc<Members> {
        self.members.lock().clone()
    }

    /// Messages that were dropped as there was never a link to the node that they were for.
    pub(super) fn to_strangers(&self) -> u64 {
        self.to_strangers.load(Ordering::Relaxed)
    }

    /// There is no link for a message: it is dropped, and whom it was for may be dialed.
    fn miss(&self, address: SocketAddr, peer: Option<&Peer>) {
        reached!(NO_OUTLET);
        match peer {
            Some(peer) => peer.outbox.count(Counts::dropped),
            None => {
                self.to_strangers.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.missed.lock().insert(address);
    }

    /// A message has come from a peer.
    pub(super) fn heard(&self, peer: &Arc<Peer>, message: Bytes) {
        if message.len() > digest::MESSAGE_MAX {
            return peer.outbox.count(Counts::bad);
        }
        let mut inbox = self.inbox.lock();
        if inbox.len() < INBOX_MAX {
            inbox.push_back((peer.clone(), message));
            drop(inbox);
            self.came.remind();
        } else {
            peer.outbox.count(Counts::dropped);
        }
    }

    /// The next message. What waits is not lost when this is dropped.
    async fn next(&self) -> (Arc<Peer>, Bytes) {
        loop {
            let next = self.inbox.lock().pop_front();
            if let Some(next) = next {
                return next;
            }
            self.came.wait().await;
        }
    }
}

impl Core {
    /// Where chitchat believes a peer to be: by this it names it.
    fn gossip_address(&self, peer: &Peer) -> Option<SocketAddr> {
        let node = &peer.node;
        let members = self.gossip.members();
        let told = members.of(&node.name).filter(|member| member.incarnation == node.incarnation);
        told.map(|member| member.address).or_else(|| self.peers.lock().get(&node.name)?.dialable())
    }

    /// The peer that chitchat believes to be at an address, if there ever was a link to it.
    fn gossip_peer(&self, address: SocketAddr) -> Option<Arc<Peer>> {
        let members = self.gossip.members();
        let entries = self.peers.lock();
        let entry = match members.at(address) {
            Some(name) => entries.get(name),
            None => entries.values().find(|entry| entry.dialable() == Some(address)),
        };
        entry.and_then(|entry| entry.peer.clone())
    }
}

impl Peer {
    fn is_connected(&self) -> bool {
        self.is_up() && !self.is_gone()
    }
}

impl Entry {
    /// Where it can be dialed; if nobody knows, where it comes from.
    fn dialable(&self) -> Option<SocketAddr> {
        self.address.or_else(|| Some(self.held.as_ref()?.connection.remote_address()))
    }

    /// The peer, if there is a connection.
    fn connected(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref().filter(|peer| peer.is_connected())
    }
}
