//! One line on a terminal that tells how far the seeds are, and the first failures as they come. Elsewhere nothing
//! is said until the end.

use crate::runner::{Outcome, Progress, tell_span};
use std::io::{self, IsTerminal, Stderr, Write};
use std::time::Duration;

/// The line, overwritten in place.
pub(super) struct ProgressLine {
    /// `None` when nobody watches.
    out: Option<Stderr>,
    name: String,
    seeds: u64,
    /// Wall time of the line that stands there.
    shown: Duration,
    /// Failures that have been told.
    failures: usize,
}

/// More failures are told at the end.
const FAILURES_TOLD_MAX: usize = 5;
/// A person reads no faster, and a terminal costs time.
const REDRAW_PERIOD: Duration = Duration::from_millis(100);

impl ProgressLine {
    pub(super) fn on_standard_error(name: &str, seeds: u64) -> ProgressLine {
        let out = io::stderr();
        let watched = out.is_terminal();
        ProgressLine {
            out: watched.then_some(out),
            name: name.to_owned(),
            seeds,
            shown: Duration::ZERO,
            failures: 0,
        }
    }

    pub(super) fn show(&mut self, progress: &Progress, failed: Option<&Outcome>) {
        if let Some(failed) = failed
            && self.failures < FAILURES_TOLD_MAX
        {
            self.failures += 1;
            self.clear();
            self.say(&format!("{}\n", failure(failed)));
        }
        if progress.wall < self.shown + REDRAW_PERIOD {
            return;
        }
        self.shown = progress.wall;
        let text = text(&self.name, self.seeds, progress);
        self.say(&format!("\r{text}\u{1b}[K"));
    }

    pub(super) fn clear(&mut self) {
        self.say("\r\u{1b}[K");
    }

    fn say(&mut self, text: &str) {
        if let Some(out) = &mut self.out {
            // A terminal that is gone needs no progress.
            let _ = out.write_all(text.as_bytes());
        }
    }
}

/// One line; the whole story comes at the end.
fn failure(outcome: &Outcome) -> String {
    let finding = outcome.findings.first().map_or("", String::as_str);
    let finding = finding.lines().next().unwrap_or_default();
    format!("seed {}: {finding}", outcome.seed)
}

fn text(name: &str, seeds: u64, progress: &Progress) -> String {
    let rate = progress.done as f64 / progress.wall.as_secs_f64().max(1e-3);
    let failed = if progress.failed > 0 { format!(", {} failed", progress.failed) } else { String::new() };
    let simulated = tell_span(progress.simulated);
    format!("{name}: {}/{seeds} seeds, {rate:.0} a second, {simulated} simulated{failed}", progress.done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_seeds_speed_simulated_time_and_failures() {
        let mut progress = Progress {
            done: 412,
            failed: 0,
            simulated: Duration::from_secs(4_300),
            wall: Duration::from_secs(2),
        };
        let told = text("udp-ping", 1_000, &progress);
        assert_eq!(told, "udp-ping: 412/1000 seeds, 206 a second, 1 h 11 min simulated");
        progress.failed = 2;
        assert!(text("udp-ping", 1_000, &progress).ends_with("simulated, 2 failed"));
    }
}
