//! Lines: who waits, in which order, for how long; and pieces of what entities left.

use super::handoff::{Ending, Epochs, Takeover};
use super::line::{Held, Lines, Room};
use super::{Left, Placed, Placement};
use crate::cell::port::Port;
use bytes::Bytes;
use odeon_core::placement::SlotId;
use odeon_core::{Refusal, ServiceName};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(3_600);

type Said = Arc<Mutex<Vec<String>>>;

/// A message that says what becomes of it. It can go once somebody is there.
struct Note {
    name: &'static str,
    bytes: usize,
    left: Option<Duration>,
    said: Said,
    is_there: Arc<Mutex<bool>>,
}

impl Held for Note {
    fn send(self: Box<Self>) -> Result<Option<Room>, Box<dyn Held>> {
        if !*self.is_there.lock() {
            return Err(self);
        }
        self.said.lock().push(format!("{} went", self.name));
        Ok(None)
    }

    fn refuse(self: Box<Self>, why: Refusal) {
        self.said.lock().push(format!("{} {}", self.name, why.name()));
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn left(&self) -> Option<Duration> {
        self.left
    }
}

#[derive(Default)]
struct Desk {
    lines: Lines,
    said: Said,
    is_there: Arc<Mutex<bool>>,
}

impl Desk {
    fn slot(&self) -> (ServiceName, SlotId) {
        ("shop".parse().expect("a name"), SlotId::ONLY)
    }

    fn push(&self, name: &'static str, bytes: usize, now: Instant) {
        self.push_with(name, bytes, None, now);
    }

    fn push_with(&self, name: &'static str, bytes: usize, left: Option<Duration>, now: Instant) {
        let (service, slot) = self.slot();
        let note = Note { name, bytes, left, said: self.said.clone(), is_there: self.is_there.clone() };
        self.lines.push(&service, slot, Box::new(note), now);
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock())
    }
}

#[tokio::test]
async fn what_waits_goes_in_its_order_once_its_receiver_is_somewhere() {
    let (desk, now) = (Desk::default(), Instant::now());
    assert!(desk.lines.are_empty());
    desk.push("a", 1, now);
    desk.push("b", 1, now);
    assert_eq!(desk.lines.waiting(now), [desk.slot()]);
    desk.lines.empty(&desk.slot()).await;
    assert!(desk.said().is_empty() && desk.lines.has(&desk.slot().0, desk.slot().1), "nobody is there");
    assert!(desk.lines.waiting(now).is_empty(), "it is not tried again at once");
    assert_eq!(desk.lines.waiting(now + LONG), [desk.slot()]);
    *desk.is_there.lock() = true;
    desk.push("c", 1, now);
    desk.lines.empty(&desk.slot()).await;
    assert_eq!(desk.said(), ["a went", "b went", "c went"]);
    assert!(desk.lines.are_empty(), "whoever comes now need not wait");
}

#[test]
fn what_has_waited_too_long_is_refused_and_what_is_younger_is_not() {
    let (desk, now) = (Desk::default(), Instant::now());
    let later = |seconds| now + Duration::from_secs(seconds);
    desk.push("old", 1, now);
    desk.push("young", 1, later(4));
    desk.lines.expire(later(6), |_, _| "nobody is there");
    assert_eq!(desk.said(), ["old unplaced"]);
    desk.lines.expire(later(10), |_, _| "nobody is there");
    assert_eq!(desk.said(), ["young unplaced"]);
    assert!(desk.lines.are_empty());
}

#[tokio::test]
async fn what_nobody_is_about_to_wait_for_any_more_is_refused_while_its_caller_still_listens() {
    let (desk, now) = (Desk::default(), Instant::now());
    let later = |milliseconds| now + Duration::from_millis(milliseconds);
    let within = |milliseconds| Some(Duration::from_millis(milliseconds));
    desk.push_with("patient", 1, within(3_000), now);
    desk.push_with("hasty", 1, within(100), now);
    desk.push_with("late", 1, within(1), later(10));
    desk.push("idle", 1, now);
    desk.lines.expire(later(10), |_, _| "nobody is there");
    assert_eq!(desk.said(), ["late unplaced"]);
    desk.lines.expire(later(79), |_, _| "nobody is there");
    assert!(desk.said().is_empty());
    desk.lines.expire(later(99), |_, _| "nobody is there");
    assert_eq!(desk.said(), ["hasty unplaced"]);
    desk.lines.empty(&desk.slot()).await;
    desk.lines.expire(later(2_999), |_, _| "nobody is there");
    assert_eq!(desk.said(), ["patient unplaced"], "it was put back with what it had left");
    *desk.is_there.lock() = true;
    desk.lines.empty(&desk.slot()).await;
    assert_eq!(desk.said(), ["idle went"]);
    assert!(desk.lines.are_empty());
}

/// A message for which there is room when it is told so.
struct Large(Arc<Notify>);

impl Held for Large {
    fn send(self: Box<Self>) -> Result<Option<Room>, Box<dyn Held>> {
        Ok(Some(Box::pin(async move { self.0.notified().await })))
    }

    fn refuse(self: Box<Self>, _: Refusal) {}

    fn bytes(&self) -> usize {
        1
    }

    fn left(&self) -> Option<Duration> {
        None
    }
}

#[tokio::test]
async fn what_waits_behind_one_that_waits_for_room_waits_no_longer_than_others() {
    let (desk, now, room) = (Desk::default(), Instant::now(), Arc::new(Notify::new()));
    *desk.is_there.lock() = true;
    let (service, slot) = desk.slot();
    desk.lines.push(&service, slot, Box::new(Large(room.clone())), now);
    desk.push_with("hasty", 1, Some(Duration::from_millis(100)), now);
    desk.push("idle", 1, now);
    let place = desk.slot();
    let mut emptying = std::pin::pin!(desk.lines.empty(&place));
    assert!(futures_util::poll!(&mut emptying).is_pending(), "there is no room");
    desk.lines.expire(now + Duration::from_secs(1), |_, _| "there is no room");
    assert_eq!(desk.said(), ["hasty unplaced"]);
    room.notify_one();
    emptying.await;
    assert_eq!(desk.said(), ["idle went"]);
    assert!(desk.lines.are_empty());
}

