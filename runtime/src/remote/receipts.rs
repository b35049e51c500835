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
        // whoever is told reads all that is known: it need not be told twice
        if !self.due.load(Ordering::Relaxed) && !self.due.swap(true, Ordering::AcqRel) {
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
    handled: AtomicU64,
    /// What did not get that far; rare.
    others: Mutex<Receipt>,
    /// Receivers with something to tell.
    changed: Mutex<Vec<Arc<Receipts>>>,
    teller: Arc<Teller>,
}

impl LaneReceipts {
    pub(crate) fn new(teller: Arc<Teller>) -> Arc<Self> {
        let handled = AtomicU64::new(0);
        Arc::new(Self { handled, others: Mutex::default(), changed: Mutex::default(), teller })
    }

    /// All there is to say: the books of the lane, and what each receiver with news has settled.
    pub(crate) fn read(&self) -> News {
        let changed = std::mem::take(&mut *self.changed.lock());
        let mut news = News::default();
        for receipts in changed {
            receipts.listed.store(false, Ordering::Release);
            if receipts.full.load(Ordering::Relaxed) && receipts.full.swap(false, Ordering::AcqRel) {
                news.full.push(receipts.number);
            }
            news.settled.push(receipts.settled());
        }
        let others = self.others.lock();
        news.casts = Receipt { handled: self.handled.load(Ordering::Acquire), ..others.clone() };
        news
    }
}

/// The casts for one receiver of a lane.
#[derive(Debug)]
pub(crate) struct Receipts {
    number: u32,
    lane: Arc<LaneReceipts>,
    settled: AtomicU64,
    listed: AtomicBool,
    /// One was refused for want of room.
    full: AtomicBool,
}

impl Receipts {
    /// Goes on where the last receiver of that number was: a late word on that one must say nothing new.
    pub(crate) fn new(number: u32, lane: Arc<LaneReceipts>, last: Option<&Self>) -> Arc<Self> {
        let settled = AtomicU64::new(last.map_or(0, |last| last.settled.load(Ordering::Acquire)));
        Arc::new(Self { number, lane, settled, listed: AtomicBool::new(false), full: AtomicBool::new(false) })
    }

    /// Its number, and how many casts were settled under it.
    pub(crate) fn settled(&self) -> (u32, u64) {
        (self.number, self.settled.load(Ordering::Acquire))
    }

    /// A handler is about to begin.
    #[inline]
    pub(crate) fn handled(self: &Arc<Self>) {
        self.lane.handled.fetch_add(1, Ordering::Relaxed);
        self.settle();
    }

    /// It will not be handled.
    #[cold]
    pub(crate) fn refused(self: &Arc<Self>, why: &Refusal) {
        let mut others = self.lane.others.lock();
        match why {
            Refusal::Expired => others.expired += 1,
            why => others.add_refused(why.name()),
        }
        drop(others);
        if *why == Refusal::MailboxFull {
            self.full.store(true, Ordering::Release);
        }
        self.settle();
    }

    #[inline]
    fn settle(self: &Arc<Self>) {
        self.settled.fetch_add(1, Ordering::Release);
        if !self.listed.load(Ordering::Relaxed) && !self.listed.swap(true, Ordering::AcqRel) {
            self.lane.changed.lock().push(self.clone());
            self.lane.teller.remind();
        }
    }
}
