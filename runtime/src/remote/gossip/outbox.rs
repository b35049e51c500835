//! What waits to be said to one peer on its control stream.

use crate::remote::control::Control;
use crate::remote::offers::Offers;
use crate::remote::receipts::Teller;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages of gossip that wait for a peer: more are made of the same matter soon, so that waiting serves nobody.
const OUTBOX_MAX: usize = 4;

/// What waits to be said to a peer. It outlives connections, and sessions with the same incarnation.
#[derive(Default)]
pub(in crate::remote) struct Outbox {
    waiting: Mutex<Waiting>,
    due: Teller,
    counts: Counts,
}

#[derive(Default)]
struct Waiting {
    gossip: VecDeque<Bytes>,
    /// Our list of services has changed.
    services: bool,
    /// It has a later list of services than we know.
    wants: bool,
}

/// Messages of gossip with one peer.
#[derive(Debug, Default)]
pub(in crate::remote) struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
    bad: AtomicU64,
}

impl Counts {
    /// Those that were dropped: there was no connection, or no room for them.
    pub(in crate::remote) fn dropped(&self) -> &AtomicU64 {
        &self.dropped
    }

    /// Those that came and were none.
    pub(in crate::remote) fn bad(&self) -> &AtomicU64 {
        &self.bad
    }

    fn sent(&self) -> &AtomicU64 {
        &self.sent
    }
}

impl Outbox {
    pub(in crate::remote) fn count(&self, which: fn(&Counts) -> &AtomicU64) {
        which(&self.counts).fetch_add(1, Ordering::Relaxed);
    }

    /// Messages sent, dropped and bad.
    pub(in crate::remote) fn counted(&self) -> [u64; 3] {
        [Counts::sent, Counts::dropped, Counts::bad].map(|which| which(&self.counts).load(Ordering::Relaxed))
    }

    /// Takes a message of gossip, or drops it when there is no room.
    pub(super) fn push(&self, message: Bytes) {
        let mut waiting = self.waiting.lock();
        if waiting.gossip.len() >= OUTBOX_MAX {
            drop(waiting);
            return self.count(Counts::dropped);
        }
        waiting.gossip.push_back(message);
        drop(waiting);
        self.due.remind();
    }

    /// The peer is to be told our list of services.
    pub(in crate::remote) fn tell_services(&self) {
        self.waiting.lock().services = true;
        self.due.remind();
    }

    /// The peer is to be asked for its list of services.
    pub(super) fn want_services(&self) {
        self.waiting.lock().wants = true;
        self.due.remind();
    }

    /// Waits until there is something to say.
    pub(in crate::remote) async fn due(&self) {
        self.due.wait().await;
    }

    /// All that is to be said now.
    pub(in crate::remote) fn take(&self, offers: &Offers) -> Vec<Control> {
        let Waiting { gossip, services, wants } = std::mem::take(&mut *self.waiting.lock());
        self.counts.sent.fetch_add(gossip.len() as u64, Ordering::Relaxed);
        let services = services.then(|| Control::Services(offers.services()));
        let wants = wants.then_some(Control::WantServices);
        services.into_iter().chain(wants).chain(gossip.into_iter().map(Control::Gossip)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_drops_what_comes_and_counts_it() {
        let outbox = Outbox::default();
        for number in 0..OUTBOX_MAX as u8 + 3 {
            outbox.push(Bytes::from(vec![number]));
        }
        outbox.want_services();
        let said = outbox.take(&Offers::default());
        let gossip: Vec<_> = said.iter().filter(|control| matches!(control, Control::Gossip(_))).collect();
        assert_eq!((said.len(), gossip.len()), (OUTBOX_MAX + 1, OUTBOX_MAX));
        assert!(matches!(said[1], Control::Gossip(ref first) if **first == [0]), "the eldest goes first");
        assert_eq!(outbox.counted(), [OUTBOX_MAX as u64, 3, 0]);
        assert!(outbox.take(&Offers::default()).is_empty(), "it was said");
    }
}
