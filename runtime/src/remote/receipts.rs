//! What becomes of casts from another node: counted where it happens, told to the sender in batches.

use odeon_core::Refusal;
use odeon_core::delivery::Receipt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Wakes whoever tells a peer what it does not know yet.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    /// Somebody has said that there is something to tell.
    due: AtomicBool,
    wake: Notify,
}

impl Teller {
    /// There is something to tell.
    #[inline]
    pub(crate) fn remind(&self) {
        // whoever is told reads all that is known: it need not be told twice. Exchanged always: what reads that it is
        // due is then certain that what was written before will be read
        if !self.due.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Waits until there is something. What is said from now on is a new reminder.
    pub(crate) async fn wait(&self) {
        while !self.due.swap(false, Ordering::AcqRel) {
            self.wake.notified().await;
        }
    }
}

/// What a sender does not know yet of the casts of one lane.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) casts: Receipt,
    /// How many each receiver has settled.
    pub(crate) settled: Vec<(u32, u64)>,
    /// Receivers that had no room.
    pub(crate) full: Vec<u32>,
}

/// The casts of one lane.
#[derive(Debug)]
pub(crate) struct LaneReceipts {
    /// All of them; those that were handled, as far as they have been read from their receivers.
    casts: Mutex<Receipt>,
    /// Receivers with something to tell.
    changed: Mutex<Vec<Arc<Receipts>>>,
    teller: Arc<Teller>,
}

impl LaneReceipts {
    pub(crate) fn new(teller: Arc<Teller>) -> Arc<Self> {
        Arc::new(Self { casts: Mutex::default(), changed: Mutex::default(), teller })
    }

    /// All there is to say: the books of the lane, and what each receiver with news has settled.
    pub(crate) fn read(&self) -> News {
        let changed = std::mem::take(&mut *self.changed.lock());
        let mut news = News::default();
        let mut casts = self.casts.lock();
        for receipts in changed {
            // before it is read: what settles from here on lists it anew
            receipts.listed.store(false, Ordering::SeqCst);
            casts.handled += receipts.newly_handled();
            if receipts.full.load(Ordering::Relaxed) && receipts.full.swap(false, Ordering::AcqRel) {
                news.full.push(receipts.number);
            }
            news.settled.push(receipts.settled());
        }
        news.casts = casts.clone();
        news
    }
}

/// The casts for one receiver of a lane.
#[derive(Debug)]
pub(crate) struct Receipts {
    number: u32,
    lane: Arc<LaneReceipts>,
    /// What was settled under this number before it stood for this receiver.
    before: u64,
    handled: AtomicU64,
    /// Those of them that are in the books of the lane.
    entered: AtomicU64,
    refused: AtomicU64,
    listed: AtomicBool,
    /// One was refused for want of room.
    full: AtomicBool,
}

impl Receipts {
    /// Goes on where the last receiver of that number was: a late word on that one must say nothing new.
    pub(crate) fn new(number: u32, lane: Arc<LaneReceipts>, last: Option<&Self>) -> Arc<Self> {
        Arc::new(Self {
            number,
            lane,
            before: last.map_or(0, |last| last.settled().1),
            handled: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            full: AtomicBool::new(false),
        })
    }

    /// Its number, and how many casts were settled under it.
    pub(crate) fn settled(&self) -> (u32, u64) {
        let settled = self.handled.load(Ordering::SeqCst) + self.refused.load(Ordering::SeqCst);
        (self.number, self.before + settled)
    }

    /// How many were handled since this was last asked; only who holds the books of the lane asks.
    fn newly_handled(&self) -> u64 {
        let handled = self.handled.load(Ordering::SeqCst);
        handled - self.entered.swap(handled, Ordering::Relaxed)
    }

    /// A handler is about to begin.
    #[inline]
    pub(crate) fn handled(self: &Arc<Self>) {
        self.handled.fetch_add(1, Ordering::SeqCst);
        self.list();
    }

    /// It will not be handled.
    #[cold]
    pub(crate) fn refused(self: &Arc<Self>, why: &Refusal) {
        let mut casts = self.lane.casts.lock();
        match why {
            Refusal::Expired => casts.expired += 1,
            why => casts.add_refused(why.name()),
        }
        drop(casts);
        if *why == Refusal::MailboxFull {
            self.full.store(true, Ordering::Release);
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.list();
    }

    /// Something is to be told. One total order with the reader: either it is seen to be listed no more, or the reader
    /// sees what was counted.
    #[inline]
    fn list(self: &Arc<Self>) {
        if !self.listed.load(Ordering::SeqCst) && !self.listed.swap(true, Ordering::SeqCst) {
            self.lane.changed.lock().push(self.clone());
            self.lane.teller.remind();
        }
    }
}
