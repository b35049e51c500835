//! Laws of delivery: whatever connections do, frames arrive once and in order, windows keep their bounds, and the
//! books balance.

use super::window::{WINDOW_MAX, WINDOW_MIN};
use super::{Books, CallEnd, Inbound, Loss, Outbound, Receipt, Window};
use proptest::prelude::*;
use std::collections::VecDeque;

/// What may happen between two nodes.
#[derive(Clone, Debug)]
enum Event {
    /// A batch of so many frames is sent.
    Push(u64),
    /// The writer hands a batch to the connection.
    HandOver,
    /// The connection brings so many frames.
    Arrive(usize),
    /// The receiver's count comes back.
    Acknowledge,
    /// The connection breaks, with all that is on it, and another takes its place.
    Reconnect,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..6_u64).prop_map(Event::Push),
        4 => Just(Event::HandOver),
        4 => (1..9_usize).prop_map(Event::Arrive),
        2 => Just(Event::Acknowledge),
        1 => Just(Event::Reconnect),
    ]
}

/// A lane between two nodes; frames are numbers.
#[derive(Default)]
struct Lane {
    out: Outbound<Vec<u64>>,
    inbound: Inbound,
    next: u64,
    wire: VecDeque<u64>,
    taken: Vec<u64>,
}

impl Lane {
    fn happens(&mut self, event: &Event) {
        match event {
            Event::Push(frames) => {
                let batch: Vec<u64> = (self.next..self.next + frames).collect();
                self.next += frames;
                self.out.push(*frames, batch.len() * 10, batch);
            }
            Event::HandOver => {
                self.wire.extend(self.out.hand_over().into_iter().flatten().map(|frame| *frame))
            }
            Event::Arrive(count) => {
                for frame in self.wire.drain(..(*count).min(self.wire.len())) {
                    if self.inbound.take() {
                        self.taken.push(frame);
                    }
                }
            }
            Event::Acknowledge => {
                self.out.received(self.inbound.received()).expect("what was received was sent");
            }
            Event::Reconnect => {
                self.wire.clear();
                let resumption = self.out.resume(self.inbound.received()).expect("it was sent");
                self.inbound.begin(resumption.first).expect("nothing is missing");
            }
        }
    }
}

proptest! {
    #[test]
    fn each_frame_arrives_once_and_in_order_over_any_number_of_connections(
        events in proptest::collection::vec(event(), 0..200),
    ) {
        let mut lane = Lane::default();
        for event in &events {
            lane.happens(event);
            prop_assert!(lane.taken.iter().copied().eq(0..lane.taken.len() as u64));
            prop_assert!(lane.inbound.received() <= lane.out.untold(), "what was never sent cannot arrive");
        }
        for event in [Event::Reconnect].into_iter().chain((0..200).map(|_| Event::HandOver)) {
            lane.happens(&event);
        }
        lane.happens(&Event::Arrive(usize::MAX));
        lane.happens(&Event::Acknowledge);
        prop_assert_eq!(lane.taken.len() as u64, lane.next);
        prop_assert!(lane.out.is_empty() && lane.out.bytes() == 0);
    }

    #[test]
    fn a_window_is_never_overdrawn_and_stays_within_its_bounds(
        steps in proptest::collection::vec((0..4_u8, 0..2_000_u32), 0..400),
    ) {
        let mut window = Window::default();
        let mut out = 0_u32;
        for (what, count) in steps {
            match what {
                0 | 1 => for _ in 0..count {
                    let before = window.limit();
                    if window.try_take() {
                        out += 1;
                        prop_assert!(out <= before);
                    }
                },
                2 => { window.settle(count); out -= count.min(out); }
                _ => window.narrow(),
            }
            prop_assert_eq!(window.out(), out);
            prop_assert!((WINDOW_MIN..=WINDOW_MAX).contains(&window.limit()));
        }
        window.settle(out);
        prop_assert!(window.has_room(), "nobody is kept out for ever");
    }

    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0..7_u8, 0..20_u64), 0..200)) {
        let mut books = Books::default();
        let mut receipt = Receipt::default();
        let (mut casts, mut calls) = (0, 0);
        for (what, count) in steps {
            match what {
                0 => { books.add_cast(); casts += 1; }
                1 => { books.add_call(); calls += 1; }
                2 if calls > 0 => {
                    let ends = [CallEnd::Begun, CallEnd::Refused("shed"), CallEnd::Unknown(Loss::CallerLeft)];
                    books.settle_call(ends[count as usize % 3]);
                    calls -= 1;
                }
                3 if casts > 0 => { receipt.handled += 1; casts -= 1; }
                4 if casts > 0 => { receipt.expired += 1; casts -= 1; }
                5 if casts > 0 => { receipt.add_refused("mailbox-full"); casts -= 1; }
                6 => { books.settle_casts(receipt.clone()).expect("it only grows"); }
                _ => {}
            }
            let refused: u64 = books.refused().values().sum();
            let lost: u64 = books.lost().values().sum();
            prop_assert_eq!(books.sent(), books.handled() + books.expired() + refused + lost + books.open());
        }
        books.settle_casts(receipt).expect("it only grows");
        prop_assert_eq!(books.open(), casts + calls);
        prop_assert_eq!(books.lose(Loss::Link), casts + calls);
        prop_assert_eq!(books.open(), 0);
    }
}

