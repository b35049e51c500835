//! The models: senders, a driver, and what must hold at the end of every interleaving.

use super::bounds::Bounds;
use super::mailbox::{CROWDED, Hand, Joined, Letter, Mailbox, NoRoom, Pace, Ticket, URGENT};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicIsize, Ordering};
use loom::thread;
use odeon_core::outcome::Overflow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

const NORMAL: usize = 2;

/// All interleavings with at most three preemptions: what is wrong needs two as a rule (CHESS, Musuvathi et al.).
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A numbered letter of one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbered {
    sender: u8,
    number: u8,
    level: usize,
}

impl Letter for Numbered {
    fn level(&self) -> usize {
        self.level
    }
    fn weight(&self) -> u32 {
        1
    }
}

fn letter(sender: u8, number: u8) -> Numbered {
    Numbered { sender, number, level: NORMAL }
}

struct Cell {
    mailbox: Mailbox<Numbered>,
    pace: Pace,
    /// Stands for the waker of the driver's task.
    wake: Notify,
    /// Let in and not begun, as a strict observer counts; less than zero for a moment.
    inside: AtomicIsize,
}

impl Cell {
    fn new(count_max: u32, overflow: Overflow) -> Arc<Cell> {
        Arc::new(Cell {
            mailbox: Mailbox::new(Bounds { count_max, bytes_max: 1 << 20, overflow }),
            pace: Pace::default(),
            wake: Notify::new(),
            inside: AtomicIsize::new(0),
        })
    }

    fn push(&self, letter: Numbered) -> Result<usize, NoRoom> {
        let pushed = self.mailbox.room(letter.level, 1, &self.pace)?.put(letter);
        if pushed.wake {
            self.wake.notify();
        }
        Ok(pushed.shed.map_or(0, |shed| shed.0.len()))
    }

    /// The driver: handles until it has begun or been told of as many as were let in.
    fn drive(&self, hand: &mut Hand<Numbered>, until: usize) -> Vec<Numbered> {
        let mut seen = Vec::new();
        while seen.len() < until {
            let signal = self.pace.signal.load(Ordering::Relaxed);
            if signal & URGENT != 0 {
                self.mailbox.put_back(hand, &self.pace);
            }
            if let Some(letter) = hand.begin() {
                seen.push(letter);
                Mailbox::publish(hand, &self.pace);
                if signal & CROWDED != 0 {
                    self.mailbox.make_room(&self.pace);
                }
            } else if !self.mailbox.take(hand, &self.pace) {
                self.wake.wait();
            }
        }
        seen
    }
}

fn in_order(seen: &[Numbered], sender: u8) -> bool {
    seen.iter().filter(|l| l.sender == sender).map(|l| l.number).is_sorted()
}

/// Waits for room as a task would, on a thread of its own.
fn send_waiting(cell: &Cell, letter: Numbered) -> Result<(), Numbered> {
    let mut ticket: Option<Ticket> = None;
    loom::future::block_on(std::future::poll_fn(|cx: &mut Context<'_>| match ticket {
        Some(ticket) => cell.mailbox.poll_waiting(ticket, cx.waker()).map_err(|(_, letter)| letter),
        None => match cell.mailbox.join(letter, cx.waker(), &cell.pace) {
            Ok(Joined::Pushed(wake)) => {
                if wake {
                    cell.wake.notify();
                }
                Poll::Ready(Ok(()))
            }
            Ok(Joined::Waits(place)) => {
                ticket = Some(place);
                Poll::Pending
            }
            Err((_, letter)) => Poll::Ready(Err(letter)),
        },
    }))
}

#[test]
fn nothing_is_lost_no_wake_is_missed_and_each_sender_stays_in_order() {
    explore(|| {
        let cell = Cell::new(8, Overflow::Reject);
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let cell = cell.clone();
                thread::spawn(move || {
                    for number in 0..2 {
                        assert_eq!(cell.push(letter(sender, number)), Ok(0));
                    }
                })
            })
            .collect();
        // a missed wake would leave the driver waiting for ever, which loom reports
        let seen = cell.drive(&mut Hand::default(), 4);
        for sender in senders {
            sender.join().expect("a sender does not panic");
        }
        assert!(in_order(&seen, 0) && in_order(&seen, 1), "{seen:?}");
        assert_eq!(cell.mailbox.load(&cell.pace).count, 0);
    });
}

#[test]
fn the_bound_is_never_exceeded_and_what_is_let_in_is_handled() {
    explore(|| {
        let cell = Cell::new(1, Overflow::Reject);
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let cell = cell.clone();
                thread::spawn(move || cell.push(letter(sender, 0)).is_ok())
            })
            .collect();
        let mut hand = Hand::default();
        // room is given back by the driver alone; without it one letter fits
        let let_in: usize =
            senders.into_iter().map(|s| usize::from(s.join().expect("a sender does not panic"))).sum();
        assert_eq!(let_in, 1, "one fits, the other is refused");
        assert_eq!(cell.mailbox.load(&cell.pace).count, 1);
        assert_eq!(cell.drive(&mut hand, 1).len(), 1);
        assert_eq!(cell.push(letter(2, 0)), Ok(0), "room is given back");
    });
}

