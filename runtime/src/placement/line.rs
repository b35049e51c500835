//! Messages whose receiver is nowhere at the moment: one line for each slot, in the order in which they have come.

use super::unplaced;
use futures_util::future::BoxFuture;
use odeon_core::placement::SlotId;
use odeon_core::{Refusal, ServiceName};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Messages that wait for one slot; more are refused.
const LINE_MAX: usize = 1_024;
/// Their bytes, after which no others are taken.
const LINE_BYTES_MAX: usize = 4 << 20;
/// Bytes of all lines of a node.
const ALL_BYTES_MAX: usize = 64 << 20;
/// Nothing waits longer: the callers of calls wait no longer than that by default.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// So long before nobody waits for it any more a message is refused. While its caller still listens it is certain that it
/// did not run; afterwards nobody could tell.
const LAST_MOMENT: Duration = Duration::from_millis(20);

/// A line whose first message could not go is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// Waits until there is room for a message where it goes.
pub(crate) type Room = BoxFuture<'static, ()>;

/// A message that waits.
pub(crate) trait Held: Send {
    /// Sends it to where its receiver is now; gives back how to wait until that is done.
    ///
    /// # Errors
    /// The message: its receiver is still nowhere.
    fn send(self: Box<Self>) -> Result<Option<Room>, Box<dyn Held>>;
    /// It will not be sent.
    fn refuse(self: Box<Self>, why: Refusal);
    /// How many bytes it counts for.
    fn bytes(&self) -> usize;
    /// How long somebody still waits for it; none: as long as it takes.
    fn left(&self) -> Option<Duration>;
}

struct Waiting {
    message: Box<dyn Held>,
    since: Instant,
    /// Then it is refused.
    until: Instant,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// None of them is to be refused before; one that has gone may have been.
    earliest: Option<Instant>,
    bytes: usize,
    /// Somebody sends what waits, one after the other.
    is_moving: bool,
    /// The first one could not go: nobody tries it again before.
    not_before: Option<Instant>,
}

impl Line {
    fn is_due_at(&mut self, until: Instant) {
        self.earliest = Some(self.earliest.map_or(until, |earliest| earliest.min(until)));
    }
}

/// All lines of a node.
#[derive(Default)]
pub(super) struct Lines {
    lines: Mutex<BTreeMap<(ServiceName, SlotId), Line>>,
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl Lines {
    #[inline]
    pub(super) fn are_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    pub(super) fn has(&self, service: &ServiceName, slot: SlotId) -> bool {
        self.lines.lock().contains_key(&(service.clone(), slot))
    }

    pub(super) fn push(&self, service: &ServiceName, slot: SlotId, message: Box<dyn Held>, now: Instant) {
        let bytes = message.bytes();
        let left = message.left().map_or(WAIT_MAX, |left| left.saturating_sub(LAST_MOMENT).min(WAIT_MAX));
        let waiting = Waiting { message, since: now, until: now + left };
        let refused = {
            let mut lines = self.lines.lock();
            let line = lines.entry((service.clone(), slot)).or_default();
            let is_full = line.waiting.len() >= LINE_MAX
                || line.bytes >= LINE_BYTES_MAX
                || self.bytes.load(Relaxed) >= ALL_BYTES_MAX;
            let refused = if is_full {
                Some(waiting.message)
            } else {
                line.bytes += bytes;
                self.bytes.fetch_add(bytes, Relaxed);
                line.is_due_at(waiting.until);
                line.waiting.push_back(waiting);
                None
            };
            self.count.store(lines.len(), Relaxed);
            refused
        };
        if let Some(message) = refused {
            message.refuse(Refusal::MailboxFull);
        }
    }

    /// What waits, by slot: since when, how many messages and how many bytes.
    pub(super) fn look(&self) -> Vec<(ServiceName, SlotId, Option<Instant>, usize, usize)> {
        let lines = self.lines.lock();
        let of = |((service, slot), line): (&(ServiceName, SlotId), &Line)| {
            let since = line.waiting.front().map(|waiting| waiting.since);
            (service.clone(), *slot, since, line.waiting.len(), line.bytes)
        };
        lines.iter().map(of).collect()
    }

    /// The slots for which something waits that nobody sends, and that may be tried now.
    pub(super) fn waiting(&self, now: Instant) -> Vec<(ServiceName, SlotId)> {
        let lines = self.lines.lock();
        let is_due = |line: &Line| !line.is_moving && line.not_before.is_none_or(|at| at <= now);
        lines.iter().filter(|(_, line)| is_due(line)).map(|(slot, _)| slot.clone()).collect()
    }

    /// Sends what waits for a slot, each once the one before it has room. What comes meanwhile comes behind.
    pub(super) async fn empty(&self, slot: &(ServiceName, SlotId)) {
        if !self.begin(slot) {
            return;
        }
        while let Some(Waiting { message, since, until }) = self.pop(slot) {
            match message.send() {
                Ok(None) => {}
                Ok(Some(room)) => room.await,
                Err(message) => return self.put_back(slot, Waiting { message, since, until }),
            }
        }
    }

    fn begin(&self, slot: &(ServiceName, SlotId)) -> bool {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(slot).filter(|line| !line.is_moving) else { return false };
        line.is_moving = true;
        true
    }

    /// The next one. The line of the last one is gone: whoever comes from now on need not wait.
    fn pop(&self, slot: &(ServiceName, SlotId)) -> Option<Waiting> {
        let mut lines = self.lines.lock();
        let next = lines.get_mut(slot).and_then(|line| {
            let next = line.waiting.pop_front()?;
            line.bytes -= next.message.bytes();
            self.bytes.fetch_sub(next.message.bytes(), Relaxed);
            Some(next)
        });
        if next.is_none() {
            lines.remove(slot);
            self.count.store(lines.len(), Relaxed);
        }
        next
    }

    fn put_back(&self, slot: &(ServiceName, SlotId), next: Waiting) {
        let mut lines = self.lines.lock();
        let line = lines.entry(slot.clone()).or_default();
        (line.is_moving, line.not_before) = (false, Some(Instant::now() + RETRY_AFTER));
        line.bytes += next.message.bytes();
        self.bytes.fetch_add(next.message.bytes(), Relaxed);
        line.is_due_at(next.until);
        line.waiting.push_front(next);
    }

    /// Refuses what has waited for too long, and what nobody is about to wait for any more.
    pub(super) fn expire(&self, now: Instant, why: impl Fn(&ServiceName, SlotId) -> &'static str) {
        let mut late = Vec::new();
        {
            let mut lines = self.lines.lock();
            // what is being sent has left its line
            let is_due = |line: &Line| line.earliest.is_some_and(|earliest| earliest <= now);
            for ((service, slot), line) in lines.iter_mut().filter(|(_, line)| is_due(line)) {
                let (over, waiting): (VecDeque<_>, VecDeque<_>) =
                    line.waiting.drain(..).partition(|waiting| waiting.until <= now);
                line.earliest = waiting.iter().map(|waiting| waiting.until).min();
                line.waiting = waiting;
                for Waiting { message, .. } in over {
                    line.bytes -= message.bytes();
                    self.bytes.fetch_sub(message.bytes(), Relaxed);
                    late.push((unplaced(service, why(service, *slot)), message));
                }
            }
            lines.retain(|_, line| line.is_moving || !line.waiting.is_empty());
            self.count.store(lines.len(), Relaxed);
        }
        // outside of the lock: whoever is told may send again
        for (refusal, message) in late {
            message.refuse(refusal);
        }
    }
}
