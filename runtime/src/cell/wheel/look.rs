//! What waits in a wheel, for whoever asks. Each shard is locked for itself, and not for long.

use super::{BUCKETS, NIL, Shard, Tick, Wheel};
use std::time::Duration;

/// Entries of one shard that are looked at, at the most.
const LOOKED_AT_MAX: usize = 4_096;

/// What waits in one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Entries that have not fired.
    pub(crate) count: usize,
    /// Those of them that are due, as far as they were looked at.
    pub(crate) overdue: usize,
    /// By how much the first of those is.
    pub(crate) overdue_by: Option<Duration>,
    /// When the next one is due, or earlier: what is removed may have been the next one of its bucket.
    pub(crate) next: Option<Duration>,
}

impl Wheel {
    /// What waits in each shard.
    pub(crate) fn look(&self) -> Vec<Pending> {
        let now = self.now();
        self.shards.iter().map(|line| line.shard.lock().look(now)).collect()
    }
}

impl Shard {
    fn look(&self, now: Tick) -> Pending {
        let mut pending = Pending { count: self.pending, ..Pending::default() };
        let (mut first, mut next, mut looked_at) = (Tick::NEVER, Tick::NEVER, 0);
        for bucket in &self.buckets[..BUCKETS] {
            if !bucket.earliest.passed(now) {
                next = next.earlier(bucket.earliest);
                continue;
            }
            let mut index = bucket.head;
            while index != NIL && looked_at < LOOKED_AT_MAX {
                looked_at += 1;
                let entry = &self.entries[index as usize];
                if entry.due.passed(now) {
                    pending.overdue += 1;
                    first = first.earlier(entry.due);
                } else {
                    next = next.earlier(entry.due);
                }
                index = entry.next;
            }
        }
        pending.overdue_by = (!first.is_never()).then(|| now.until(first));
        pending.next = (!next.is_never()).then(|| next.until(now));
        pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn tick(ms: u64) -> Tick {
        Tick::at(Duration::from_millis(ms))
    }

    #[test]
    fn what_is_late_and_what_comes_next_is_seen() {
        let wheel = Wheel::new(1);
        let keys: Vec<_> = [5, 90, 2_000, 9_000].map(|ms| wheel.add(tick(ms), Waker::noop().clone())).into();
        let look = |ms| wheel.shards[0].shard.lock().look(tick(ms));
        let early = look(1);
        assert_eq!((early.count, early.overdue, early.overdue_by), (4, 0, None));
        assert!(early.next.is_some_and(|next| next <= Duration::from_millis(5)), "{early:?}");
        let late = look(100);
        assert_eq!((late.count, late.overdue), (4, 2));
        assert!(late.overdue_by.is_some_and(|by| by.as_millis().abs_diff(95) < 4), "{late:?}");
        assert!(late.next.is_some_and(|next| next.as_millis().abs_diff(1_900) < 5), "{late:?}");
        keys.into_iter().for_each(|key| wheel.remove(key));
        assert_eq!((look(100).count, look(100).overdue), (0, 0));
    }
}
