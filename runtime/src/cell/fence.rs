//! Until when activations may act that the cluster group has placed here: as long as their node holds its lease. Whoever
//! looks after placement ends them when it does not, but that one may be held up, as by a handler that blocks its
//! executor; so each activation looks for itself, before anything of it runs.

use super::Tick;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// Ticks are coarse: this much is left of a lease when it counts as over.
const COARSE: Duration = Duration::from_millis(3);

/// What all activations of a node look at.
#[derive(Debug)]
pub(crate) struct Fence {
    /// Raw tick; never: it is closed.
    until: AtomicU32,
    /// It was closed, and is open: whoever looks after placement has to look.
    pub(crate) opened: Notify,
}

impl Default for Fence {
    fn default() -> Self {
        Self { until: AtomicU32::new(Tick::NEVER.raw()), opened: Notify::new() }
    }
}

impl Fence {
    /// They may act until so much has passed since their node's start.
    pub(crate) fn open_until(&self, end: Duration) {
        self.until.store(Tick::at(end.saturating_sub(COARSE)).raw(), Relaxed);
    }

    /// They may not act any more.
    pub(crate) fn close(&self) {
        self.until.store(Tick::NEVER.raw(), Relaxed);
    }

    /// Whether they may act.
    #[inline]
    pub(crate) fn is_open(&self, now: Tick) -> bool {
        let until = Tick::from_raw(self.until.load(Relaxed));
        !until.is_never() && !until.passed(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_for_as_long_as_was_said_and_never_longer() {
        let fence = Fence::default();
        let start = Duration::from_secs(5);
        assert!(!fence.is_open(Tick::at(start)));
        for micros in 0..5_000 {
            let end = start + Duration::from_secs(2) + Duration::from_micros(micros);
            fence.open_until(end);
            assert!(fence.is_open(Tick::at(start)));
            assert!(fence.is_open(Tick::at(end - 2 * COARSE)));
            assert!(!fence.is_open(Tick::at(end)));
            assert!(!fence.is_open(Tick::at(end + Duration::from_secs(1_000))));
        }
        fence.close();
        assert!(!fence.is_open(Tick::at(start)));
    }
}