#[test]
fn a_line_is_bounded_in_messages_and_in_bytes() {
    let (desk, now) = (Desk::default(), Instant::now());
    (0..1_100).for_each(|_| desk.push("one", 1, now));
    assert_eq!(desk.said().len(), 1_100 - 1_024);
    let desk = Desk::default();
    (0..10).for_each(|_| desk.push("large", 1 << 20, now));
    assert_eq!(desk.said(), vec!["large mailbox-full"; 6]);
}

/// A service that takes what entities left.
#[derive(Default)]
struct Shelf {
    taken: Mutex<Vec<Left>>,
    name: Option<ServiceName>,
}

impl Placed for Shelf {
    fn service(&self) -> &ServiceName {
        self.name.as_ref().expect("it has one")
    }
    fn begin(&self) -> bool {
        true
    }
    fn cells(&self, _: Option<&BTreeSet<SlotId>>) -> Vec<Arc<dyn Port>> {
        Vec::new()
    }
    fn left(&self, _: &BTreeSet<SlotId>) -> Vec<(Arc<str>, Bytes)> {
        Vec::new()
    }
    fn lose(&self, _: &BTreeSet<SlotId>) {}
    fn forget(&self, _: &dyn Fn(SlotId) -> Option<u64>) {}
    fn take(&self, left: Left) {
        self.taken.lock().push(left);
    }
}

/// One on a node, and what takes for it. The placement has to be kept.
fn shelf() -> (Arc<Shelf>, Arc<Placement>, Takeover) {
    let shelf = Arc::new(Shelf { name: Some("shop".parse().expect("a name")), ..Shelf::default() });
    let placement = Arc::new(Placement::default());
    placement.add(shelf.clone());
    let takeover = Takeover::new(&placement);
    (shelf, placement, takeover)
}

#[test]
fn what_entities_left_is_taken_once_all_pieces_have_come_in_order() {
    let (shelf, _placement, takeover) = shelf();
    let from = "north".parse().expect("a name");
    let left = [
        Left { key: "a".into(), state: vec![1; 600_000].into(), epoch: 7 },
        Left { key: "b".into(), state: Bytes::from_static(b"2"), epoch: 8 },
    ];
    let pieces = super::handoff::pieces(&"shop".parse().expect("a name"), 1, &left);
    assert!(pieces.len() > 1);
    let now = Instant::now();
    let take = |piece: &Bytes| takeover.take(&from, piece, now);
    // the second attempt is the one that counts
    take(&pieces[0]).expect("it is the first");
    assert!(take(&pieces[0]).is_ok(), "it begins again");
    for piece in &pieces[1..] {
        take(piece).expect("it follows");
    }
    assert_eq!(*shelf.taken.lock(), left);
    assert!(take(&pieces[1]).expect_err("nothing came before").contains("a piece is missing"));
    assert!(takeover.take(&from, b"nonsense", now).is_err());
    let other = super::handoff::pieces(&"other".parse().expect("a name"), 1, &left);
    assert!(take(&other[0]).expect_err("nobody has it").contains("no such service"));
}

#[test]
fn attempts_that_broke_off_hold_up_no_later_one() {
    let (shelf, _placement, takeover) = shelf();
    let left = [Left { key: "a".into(), state: vec![1; 600_000].into(), epoch: 7 }];
    let pieces = |attempt| super::handoff::pieces(&"shop".parse().expect("a name"), attempt, &left);
    let (from, now) = ("north".parse().expect("a name"), Instant::now());
    for attempt in 0..16 {
        takeover.take(&from, &pieces(attempt)[0], now).expect("there is room");
    }
    let refused = takeover.take(&from, &pieces(16)[0], now).expect_err("there is none");
    assert!(refused.contains("too much at once"), "{refused}");
    for piece in pieces(17) {
        takeover.take(&from, &piece, now + LONG).expect("the others have given up");
    }
    assert_eq!(*shelf.taken.lock(), left);
}

#[tokio::test]
async fn slots_whose_activations_take_long_hold_up_no_others() {
    let slot = |index| SlotId::new(index).expect("there is one");
    let (empty, quick, slow) = (slot(0), slot(1), slot(2));
    let mut slots: Epochs = [empty, quick, slow].into_iter().map(|slot| (slot, 7)).collect();
    let (end_quick, quick_ends) = oneshot::channel();
    let ((end_first, first_ends), (end_second, second_ends)) = (oneshot::channel(), oneshot::channel());
    let ends = |of: oneshot::Receiver<()>| async move { of.await.unwrap_or_default() };
    let cells = [(quick, quick_ends), (slow, first_ends), (slow, second_ends)];
    let mut ending = Ending::of(cells.into_iter().map(|(slot, end)| (slot, ends(end))));
    end_quick.send(()).expect("it is waited for");
    end_first.send(()).expect("it is waited for");
    let free = ending.some(&slots).await;
    assert_eq!(free.keys().copied().collect::<Vec<_>>(), [empty, quick]);
    slots.retain(|slot, _| !free.contains_key(slot));
    {
        let mut waits = std::pin::pin!(ending.some(&slots));
        assert!(futures_util::poll!(&mut waits).is_pending(), "one of the slow slot has not ended");
        end_second.send(()).expect("it is waited for");
        assert_eq!(waits.await, slots);
    }
}
