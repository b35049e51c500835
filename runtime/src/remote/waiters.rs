//! Senders that wait for room, in the order in which they came.
//!
//! A sender may give up at any moment, and may ask again before it was woken: when a list would grow it first forgets
//! those. So it is never twice as long as the most who have waited at one time, however many come and go.

use futures_util::task::AtomicWaker;
use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Weak};

/// What wakes one sender. It waits nowhere any more once this is dropped.
pub(super) type Bell = Arc<AtomicWaker>;

/// Senders that wait for the same.
#[derive(Default)]
pub(super) struct Waiters(Vec<Weak<AtomicWaker>>);

impl Waiters {
    /// One more, if it is one that waits.
    pub(super) fn add(&mut self, bell: Option<&Bell>) {
        let Some(bell) = bell else { return };
        if self.0.len() == self.0.capacity() {
            let mut known = BTreeSet::new();
            self.0.retain(|waiting| waiting.strong_count() > 0 && known.insert(waiting.as_ptr().addr()));
            // so that as many may come as wait before they are looked through again
            self.0.shrink_to(2 * self.0.len());
            self.0.reserve(self.0.len().max(4));
        }
        self.0.push(Arc::downgrade(bell));
    }

    /// All, who wait here no more.
    pub(super) fn take(&mut self) -> Self {
        mem::take(self)
    }

    /// Those of another list come behind these, and leave it.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.living().count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.living().next().is_none()
    }

    fn living(&self) -> impl Iterator<Item = &Weak<AtomicWaker>> {
        let mut known = BTreeSet::new();
        self.0
            .iter()
            .filter(move |waiting| waiting.strong_count() > 0 && known.insert(waiting.as_ptr().addr()))
    }

    /// Wakes all. Wakers are code of others: not for a caller that holds a lock.
    pub(super) fn wake(self) {
        for bell in self.0 {
            if let Some(bell) = bell.upgrade() {
                bell.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn bell(counts: &Arc<Counts>) -> Bell {
        let bell = Bell::default();
        bell.register(&Waker::from(counts.clone()));
        bell
    }

    #[test]
    fn those_who_have_given_up_take_no_room() {
        let (mut waiters, counts) = (Waiters::default(), Arc::<Counts>::default());
        let staying: Vec<Bell> = (0..10).map(|_| bell(&counts)).collect();
        for round in 0..10_000 {
            waiters.add(Some(&bell(&counts)));
            if let Some(staying) = staying.get(round) {
                waiters.add(Some(staying));
            }
        }
        assert!(waiters.0.capacity() <= 2 * (staying.len() + 1), "room for {}", waiters.0.capacity());
        waiters.wake();
        assert_eq!(counts.0.load(Ordering::Relaxed), staying.len());
    }

    #[test]
    fn who_asks_again_and_again_waits_once() {
        let (mut waiters, counts) = (Waiters::default(), Arc::<Counts>::default());
        let impatient = bell(&counts);
        for _ in 0..10_000 {
            waiters.add(Some(&impatient));
        }
        assert!(waiters.0.capacity() <= 8, "room for {}", waiters.0.capacity());
    }

    #[test]
    fn who_came_first_is_woken_first() {
        struct Says(usize, Arc<parking_lot::Mutex<Vec<usize>>>);
        impl Wake for Says {
            fn wake(self: Arc<Self>) {
                self.1.lock().push(self.0);
            }
        }
        let (mut waiters, woken) = (Waiters::default(), Arc::default());
        let bells: Vec<Bell> = (0..100)
            .map(|n| {
                let bell = Bell::default();
                bell.register(&Waker::from(Arc::new(Says(n, Arc::clone(&woken)))));
                bell
            })
            .collect();
        bells.iter().for_each(|bell| waiters.add(Some(bell)));
        waiters.wake();
        assert_eq!(*woken.lock(), (0..100).collect::<Vec<_>>());
    }
}
