//! Keeps up what is wanted: dials a peer for which something waits, again and again with growing pauses, and gives the
//! session up when there has been no contact for long.

use super::core::Core;
use super::peer::Peer;
use crate::reach::reached;
use crate::telemetry::events::Event;
use odeon_core::delivery::Loss;
use odeon_core::supervision::Backoff;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A session for which something waits is given up after so long without a connection.
pub(super) const CONTACT_WITHIN: Duration = Duration::from_secs(30);
/// Pauses between dials.
const BACKOFF: Backoff = Backoff { min: Duration::from_millis(50), max: Duration::from_secs(2) };

/// Begins to keep up a session, until it is over.
pub(super) fn start(core: &Arc<Core>, peer: &Arc<Peer>) {
    let (weak, peer) = (Arc::downgrade(core), peer.clone());
    core.executor.spawn(async move {
        while !peer.is_gone() {
            peer.wanted.wait().await;
            if !keep(&weak, &peer).await {
                return;
            }
        }
    });
}

/// Dials until there is a connection, or nothing waits for one. False: the session is over.
async fn keep(core: &Weak<Core>, peer: &Arc<Peer>) -> bool {
    let since = peer.wheel.elapsed();
    let mut problem = String::from("it cannot be dialed: its address is not known");
    for attempt in 0.. {
        let Some(core) = core.upgrade().filter(|core| !core.is_closed()) else { return false };
        if peer.is_gone() || peer.is_up() || !peer.has_work() {
            return !peer.is_gone();
        }
        if let Some(address) = core.address_of(&peer.node.name) {
            match core.dial(address, Some(&peer.node.name)).await {
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(peer = %peer.node, %address, %error, attempt, "a peer cannot be reached");
                    problem = error.to_string();
                }
            }
        }
        // while this one dialed in vain the peer may have come by itself
        if !peer.is_up() && peer.wheel.elapsed().saturating_sub(since) > CONTACT_WITHIN {
            peer.end(&problem, Loss::Link);
            core.events.note(&Event::PeerGivenUp { peer: (*peer.node).clone(), problem });
            reached!(GIVEN_UP);
            return false;
        }
        let pause = core.backoff(&BACKOFF, attempt);
        drop(core);
        peer.wheel.sleep(pause).await;
    }
    true
}
