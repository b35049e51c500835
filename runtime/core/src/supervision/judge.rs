//! Many children of one kind, each judged by itself: a poisoned one takes no other down.

use super::{RestartLimits, Restarts, Verdict};
use crate::random::Random;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Below this many remembered children it is not worth looking for those that can be forgotten.
const SWEEP_MIN: usize = 64;

/// Remembers only those that failed, and only for as long as it matters.
#[derive(Clone, Debug)]
pub struct Judge<K> {
    limits: RestartLimits,
    failed: BTreeMap<K, Restarts>,
    sweep_at: usize,
}

impl<K: Ord + Clone> Judge<K> {
    /// Nobody has failed yet.
    pub fn new(limits: RestartLimits) -> Self {
        Self { limits, failed: BTreeMap::new(), sweep_at: SWEEP_MIN }
    }

    /// Judges a failure of a child. One that is given up is forgotten: if it begins again after the quiet time, it
    /// does so without a past.
    pub fn failed(&mut self, child: &K, now: Timestamp, random: &mut Random) -> Verdict {
        if self.failed.len() >= self.sweep_at {
            self.failed.retain(|_, restarts| !restarts.is_over(&self.limits, now));
            self.sweep_at = SWEEP_MIN.max(2 * self.failed.len());
        }
        let verdict = self.failed.entry(child.clone()).or_default().failed(&self.limits, now, random);
        match verdict {
            Verdict::GiveUp { .. } => {
                self.failed.remove(child);
            }
            Verdict::RestartNow | Verdict::RestartAfter(_) => {}
        }
        verdict
    }

    /// How many children are remembered.
    pub fn remembered(&self) -> usize {
        self.failed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn judge() -> (Judge<u32>, Random) {
        (Judge::new(RestartLimits { restarts_max: 2, ..RestartLimits::default() }), Random::seeded(1))
    }

    #[test]
    fn a_child_that_fails_too_often_takes_no_other_down() {
        let (mut judge, mut random) = judge();
        for _ in 0..2 {
            judge.failed(&1, Timestamp::ZERO, &mut random);
        }
        let until = Timestamp::ZERO + RestartLimits::default().quiet;
        assert_eq!(judge.failed(&1, Timestamp::ZERO, &mut random), Verdict::GiveUp { until });
        assert_eq!(judge.failed(&2, Timestamp::ZERO, &mut random), Verdict::RestartNow);
        assert_eq!(judge.failed(&1, until, &mut random), Verdict::RestartNow, "all is forgiven by then");
    }

    #[test]
    fn those_that_have_been_quiet_are_forgotten() {
        let (mut judge, mut random) = judge();
        for child in 0..10_000u32 {
            let now = Timestamp::ZERO + Duration::from_secs(1) * child;
            judge.failed(&child, now, &mut random);
            assert!(judge.remembered() <= SWEEP_MIN + 1, "{} are remembered", judge.remembered());
        }
    }
}
