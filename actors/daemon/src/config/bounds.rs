//! What values can work: a node that is told another one says so before it starts.

use super::Settings;
use crate::duration::exact;
use crate::exit::Failure;
use odeon_actors::gateway::request::WITHIN_MAX;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most executors: each is a thread with a mailbox from each other one, and no host has more cores to give.
pub(super) const EXECUTORS_MAX: usize = 256;
const BLOCKING_THREADS_MAX: usize = 1_024;
const CONNECTIONS_MAX: usize = 1_000_000;
/// A body is held in memory as a whole.
const BODY_BYTES_MAX: usize = 1 << 30;
/// hyper refuses less.
const HEAD_BYTES_LEAST: usize = 8 << 10;
const HEAD_BYTES_MAX: usize = 16 << 20;
/// The wheel of a node turns in milliseconds.
const TIME_LEAST: Duration = Duration::from_millis(1);
const TIME_MAX: Duration = Duration::from_secs(86_400);

/// Reads a number of executors.
///
/// # Errors
/// What was expected.
pub(super) fn executors(text: &str) -> Result<NonZeroUsize, String> {
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= EXECUTORS_MAX);
    count.ok_or_else(|| format!("expected 1 to {EXECUTORS_MAX}"))
}

impl Settings {
    /// Looks at each number and time.
    ///
    /// # Errors
    /// The first one that cannot work: its key, its value, what can, and the line of the file.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let http = &self.http;
        let limits = &http.connections;
        for (section, key, count, range) in [
            ("node", "executors", self.executors, 1..=EXECUTORS_MAX),
            ("node", "blocking_threads", self.blocking_threads, 1..=BLOCKING_THREADS_MAX),
            ("http", "connections_max", limits.connections_max, 1..=CONNECTIONS_MAX),
            ("http", "body_bytes_max", http.body_bytes_max, 1..=BODY_BYTES_MAX),
            ("http", "head_bytes_max", limits.head_bytes_max, HEAD_BYTES_LEAST..=HEAD_BYTES_MAX),
        ] {
            self.within_bounds(section, key, count, &range, |count| count)?;
        }
        for (section, key, time, range) in [
            ("node", "stop_within", self.stop_within, TIME_LEAST..=TIME_MAX),
            ("http", "within", http.within, TIME_LEAST..=WITHIN_MAX),
            ("http", "timeout_idle", limits.timeout_idle, TIME_LEAST..=TIME_MAX),
            ("http", "timeout_head", limits.timeout_head, TIME_LEAST..=TIME_MAX),
            ("http", "timeout_body", limits.timeout_body, TIME_LEAST..=TIME_MAX),
            ("http", "timeout_write", limits.timeout_write, TIME_LEAST..=TIME_MAX),
        ] {
            self.within_bounds(section, key, time, &range, exact)?;
        }
        self.check_bindings()
    }

    /// A name that leads back to itself stands for nothing.
    fn check_bindings(&self) -> Result<(), Failure> {
        for name in self.bindings.keys() {
            let mut path = vec![name];
            while let Some(next) = self.bindings.get(path[path.len() - 1]) {
                if next == name {
                    let path: Vec<_> = path.iter().chain([&name]).map(ToString::to_string).collect();
                    let problem = format!("the bindings go in a circle: {}", path.join(" -> "));
                    return Err(self.failure_at("bindings", &name.to_string(), problem));
                }
                if path.contains(&next) {
                    // a circle of others, which has its own turn
                    break;
                }
                path.push(next);
            }
        }
        Ok(())
    }

    fn within_bounds<T: Copy + PartialOrd, S: Display>(
        &self,
        section: &str,
        key: &str,
        value: T,
        range: &RangeInclusive<T>,
        show: impl Fn(T) -> S,
    ) -> Result<(), Failure> {
        if range.contains(&value) {
            return Ok(());
        }
        let (value, least, most) = (show(value), show(*range.start()), show(*range.end()));
        let problem = format!("{section}.{key} = {value} cannot work: expected {least} to {most}");
        Err(self.failure_at(section, key, problem))
    }
}
