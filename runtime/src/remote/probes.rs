//! Looks whether peers live: one that has sent nothing since the last look is probed, and becomes suspect when that goes
//! on ([`Detector`]). A probe is an empty datagram: QUIC acknowledges it (RFC 9221, 5.2), by the task that serves all
//! connections of a node, so nobody has to answer it. It also brings traffic back soon after an outage, for the pauses
//! between QUIC's own probes grow.
//!
//! Nodes ask no others to probe for them (as SWIM does: Das, Gupta, Motivala, 2002), for the others probe anyhow: whom a
//! node suspects it tells in gossip, and so each node knows who suspects whom.
//!
//! Architecture invariant: suspicion takes a node out of balancing, and is shown. It closes nothing and removes nobody.

use super::core::{Core, Entry};
use super::endpoint::Transport;
use super::peer::Peer;
use crate::reach::reached;
use crate::telemetry::events::Event;
use bytes::Bytes;
use odeon_core::NodeId;
use odeon_core::membership::{Detector, Finding, Health};
use quinn::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What was seen of peers.
pub(super) struct Probes {
    every: Duration,
    missed: u32,
    last: Duration,
    health: Health,
    /// By the numbers of connections.
    seen: BTreeMap<usize, Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    /// Packets that have come.
    packets: u64,
    detector: Detector,
}

impl Probes {
    pub(super) fn new(transport: &Transport) -> Self {
        Self {
            every: transport.probe,
            missed: transport.probes_missed,
            last: Duration::ZERO,
            health: Health::default(),
            seen: BTreeMap::new(),
        }
    }

    /// The time from one look to the next.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// Looks at all peers with a connection.
    pub(super) fn look(&mut self, core: &Core) {
        let now = core.wheel.elapsed();
        // what has come meanwhile may wait to be read
        let is_late = self.last > Duration::ZERO && now.saturating_sub(self.last) > 2 * self.every;
        self.last = now;
        self.health.look(is_late);
        core.look_at_services();
        if is_late {
            reached!(LATE_LOOK);
            return;
        }
        let mut last = std::mem::take(&mut self.seen);
        for (peer, connection) in core.connected() {
            let packets = connection.stats().udp_rx.datagrams;
            let mut seen = last.remove(&connection.stable_id()).unwrap_or_default();
            let heard = packets != std::mem::replace(&mut seen.packets, packets);
            if seen.detector.look(heard, self.missed, self.health) == Finding::Suspected {
                reached!(SUSPECTED);
                let silent = self.every * seen.detector.silent();
                core.events.note(&Event::Suspected { peer: (*peer.node).clone(), silent });
            }
            let is_suspect = seen.detector.is_suspect();
            // a new connection ends the suspicion of the old one
            if peer.suspicion.set(is_suspect.then_some(now)) {
                if !is_suspect {
                    reached!(TRUSTED);
                    core.events.note(&Event::Trusted { peer: (*peer.node).clone() });
                }
                core.changes.note();
            }
            if seen.detector.silent() > 0 {
                // an error says that the connection has ended, or that the peer takes no datagrams
                let _ = connection.send_datagram(Bytes::new());
            }
            self.seen.insert(connection.stable_id(), seen);
        }
    }
}

/// Since when this node suspects a peer.
#[derive(Debug, Default)]
pub(super) struct Suspicion(AtomicU64);

impl Suspicion {
    /// The time since its node's start, if there is one.
    pub(super) fn since(&self) -> Option<Duration> {
        self.0.load(Ordering::Acquire).checked_sub(1).map(Duration::from_millis)
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// True: it has begun, or it has ended.
    fn set(&self, now: Option<Duration>) -> bool {
        let changes = now.is_some() != self.is_there();
        if changes {
            let since = now.map_or(0, |now| 1 + u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1));
            self.0.store(since, Ordering::Release);
        }
        changes
    }
}

impl Core {
    fn connected(&self) -> Vec<(Arc<Peer>, Connection)> {
        let up = |entry: &Entry| {
            let holding = entry.held.as_ref().filter(|holding| holding.is_up)?;
            Some((entry.peer.clone()?, holding.connection.clone()))
        };
        self.peers.lock().values().filter_map(up).collect()
    }

    /// Those whom this node suspects, and that may still live.
    pub(super) fn suspects(&self) -> Vec<NodeId> {
        let members = self.gossip.members();
        let suspect = |entry: &Entry| {
            let peer = entry.peer.as_ref().filter(|peer| peer.suspicion.is_there())?;
            let is_up = entry.held.as_ref().is_some_and(|holding| holding.is_up);
            let may_live = is_up || members.is_alive(&peer.node);
            (may_live && !peer.is_outcast() && !peer.is_gone()).then(|| (*peer.node).clone())
        };
        self.peers.lock().values().filter_map(suspect).collect()
    }
}
