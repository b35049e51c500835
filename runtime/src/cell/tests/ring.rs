//! The queue of a lane.

use crate::cell::ring::Ring;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Step {
    PushBack,
    PushFront,
    PopBack,
    PopFront,
    TakeFrom(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::PushBack),
        1 => Just(Step::PushFront),
        1 => Just(Step::PopBack),
        3 => Just(Step::PopFront),
        1 => (0..5usize).prop_map(Step::TakeFrom),
    ]
}

proptest! {
    #[test]
    fn a_ring_is_a_queue(steps in prop::collection::vec(step(), 0..200)) {
        let (mut ring, mut queue) = (Ring::default(), VecDeque::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::PushBack => {
                    ring.push_back(number);
                    queue.push_back(number);
                }
                Step::PushFront => {
                    ring.push_front(number);
                    queue.push_front(number);
                }
                Step::PopBack => prop_assert_eq!(ring.pop_back(), queue.pop_back()),
                Step::PopFront => prop_assert_eq!(ring.pop_front(), queue.pop_front()),
                Step::TakeFrom(most) => {
                    let mut other = Ring::default();
                    other.take_from(&mut ring, most);
                    let taken = most.min(queue.len());
                    prop_assert_eq!(other.len(), taken);
                    for letter in queue.drain(..taken) {
                        prop_assert_eq!(other.pop_front(), Some(letter));
                    }
                }
            }
            prop_assert_eq!(ring.len(), queue.len());
            prop_assert_eq!(ring.front(), queue.front());
            prop_assert_eq!(ring.is_empty(), queue.is_empty());
        }
    }
}

#[test]
fn a_ring_grows_by_doubling_and_drops_what_it_holds() {
    let letter = std::sync::Arc::new(());
    let mut ring = Ring::default();
    assert_eq!(ring.capacity(), 0);
    for capacity in [1, 2, 4, 4, 8] {
        ring.push_back(letter.clone());
        assert_eq!(ring.capacity(), capacity);
    }
    drop(ring);
    assert_eq!(std::sync::Arc::strong_count(&letter), 1);
}