#[test]
fn a_receiver_cannot_have_what_was_never_sent() {
    let mut out = Outbound::default();
    out.push(3, 30, ());
    assert_eq!(out.received(1).expect_err("nothing was handed over").sent, 0);
    out.hand_over();
    assert_eq!(out.received(3), Ok(30));
    assert!(out.resume(4).is_err());
}

#[test]
fn only_what_no_connection_ever_got_is_unsent() {
    let mut out = Outbound::default();
    for (frames, name) in [(3, 'a'), (1, 'b'), (2, 'c')] {
        out.push(frames, 1, name);
    }
    out.hand_over();
    assert_eq!(out.unsent(2), None, "it may have arrived");
    assert_eq!(out.unsent(3), Some((&mut 'b', 0)));
    assert_eq!(out.unsent(5), Some((&mut 'c', 1)));
    assert_eq!(out.unsent(6), None, "there is none");
    out.received(3).expect("it was sent");
    assert_eq!(out.unsent(4), Some((&mut 'c', 0)));
    out.resume(3).expect("it was sent");
    assert_eq!(out.unsent(3), Some((&mut 'b', 0)));
}

#[test]
fn a_lane_that_begins_behind_a_gap_is_refused() {
    let mut inbound = Inbound::default();
    inbound.begin(0).expect("the beginning");
    assert!(inbound.take());
    assert_eq!(inbound.begin(2).expect_err("frame 1 is missing").received, 1);
}

#[test]
fn a_window_widens_only_while_it_is_wanted_and_narrows_when_there_is_no_room() {
    let mut window = Window::default();
    for _ in 0..10_000 {
        assert!(window.try_take());
        window.settle(1);
    }
    assert_eq!(window.limit(), WINDOW_MIN, "it was never too small");
    for _ in 0..20 {
        while window.try_take() {}
        window.settle(u32::MAX);
    }
    assert_eq!(window.limit(), WINDOW_MAX);
    window.narrow();
    assert_eq!(window.limit(), WINDOW_MAX / 2);
}

#[test]
fn a_receipt_that_takes_something_back_or_speaks_of_what_was_not_sent_is_refused() {
    let mut books = Books::default();
    (0..3).for_each(|_| books.add_cast());
    assert_eq!(books.settle_casts(Receipt { handled: 2, ..Receipt::default() }), Ok(2));
    assert!(books.settle_casts(Receipt { handled: 1, expired: 2, ..Receipt::default() }).is_err());
    assert!(books.settle_casts(Receipt { handled: 4, ..Receipt::default() }).is_err());
    assert_eq!(books.open(), 1);
}

#[test]
fn reasons_without_end_are_counted_under_one_name() {
    let mut receipt = Receipt::default();
    (0..1_000).for_each(|n| receipt.add_refused(&format!("reason {n}")));
    assert!(receipt.refused.len() <= Receipt::REASONS_MAX + 1);
    assert_eq!(receipt.settled(), 1_000);
}

#[test]
fn books_of_two_sessions_say_what_both_say() {
    let mut first = Books::default();
    (0..5).for_each(|_| first.add_cast());
    let told = Receipt { handled: 1, expired: 1, refused: [("shed".into(), 1)].into() };
    assert_eq!(first.settle_casts(told.clone()), Ok(3));
    assert_eq!(first.lose(Loss::Link), 2);
    let mut second = Books::default();
    (0..4).for_each(|_| second.add_cast());
    second.add_call();
    second.settle_call(CallEnd::Refused("shed"));
    assert_eq!(second.settle_casts(told), Ok(3));
    second.add(&first);
    assert_eq!((second.sent(), second.handled(), second.expired()), (10, 2, 2));
    assert_eq!(second.refused(), [("shed", 3)].into());
    assert_eq!((second.lost()[&Loss::Link], second.open()), (2, 1));
}
