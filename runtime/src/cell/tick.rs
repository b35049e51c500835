//! Coarse time of a node: what deadlines are counted in.

use std::time::Duration;

/// A point of a node's time in units of 2^20 ns (about 1.05 ms), compared wrapping: differences are right up to
/// 26 days. Odd values only; zero means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick(u32);

impl Tick {
    /// No deadline.
    pub const NEVER: Tick = Tick(0);
    const SHIFT: u32 = 20;

    /// The tick of a duration since the node's start.
    pub fn at(since_start: Duration) -> Tick {
        Tick((since_start.as_nanos() >> Self::SHIFT) as u32 | 1)
    }

    /// Whether there is no deadline.
    pub fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether this deadline has passed at `now`; never, if there is none.
    pub fn passed(self, now: Tick) -> bool {
        !self.is_never() && self.0.wrapping_sub(now.0) as i32 <= 0
    }

    /// Whether this is strictly earlier than `other`. Neither may be `NEVER`.
    pub fn before(self, other: Tick) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// The earlier of two deadlines, either of which may be `NEVER`.
    #[must_use]
    pub fn earlier(self, other: Tick) -> Tick {
        match (self.is_never(), other.is_never()) {
            (true, _) => other,
            (_, true) => self,
            _ if other.before(self) => other,
            _ => self,
        }
    }

    /// Longest time between now and a deadline: 12 days. A longer one is cut to it.
    pub const SPAN_MAX: Duration = Duration::from_secs(12 * 24 * 3600);

    /// This much later, rounded up to whole ticks; [`Tick::SPAN_MAX`] at the most.
    #[must_use]
    pub fn plus(self, d: Duration) -> Tick {
        let ticks = (d.min(Self::SPAN_MAX).as_nanos() >> Self::SHIFT) as u32;
        Tick(self.0.wrapping_add(ticks).wrapping_add(1) | 1)
    }

    /// Time from `now` until this; zero if it has passed.
    pub fn until(self, now: Tick) -> Duration {
        let ticks = self.0.wrapping_sub(now.0) as i32;
        Duration::from_nanos((ticks.max(0) as u64) << Self::SHIFT)
    }

    /// The position of this tick for a wheel of the given number of buckets.
    pub(crate) fn raw(self) -> u32 {
        self.0
    }

    /// What [`Tick::raw`] gave.
    pub(crate) fn from_raw(raw: u32) -> Tick {
        Tick(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_compare_across_the_wrap() {
        let late = Tick(u32::MAX);
        let wrapped = late.plus(Duration::from_millis(10));
        assert!(late.before(wrapped));
        assert!(!wrapped.passed(late));
        assert!(late.passed(wrapped));
        assert_eq!(late.earlier(wrapped), late);
        assert_eq!(Tick::NEVER.earlier(late), late);
    }

    #[test]
    fn no_duration_is_so_long_that_it_has_passed() {
        let now = Tick::at(Duration::from_secs(5));
        for days in [1, 12, 13, 26, 30, 60, 100_000] {
            let due = now.plus(Duration::from_secs(days * 24 * 3600));
            assert!(!due.passed(now), "{days} days");
        }
        assert!(!now.plus(Duration::MAX).passed(now));
    }

    #[test]
    fn a_deadline_is_never_early() {
        let now = Tick::at(Duration::from_nanos((1 << 21) - 1));
        let due = now.plus(Duration::from_millis(50));
        assert!(due.until(now) >= Duration::from_millis(50), "{:?}", due.until(now));
    }
}
