//! Entities that failed too often: they must not begin again before a quiet time has passed.

use super::alarm::Clock;
use odeon_core::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Entities that were given up, and until when.
#[derive(Default)]
pub(super) struct Resting {
    /// Usually none: then a birth takes no lock and reads no clock.
    any: AtomicBool,
    until: Mutex<BTreeMap<Arc<str>, Timestamp>>,
}

impl Resting {
    /// An entity is not to begin before `until`.
    pub(super) fn begin(&self, key: Arc<str>, until: Timestamp, now: Timestamp) {
        let mut resting = self.until.lock();
        resting.retain(|_, until| *until > now);
        resting.insert(key, until);
        self.any.store(true, SeqCst);
    }

    /// Whether it is too early for an entity.
    pub(super) fn holds(&self, key: &str, clock: Clock) -> bool {
        if !self.any.load(SeqCst) {
            return false;
        }
        let now = clock.now();
        let mut resting = self.until.lock();
        let holds = resting.get(key).is_some_and(|until| *until > now);
        if !holds && resting.remove(key).is_some() {
            self.any.store(!resting.is_empty(), SeqCst);
        }
        holds
    }
}
