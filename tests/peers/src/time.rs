//! The clock of the measurements: the one file that reads it.

use std::time::{Duration, Instant};

/// Started when made.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since its start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Millions a second, for `count` things done since its start.
    pub fn millions_per_second(self, count: u64) -> f64 {
        count as f64 / self.elapsed().as_secs_f64() / 1e6
    }
}
