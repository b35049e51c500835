//! The books of a service. Whatever was let into a mailbox is in one place at a time:
//! let in = handled + cut short + expired + lost + running + waiting.

use odeon_core::Refusal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of one service on one node. Cells add to it in batches, never once a message.
#[derive(Debug, Default)]
pub struct ServiceMeter {
    handled: AtomicU64,
    expired: AtomicU64,
    cut_short: AtomicU64,
    lost: AtomicU64,
    panics: AtomicU64,
    restarts: AtomicU64,
    activations: AtomicU64,
    busy_nanos: AtomicU64,
    refused: parking_lot::Mutex<BTreeMap<&'static str, u64>>,
}

impl ServiceMeter {
    /// Handlers that ended.
    pub fn add_handled(&self, n: u64) {
        self.handled.fetch_add(n, Relaxed);
    }
    /// Messages whose deadline had passed at dequeue.
    pub fn add_expired(&self, n: u64) {
        self.expired.fetch_add(n, Relaxed);
    }
    /// Handlers that began and did not end: they panicked, overran, or went with their activation.
    pub fn add_cut_short(&self, n: u64) {
        self.cut_short.fetch_add(n, Relaxed);
    }
    /// Messages that were let in and refused later: shed, or left behind by a stop.
    pub fn add_lost(&self, n: u64) {
        self.lost.fetch_add(n, Relaxed);
    }
    /// Activations ended by a panic.
    pub fn add_panic(&self) {
        self.panics.fetch_add(1, Relaxed);
    }
    /// Activations that began again after an abnormal end.
    pub fn add_restart(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }
    /// Activations that began.
    pub fn add_activation(&self) {
        self.activations.fetch_add(1, Relaxed);
    }
    /// Time spent polling handlers, as sampled.
    pub fn add_busy(&self, busy: Duration) {
        self.busy_nanos.fetch_add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
    /// A message was not executed. Rare: takes a lock.
    pub fn add_refused(&self, why: &Refusal) {
        *self.refused.lock().entry(why.name()).or_default() += 1;
    }

    /// Handlers that ended.
    pub fn handled(&self) -> u64 {
        self.handled.load(Relaxed)
    }
    /// Messages whose deadline had passed at dequeue.
    pub fn expired(&self) -> u64 {
        self.expired.load(Relaxed)
    }
    /// Handlers that began and did not end: they panicked, overran, or went with their activation.
    pub fn cut_short(&self) -> u64 {
        self.cut_short.load(Relaxed)
    }
    /// Messages that were let in and refused later: shed, or left behind by a stop.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
    /// Activations ended by a panic.
    pub fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }
    /// Activations that began again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }
    /// Activations that began.
    pub fn activations(&self) -> u64 {
        self.activations.load(Relaxed)
    }
    /// Time spent polling handlers, as sampled.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_nanos.load(Relaxed))
    }
    /// Messages not executed, by [`Refusal::name`].
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().clone()
    }
}
