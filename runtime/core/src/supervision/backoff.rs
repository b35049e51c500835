//! How long to wait before the next attempt.
//!
//! Exponential backoff with "full jitter": Marc Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog,
//! 2015. The whole wait is drawn, so that those who failed together do not come back together.

use crate::random::Random;
use std::time::Duration;

/// Waits that grow from attempt to attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The most that the first wait can be.
    pub min: Duration,
    /// The most that any wait can be.
    pub max: Duration,
}

impl Backoff {
    /// The most that the wait before an attempt can be: `min` for attempt 0, doubled for each further one, up to
    /// `max`.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doubled = 1u32.checked_shl(attempt).and_then(|factor| self.min.checked_mul(factor));
        doubled.map_or(self.max, |wait| wait.min(self.max))
    }

    /// The wait before an attempt: anything from zero to [`Backoff::ceiling`], equally likely.
    pub fn wait(&self, attempt: u32, random: &mut Random) -> Duration {
        let nanos = u64::try_from(self.ceiling(attempt).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(random.below(nanos.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(10) };

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let ceilings: Vec<u128> = (0..9).map(|attempt| BACKOFF.ceiling(attempt).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(BACKOFF.ceiling(u32::MAX), BACKOFF.max);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let mut random = Random::seeded(1);
        let waits: Vec<Duration> = (0..1_000).map(|_| BACKOFF.wait(3, &mut random)).collect();
        let mean = waits.iter().sum::<Duration>() / 1_000;
        assert!((360..440).contains(&mean.as_millis()), "{mean:?} should be about half of 800ms");
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(40)), "some come almost at once");
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_its_ceiling(seed: u64, attempt: u32, min: u32, max: u32) {
            let backoff = Backoff {
                min: Duration::from_nanos(min.into()),
                max: Duration::from_nanos(max.into()),
            };
            let wait = backoff.wait(attempt, &mut Random::seeded(seed));
            prop_assert!(wait <= backoff.ceiling(attempt));
            prop_assert!(wait <= backoff.max);
        }
    }
}
