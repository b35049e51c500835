//! Latencies with a bounded relative error, as in HdrHistogram (Gil Tene): buckets that are linear within each
//! power of two.

use std::time::Duration;

/// Buckets of each power of two, as a power of two: an error of at most 1/128, below 0.8 %.
const PRECISION_BITS: u32 = 7;
const BUCKETS: usize = ((64 - PRECISION_BITS as usize) + 1) << PRECISION_BITS;

/// How often each latency was seen.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

/// The bucket of a number of nanoseconds.
fn bucket(nanos: u64) -> usize {
    let above = (u64::BITS - nanos.leading_zeros()).saturating_sub(PRECISION_BITS + 1);
    ((above as usize) << PRECISION_BITS) + (nanos >> above) as usize
}

/// The largest number of nanoseconds in a bucket.
fn upper(bucket: usize) -> u64 {
    let above = (bucket >> PRECISION_BITS).saturating_sub(1);
    let within = (bucket - (above << PRECISION_BITS)) as u64;
    ((within + 1) << above) - 1
}

impl Histogram {
    /// One more.
    pub(super) fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// All of another.
    pub(super) fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The longest.
    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The time within which this share of them was, `0.0..=1.0`; nothing when there is none.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper(bucket).min(self.max));
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket_and_the_bucket_is_narrow() {
        for shift in 0..62 {
            for nanos in [1u64 << shift, (1 << shift) + (1 << shift) / 3, (2 << shift) - 1] {
                let at = bucket(nanos);
                assert!(upper(at) >= nanos, "{nanos}");
                assert!(at == 0 || upper(at - 1) < nanos, "{nanos}");
                assert!((upper(at) - nanos) as f64 <= nanos as f64 / 128.0, "{nanos}");
            }
        }
    }

    #[test]
    fn a_quantile_is_the_time_within_which_that_share_was() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let close = |share: f64, ms: f64| {
            let found = histogram.quantile(share).as_secs_f64() * 1e3;
            assert!((found - ms).abs() <= ms / 100.0, "{share}: {found}");
        };
        close(0.5, 500.0);
        close(0.9, 900.0);
        close(0.999, 999.0);
        assert_eq!(histogram.quantile(1.0), Duration::from_secs(1));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn two_added_are_as_one() {
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        left.record(Duration::from_millis(1));
        right.record(Duration::from_millis(9));
        left.add(&right);
        assert_eq!((left.total(), left.max()), (2, Duration::from_millis(9)));
    }
}
