//! Time for the cores, and the one timer that a supervising actor has.

use crate::host::Executor;
use odeon_core::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The time of a tree: what its cores are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Counts from now.
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since it was started.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.origin.elapsed()
    }

    fn instant(&self, at: Timestamp) -> Instant {
        // What no clock can show is as good as never, and so is a century.
        self.origin.checked_add(at.since(Timestamp::ZERO)).unwrap_or(self.origin + CENTURY)
    }
}

const CENTURY: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 86_400);

/// Wakes its owner once, at the time that was set last.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    set: Option<(Timestamp, JoinHandle<()>)>,
}

impl Alarm {
    /// Rings at that time, and at no other.
    pub(crate) fn set(
        &mut self,
        at: Option<Timestamp>,
        clock: Clock,
        executor: &Executor,
        ring: impl FnOnce() + Send + 'static,
    ) {
        if self.set.as_ref().map(|(at, _)| *at) == at {
            return;
        }
        self.cancel();
        self.set = at.map(|at| {
            let due = clock.instant(at);
            let task = executor.spawn(async move {
                tokio::time::sleep_until(due).await;
                ring();
            });
            (at, task)
        });
    }

    /// It rang: the next one may be for the same time.
    pub(crate) fn rang(&mut self) {
        self.set = None;
    }

    fn cancel(&mut self) {
        if let Some((_, task)) = self.set.take() {
            task.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel();
    }
}
