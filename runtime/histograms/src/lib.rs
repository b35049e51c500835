//! The histograms that openraft keeps of its own work. It takes them from a crate of this name, which makes 26 MB of tables
//! when the first one is asked for; of that crate's interface this has what openraft calls, and no tables.
//!
//! A value is counted with all others that have as many bits: what is said of percentiles is exact to a factor of two.

use std::fmt;
use std::marker::PhantomData;

/// One for each number of bits, 0 to 64.
const BUCKETS: usize = u64::BITS as usize + 1;

/// Counts of values by their size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    /// Upstream's kind of data for each of several histograms in one; there is one here.
    data: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], data: PhantomData }
    }
}

/// Up to which value a share of all values is. Zeros if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    /// Values that were counted.
    pub samples: u64,
    /// Of 0.1 %.
    pub p0_1: u64,
    /// Of 1 %.
    pub p1: u64,
    /// Of 5 %.
    pub p5: u64,
    /// Of 10 %.
    pub p10: u64,
    /// Of half.
    pub p50: u64,
    /// Of 90 %.
    pub p90: u64,
    /// Of 99 %.
    pub p99: u64,
    /// Of 99.9 %.
    pub p99_9: u64,
}

impl<T> Histogram<T> {
    /// Without a value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value so many times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        let bits = u64::BITS - value.leading_zeros();
        let count = &mut self.counts[bits as usize];
        *count = count.saturating_add(times);
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// The largest value with as many bits as the one that so many per mille of all do not exceed.
    fn per_mille(&self, share: u128) -> u64 {
        let wanted = (u128::from(self.total()) * share).div_ceil(1_000);
        let mut below = 0_u128;
        for (bits, count) in (0_u32..).zip(&self.counts) {
            below += u128::from(*count);
            if *count > 0 && below >= wanted {
                return u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0);
            }
        }
        0
    }

    /// The percentiles that openraft shows.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.per_mille(1),
            p1: self.per_mille(10),
            p5: self.per_mille(50),
            p10: self.per_mille(100),
            p50: self.per_mille(500),
            p90: self.per_mille(900),
            p99: self.per_mille(990),
            p99_9: self.per_mille(999),
        }
    }
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "{samples} values: half up to {p50}, 90 % {p90}, 99 % {p99}, 99.9 % {p99_9}")
    }
}

/// Several histograms, a line each.
#[derive(Clone, Debug)]
pub struct AsciiChart<T = ()> {
    lines: Vec<(String, Histogram<T>)>,
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self { lines: Vec::new() }
    }
}

impl<T> AsciiChart<T> {
    /// Without one.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.lines.push((name.to_owned(), histogram));
        self
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.lines {
            writeln!(f, "{name}: {}", histogram.percentile_stats())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values_to_a_factor_of_two() {
        let mut histogram = Histogram::<()>::new();
        (1..=1_000).for_each(|value| histogram.record(value));
        let told = histogram.percentile_stats();
        assert_eq!(told.samples, 1_000);
        let exact = [(told.p0_1, 1), (told.p1, 10), (told.p5, 50), (told.p10, 100), (told.p50, 500)];
        for (told, exact) in exact.into_iter().chain([(told.p90, 900), (told.p99, 990), (told.p99_9, 999)]) {
            assert!(exact <= told && told < 2 * exact, "{told} for {exact}");
        }
    }

    #[test]
    fn no_value_is_too_small_or_too_large() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats().p50, 0);
        histogram.record(0);
        assert_eq!(histogram.percentile_stats().p99_9, 0);
        histogram.record_n(u64::MAX, u64::MAX);
        let told = histogram.percentile_stats();
        assert_eq!((told.samples, told.p50), (u64::MAX, u64::MAX));
        assert!(AsciiChart::new().add("one", histogram).to_string().starts_with("one: "));
    }
}
