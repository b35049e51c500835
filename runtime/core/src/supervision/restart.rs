//! Whether a child that failed begins again, and when.

use super::Backoff;
use crate::random::Random;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How many failures are answered by a restart, and how long each waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimits {
    /// Most restarts within any `window`; a failure beyond them is not answered by a restart.
    pub restarts_max: u32,
    /// The window. A restart exactly this long ago still counts.
    pub window: Duration,
    /// The first failure restarts at once, each further one waits.
    pub backoff: Backoff,
    /// Without a failure for this long, a child counts as healthy: its next failure is a first one again.
    pub quiet: Duration,
}

impl Default for RestartLimits {
    fn default() -> Self {
        Self {
            restarts_max: 5,
            window: Duration::from_secs(10),
            backoff: Backoff { min: Duration::from_millis(50), max: Duration::from_secs(5) },
            quiet: Duration::from_secs(30),
        }
    }
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Begin again at once.
    RestartNow,
    /// Begin again after this long.
    RestartAfter(Duration),
    /// Too many failures: do not begin again before `until`, and then only if somebody asks.
    GiveUp {
        /// When the quiet time is over.
        until: Timestamp,
    },
}

/// The memory of one child, or one cell, that failed.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    window: Window,
    streak: Streak,
}

impl Restarts {
    /// Judges a failure.
    pub fn failed(&mut self, limits: &RestartLimits, now: Timestamp, random: &mut Random) -> Verdict {
        if !self.window.admit(limits, now) {
            self.streak.failed(limits, now);
            return Verdict::GiveUp { until: now + limits.quiet };
        }
        let wait = self.streak.wait(limits, now, random);
        if wait.is_zero() { Verdict::RestartNow } else { Verdict::RestartAfter(wait) }
    }

    /// Whether the last failure is so long ago that this memory can be dropped.
    pub fn is_over(&self, limits: &RestartLimits, now: Timestamp) -> bool {
        self.streak.is_over(limits, now) && self.window.is_over(limits, now)
    }
}

/// The restarts of the recent past.
#[derive(Clone, Debug, Default)]
pub(super) struct Window(VecDeque<Timestamp>);

impl Window {
    /// Counts a restart at `now`; false, and not counted, if it would be one too many.
    pub(super) fn admit(&mut self, limits: &RestartLimits, now: Timestamp) -> bool {
        while self.0.front().is_some_and(|then| now.since(*then) > limits.window) {
            self.0.pop_front();
        }
        let admitted = self.0.len() < limits.restarts_max as usize;
        if admitted {
            self.0.push_back(now);
        }
        admitted
    }

    fn is_over(&self, limits: &RestartLimits, now: Timestamp) -> bool {
        self.0.back().is_none_or(|then| now.since(*then) > limits.window)
    }
}

/// Failures one after another, without a quiet time between them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    failures: u32,
    last: Option<Timestamp>,
}

impl Streak {
    /// Counts a failure and says how long its restart waits: zero for the first.
    pub(super) fn wait(&mut self, limits: &RestartLimits, now: Timestamp, random: &mut Random) -> Duration {
        self.failed(limits, now);
        match self.failures.checked_sub(2) {
            None => Duration::ZERO,
            Some(attempt) => limits.backoff.wait(attempt, random),
        }
    }

    fn failed(&mut self, limits: &RestartLimits, now: Timestamp) {
        self.failures = if self.is_over(limits, now) { 1 } else { self.failures.saturating_add(1) };
        self.last = Some(now);
    }

    fn is_over(&self, limits: &RestartLimits, now: Timestamp) -> bool {
        self.last.is_none_or(|last| now.since(last) >= limits.quiet)
    }
}
