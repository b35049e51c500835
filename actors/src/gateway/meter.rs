//! The books of the gateway: responses by class and how long they took. One for each executor, which alone writes
//! it; read together.

use http::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Classes of status, 1xx to 5xx.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Buckets of the histogram: each ends at twice the end of the one before.
pub const BUCKETS: usize = 20;
/// The first bucket ends at 2^4 = 16 µs, the last but one at 2^22 µs (4.2 s); the last has no end.
const FIRST_BITS: u32 = 4;

/// Counters of one executor's requests. They only grow; one thread writes at a time.
#[derive(Debug, Default)]
pub struct Meter {
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// A reading of one or more meters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Responses by class of status, as in [`CLASSES`].
    pub classes: [u64; CLASSES.len()],
    /// Responses by time, not cumulative; [`bucket_end`] tells the ends.
    pub buckets: [u64; BUCKETS],
    /// The sum of all times.
    pub total: Duration,
}

/// Where a bucket ends; none for the last.
pub fn bucket_end(bucket: usize) -> Option<Duration> {
    (bucket + 1 < BUCKETS).then(|| Duration::from_micros(1 << (FIRST_BITS + bucket as u32)))
}

fn bucket_of(took: Duration) -> usize {
    // a bucket's end belongs to it, as Prometheus counts
    let micros = u64::try_from(took.as_nanos().saturating_sub(1) / 1000).unwrap_or(u64::MAX);
    let bits = u64::BITS - micros.leading_zeros();
    (bits.saturating_sub(FIRST_BITS) as usize).min(BUCKETS - 1)
}

/// For the only writer: without the cost of a locked addition.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Meter {
    /// A response left. Only the executor that this meter belongs to calls it.
    pub fn record(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        add(&self.classes[class], 1);
        add(&self.buckets[bucket_of(took)], 1);
        add(&self.nanos, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds what this has counted.
    pub fn add_to(&self, reading: &mut Reading) {
        for (sum, counter) in reading.classes.iter_mut().zip(&self.classes) {
            *sum += counter.load(Relaxed);
        }
        for (sum, counter) in reading.buckets.iter_mut().zip(&self.buckets) {
            *sum += counter.load(Relaxed);
        }
        reading.total += Duration::from_nanos(self.nanos.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_falls_into_the_bucket_that_ends_at_or_behind_it() {
        for micros in [0, 1, 15, 16, 17, 100, 1_000, 4_194_304, 4_194_305, 60_000_000] {
            let took = Duration::from_micros(micros);
            let bucket = bucket_of(took);
            assert!(bucket_end(bucket).is_none_or(|end| took <= end), "{took:?} in {bucket}");
            let before = bucket.checked_sub(1).and_then(bucket_end);
            assert!(before.is_none_or(|end| took > end), "{took:?} in {bucket}");
        }
    }

    #[test]
    fn what_was_recorded_is_read() {
        let (one, other) = (Meter::default(), Meter::default());
        one.record(StatusCode::OK, Duration::from_micros(10));
        other.record(StatusCode::NOT_FOUND, Duration::from_micros(20));
        let mut reading = Reading::default();
        one.add_to(&mut reading);
        other.add_to(&mut reading);
        assert_eq!(reading.classes, [0, 1, 0, 1, 0]);
        assert_eq!(reading.buckets.iter().sum::<u64>(), 2);
        assert_eq!(reading.total, Duration::from_micros(30));
    }
}