#[test]
fn the_bound_holds_while_the_driver_gives_room_back() {
    explore(|| {
        let cell = Cell::new(2, Overflow::Reject);
        let driver = {
            let cell = cell.clone();
            thread::spawn(move || {
                let mut hand = Hand::default();
                let mut begun = 0;
                for _ in 0..2 {
                    if cell.mailbox.take(&mut hand, &cell.pace) {
                        while hand.front().is_some() {
                            // a letter leaves the books only after it has begun
                            cell.inside.fetch_sub(1, Ordering::SeqCst);
                            hand.begin();
                            begun += 1;
                            Mailbox::publish(&hand, &cell.pace);
                        }
                    }
                }
                begun
            })
        };
        let mut let_in = 0;
        for number in 0..3 {
            match cell.push(letter(0, number)) {
                Ok(_) => {
                    let_in += 1;
                    let inside = cell.inside.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(inside <= 2, "{inside} inside a mailbox for two");
                }
                Err(why) => assert_eq!(why, NoRoom::Full),
            }
        }
        let begun = driver.join().expect("the driver does not panic");
        let left = cell.mailbox.load(&cell.pace).count as usize;
        assert_eq!(begun + left, let_in);
    });
}

#[test]
fn whoever_waits_gets_room_in_the_end() {
    explore(|| {
        let cell = Cell::new(1, Overflow::Wait);
        let sender = {
            let cell = cell.clone();
            thread::spawn(move || {
                for number in 0..2 {
                    assert_eq!(send_waiting(&cell, letter(0, number)), Ok(()));
                }
            })
        };
        let seen = cell.drive(&mut Hand::default(), 2);
        sender.join().expect("a sender does not panic");
        assert!(in_order(&seen, 0), "{seen:?}");
        let load = cell.mailbox.load(&cell.pace);
        assert_eq!((load.count, load.bytes), (0, 0));
    });
}

#[test]
fn whoever_stops_waiting_leaves_the_room_to_the_next() {
    explore(|| {
        let cell = Cell::new(1, Overflow::Wait);
        assert_eq!(cell.push(letter(9, 0)), Ok(0));
        // the first in line goes away at some moment
        let waker = Waker::noop();
        let ticket = match cell.mailbox.join(letter(0, 0), waker, &cell.pace) {
            Ok(Joined::Waits(ticket)) => ticket,
            other => panic!("{other:?}"),
        };
        let patient = {
            let cell = cell.clone();
            thread::spawn(move || assert_eq!(send_waiting(&cell, letter(1, 0)), Ok(())))
        };
        let quitter = {
            let cell = cell.clone();
            thread::spawn(move || {
                let (left, wake) = cell.mailbox.leave(ticket, &cell.pace);
                if wake {
                    cell.wake.notify();
                }
                left.is_some()
            })
        };
        let mut hand = Hand::default();
        let mut seen = Vec::new();
        // the patient one is the last in line
        while !seen.iter().any(|l: &Numbered| l.sender == 1) {
            seen.extend(cell.drive(&mut hand, 1));
        }
        let left = quitter.join().expect("it does not panic");
        patient.join().expect("it does not panic");
        let delivered = seen.iter().filter(|l| l.sender == 0).count();
        assert_eq!(delivered, usize::from(!left), "either it came back or it was delivered");
        assert_eq!(cell.mailbox.load(&cell.pace).count, 0);
    });
}

#[test]
fn closing_tells_those_who_wait_and_keeps_what_was_let_in() {
    explore(|| {
        let cell = Cell::new(1, Overflow::Wait);
        let sender = {
            let cell = cell.clone();
            thread::spawn(move || {
                (0..2).filter(|&number| send_waiting(&cell, letter(0, number)).is_ok()).count()
            })
        };
        cell.mailbox.close(&cell.pace);
        let let_in = sender.join().expect("a sender does not panic");
        let rest = cell.mailbox.clear(&mut Hand::default(), &cell.pace);
        assert_eq!(rest.len(), let_in);
        assert_eq!(cell.push(letter(1, 0)), Err(NoRoom::Closed));
    });
}

#[test]
fn a_push_beside_a_passivation_is_either_kept_or_refused() {
    explore(|| {
        let cell = Cell::new(4, Overflow::Reject);
        let sender = {
            let cell = cell.clone();
            thread::spawn(move || cell.push(letter(0, 0)))
        };
        let mut hand = Hand::default();
        let closed = cell.mailbox.close_if_empty(&hand);
        let pushed = sender.join().expect("a sender does not panic");
        match pushed {
            Ok(_) => {
                assert!(!closed, "closed over a letter that was let in");
                assert!(cell.mailbox.take(&mut hand, &cell.pace));
            }
            Err(why) => assert!(closed && why == NoRoom::Closed),
        }
    });
}

#[test]
fn a_more_critical_letter_is_noticed_and_nothing_in_hand_is_lost() {
    explore(|| {
        let cell = Cell::new(8, Overflow::Reject);
        for number in 0..2 {
            assert_eq!(cell.push(letter(0, number)), Ok(0));
        }
        let sender = {
            let cell = cell.clone();
            thread::spawn(move || assert_eq!(cell.push(Numbered { sender: 1, number: 0, level: 0 }), Ok(0)))
        };
        let seen = cell.drive(&mut Hand::default(), 3);
        sender.join().expect("a sender does not panic");
        assert!(in_order(&seen, 0), "{seen:?}");
        assert_eq!(seen.iter().filter(|l| l.sender == 1).count(), 1);
    });
}
