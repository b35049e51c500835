//! Cells that failed too often: they do not begin again before a quiet time has passed, and meanwhile whoever wants
//! something of them is told so at once.

use super::alarm::Clock;
use odeon_core::supervision::Exit;
use odeon_core::{Refusal, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Below this many it is not worth looking for those whose rest is over.
const SWEEP_MIN: usize = 64;

/// What callers of a cell are told while it rests after this failure.
pub(super) fn reason(exit: &Exit) -> Refusal {
    match exit {
        Exit::StartFailed { problem } => Refusal::StartFailed { problem: problem.clone() },
        Exit::Stopped { .. }
        | Exit::Panicked { .. }
        | Exit::Failed { .. }
        | Exit::Killed
        | Exit::NodeDown { .. }
        | Exit::Unwatched { .. }
        | Exit::Overran { .. }
        | Exit::Linked { .. }
        | Exit::GaveUp { .. } => Refusal::Restarting,
    }
}

/// Entities that were given up, until when, and what to say meanwhile. Instances rest as cells.
#[derive(Default)]
pub(super) struct Resting {
    /// Usually none: then a birth takes no lock and reads no clock.
    any: AtomicBool,
    entities: Mutex<Entities>,
}

#[derive(Default)]
struct Entities {
    until: BTreeMap<Arc<str>, (Timestamp, Refusal)>,
    sweep_at: usize,
}

impl Resting {
    /// An entity is not to begin before `until`.
    pub(super) fn begin(&self, key: Arc<str>, until: Timestamp, why: Refusal, now: Timestamp) {
        let mut entities = self.entities.lock();
        if entities.until.len() >= entities.sweep_at {
            entities.until.retain(|_, (until, _)| *until > now);
            entities.sweep_at = SWEEP_MIN.max(2 * entities.until.len());
        }
        entities.until.insert(key, (until, why));
        self.any.store(true, SeqCst);
    }

    /// Why it is too early for an entity, if it is.
    pub(super) fn of(&self, key: &str, clock: Clock) -> Option<Refusal> {
        if !self.any.load(SeqCst) {
            return None;
        }
        let now = clock.now();
        let mut entities = self.entities.lock();
        let (until, why) = entities.until.get(key)?;
        if *until > now {
            return Some(why.clone());
        }
        entities.until.remove(key);
        self.any.store(!entities.until.is_empty(), SeqCst);
        None
    }
}
