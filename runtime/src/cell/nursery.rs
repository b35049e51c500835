//! Which new cells begin next on an executor. Its queue is first-in-first-out: where each cell makes ten others, all
//! of a tree would be alive before the first leaf ends. So only some of the newborn are in that queue at a time; the
//! others wait here, and the youngest begins next (depth first), except that one in [`SHARE`] is the oldest, so that
//! nobody waits for ever.

use parking_lot::Mutex;
use std::collections::VecDeque;

/// Most cells of one executor that are in its queue for the first time.
const NEWBORN_MAX: u32 = 64;
/// One in so many of those that waited is the oldest one. Each such turn may open another branch of a tree before the
/// last is done: with 64, 46,000 of a million cells were alive at once, with 256 330,000, with this 22,000.
const SHARE: u32 = 4096;

/// Puts a new cell into the queue of its executor.
pub(crate) type Birth = Box<dyn FnOnce() + Send>;

/// The new cells of one executor of a node.
#[derive(Default)]
pub(crate) struct Nursery(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the executor's queue, without having run.
    newborn: u32,
    /// Not in the queue yet, the oldest first. If there are any, some newborn will run and let them in.
    waiting: VecDeque<Birth>,
    /// How many were let in that had waited.
    turn: u32,
}

impl Nursery {
    /// Another cell is to be born: true if at once. Otherwise it was kept for later.
    pub(crate) fn admits(&self, birth: impl FnOnce() -> Birth) -> bool {
        let mut state = self.0.lock();
        let now = state.newborn < NEWBORN_MAX;
        if now {
            state.newborn += 1;
        } else {
            state.waiting.push_back(birth());
        }
        now
    }

    /// One has begun. What is given back is to be born in its place.
    pub(crate) fn begun(&self) -> Option<Birth> {
        let mut state = self.0.lock();
        if state.waiting.is_empty() {
            state.newborn = state.newborn.saturating_sub(1);
            if state.newborn == 0 {
                state.waiting.shrink_to(NEWBORN_MAX as usize);
            }
            return None;
        }
        state.turn = state.turn.wrapping_add(1);
        if state.turn.is_multiple_of(SHARE) { state.waiting.pop_front() } else { state.waiting.pop_back() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Cells numbered from 0 come in; those that were born, in order.
    fn born_of(count: u32) -> (Nursery, Arc<Mutex<Vec<u32>>>) {
        let (nursery, born) = (Nursery::default(), Arc::new(Mutex::new(Vec::new())));
        for number in 0..count {
            let later = born.clone();
            if nursery.admits(|| Box::new(move || later.lock().push(number))) {
                born.lock().push(number);
            }
        }
        (nursery, born)
    }

    #[test]
    fn few_begin_at_once() {
        let (nursery, born) = born_of(NEWBORN_MAX);
        assert_eq!(*born.lock(), (0..NEWBORN_MAX).collect::<Vec<_>>());
        assert!((0..NEWBORN_MAX).all(|_| nursery.begun().is_none()));
    }

    #[test]
    fn of_many_the_youngest_begin_next_and_the_oldest_are_not_forgotten() {
        let more = 4 * SHARE;
        let (nursery, born) = born_of(NEWBORN_MAX + more);
        assert_eq!(born.lock().len(), NEWBORN_MAX as usize, "no more than are let in at once");
        while let Some(birth) = nursery.begun() {
            birth();
        }
        let born = born.lock().split_off(NEWBORN_MAX as usize);
        assert_eq!(born[0], NEWBORN_MAX + more - 1);
        assert_eq!(born[SHARE as usize - 1], NEWBORN_MAX, "the oldest has its turn");
        assert_eq!(born.len(), more as usize);
        let (mut sorted, all) = (born.clone(), NEWBORN_MAX..NEWBORN_MAX + more);
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(all), "each is born once: {born:?}");
    }
}
