//! The mailbox of a cell: one lock, four lanes by criticality, a bound by count and bytes, one wake when it goes
//! from empty to non-empty.
//!
//! Senders push under the lock. The driver (the cell's task) comes by only to swap a whole lane for the batch that
//! it has used up; while it works off the batch, one word, [`Pace::signal`], tells it what cannot wait. Knows
//! nothing of messages, tasks or time: `runtime/loom` includes this file and explores its interleavings.

use super::bounds::Bounds;
pub(crate) use super::hand::{CROWDED, Hand, Pace, URGENT};
use super::queue::{BATCH, Door, Extra, Queue, Waiting};
pub(crate) use super::queue::{LEVELS, Letter, Ticket};
use super::ring::Ring;
use super::sync::{AtomicU32, Mutex, MutexGuard, Ordering};
use odeon_core::outcome::Overflow;
use std::collections::VecDeque;
use std::task::{Poll, Waker};

/// Why a letter was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// It does not fit, or others have waited longer.
    Full,
    /// Nothing is let in for now.
    Resting,
    /// Nothing is let in any more.
    Closed,
}

impl Door {
    /// Why nothing is let in.
    fn shut(self) -> Option<NoRoom> {
        match self {
            Self::Open => None,
            Self::Resting => Some(NoRoom::Resting),
            Self::Closed => Some(NoRoom::Closed),
        }
    }
}

/// Room for one letter, under the lock. In two steps, so that a letter is written once, to where it waits: never
/// into a result first, to be given back in case that it was refused.
#[must_use = "put the letter in"]
pub(crate) struct Room<'a, T> {
    queue: MutexGuard<'a, Queue<T>>,
    pace: &'a Pace,
    level: usize,
    weight: u32,
    shed: Option<Box<Shed<T>>>,
}

/// A letter was let in.
#[must_use = "the driver may have to be woken, and what was shed refused"]
#[derive(Debug)]
pub(crate) struct Pushed<T> {
    /// The driver sleeps: wake it.
    pub(crate) wake: bool,
    /// What had to go for it.
    pub(crate) shed: Option<Box<Shed<T>>>,
}

/// What had to go for a newcomer.
#[derive(Debug)]
pub(crate) struct Shed<T>(pub(crate) Vec<T>);

/// What became of a letter whose sender is willing to wait.
#[derive(Debug)]
pub(crate) enum Joined {
    /// Let in; true: wake the driver.
    Pushed(bool),
    /// It waits in line; see [`Mailbox::poll_waiting`].
    Waits(Ticket),
}

impl<T: Letter> Room<'_, T> {
    /// Lets the letter in that there is room for.
    #[inline(always)]
    pub(crate) fn put(mut self, letter: T) -> Pushed<T> {
        self.queue.count += 1;
        self.queue.bytes += self.weight;
        let wake = self.queue.insert(letter, self.level, self.pace);
        Pushed { wake, shed: self.shed }
    }
}

/// Stands for a mailbox that is full while so many have begun; never zero.
fn full_at(begun: u32) -> u32 {
    begun << 1 | 1
}

/// A mailbox. Its driver alone calls [`Mailbox::take`], [`Mailbox::put_back`], [`Mailbox::publish`] and
/// [`Mailbox::make_room`].
pub(crate) struct Mailbox<T> {
    queue: Mutex<Queue<T>>,
    /// What [`full_at`] gave when a sender was last refused because so many letters wait; zero if none was, or if
    /// others could be let in by now. Written under the lock.
    full: AtomicU32,
    bounds: Bounds,
}

impl<T: Letter> Mailbox<T> {
    /// Empty and open.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let queue = Queue {
            normal: Ring::default(),
            extra: None,
            count: 0,
            bytes: 0,
            seen: 0,
            seen_bytes: 0,
            lost: 0,
            crowded: false,
            serving: 0,
            sleeping: false,
            door: Door::Open,
        };
        let full = AtomicU32::new(0);
        Self {
            queue: Mutex::new(queue),
            full,
            bounds: Bounds { count_max: bounds.count_max.max(1), ..bounds },
        }
    }

    /// What happens to a letter that does not fit.
    pub(crate) fn overflow(&self) -> Overflow {
        self.bounds.overflow
    }

    #[inline]
    fn fits(&self, queue: &Queue<T>, weight: u32) -> bool {
        queue.count < self.bounds.count_max
            && (queue.bytes.saturating_add(weight) <= self.bounds.bytes_max || queue.count == 0)
    }

    /// Takes off what the driver has begun.
    fn refresh(queue: &mut Queue<T>, pace: &Pace) {
        let begun = pace.begun.load(Ordering::Acquire);
        let begun_bytes = pace.begun_bytes.load(Ordering::Relaxed);
        queue.count -= begun.wrapping_sub(queue.seen);
        queue.bytes -= begun_bytes.wrapping_sub(queue.seen_bytes);
        queue.seen = begun;
        queue.seen_bytes = begun_bytes;
    }

    /// Room for a letter, without waiting. Nobody else comes in before it is [`Room::put`].
    ///
    /// # Errors
    /// There is none.
    #[inline(always)]
    pub(crate) fn room<'a>(
        &'a self,
        level: usize,
        weight: u32,
        pace: &'a Pace,
    ) -> Result<Room<'a, T>, NoRoom> {
        if self.full.load(Ordering::Relaxed) != 0 && self.is_still_full(pace) {
            return Err(NoRoom::Full);
        }
        let mut queue = self.queue.lock();
        let mut shed = None;
        if (queue.door != Door::Open) | queue.crowded || !self.fits(&queue, weight) {
            shed = self.make_room_for(&mut queue, level, weight, pace)?;
        }
        Ok(Room { queue, pace, level, weight, shed })
    }

    /// Whether nothing has begun since a sender was refused. Those who try again and again must not keep the driver
    /// from the lock.
    #[cold]
    fn is_still_full(&self, pace: &Pace) -> bool {
        let full = self.full.load(Ordering::Relaxed);
        full != 0 && full == full_at(pace.begun.load(Ordering::Relaxed))
    }

    /// Room for a newcomer that did not seem to fit, and what had to go for it.
    #[cold]
    fn make_room_for(
        &self,
        queue: &mut Queue<T>,
        level: usize,
        weight: u32,
        pace: &Pace,
    ) -> Result<Option<Box<Shed<T>>>, NoRoom> {
        if let Some(why) = queue.door.shut() {
            return Err(why);
        }
        Self::refresh(queue, pace);
        if queue.crowded {
            return Err(NoRoom::Full);
        }
        // never what is in hand
        let (oldest, highest) = match self.bounds.overflow {
            Overflow::DropOldest => (true, level),
            Overflow::ShedLowest => (false, level + 1),
            Overflow::Reject | Overflow::Wait => {
                let full = if queue.count < self.bounds.count_max { 0 } else { full_at(queue.seen) };
                self.full.store(full, Ordering::Relaxed);
                (false, LEVELS)
            }
        };
        let mut shed = Vec::new();
        while !self.fits(queue, weight) {
            let Some(from) = (highest..LEVELS).rev().find(|&level| queue.len(level) > 0) else {
                // not even that is enough
                Self::restore(queue, shed, oldest);
                return Err(NoRoom::Full);
            };
            let lane = queue.lane(from);
            let letter = if oldest { lane.pop_front() } else { lane.pop_back() }.expect("it is not empty");
            queue.count -= 1;
            queue.bytes -= letter.weight();
            shed.push(letter);
        }
        queue.lost = queue.lost.wrapping_add(shed.len() as u32);
        Ok((!shed.is_empty()).then(|| Box::new(Shed(shed))))
    }

    fn restore(queue: &mut Queue<T>, shed: Vec<T>, oldest: bool) {
        for letter in shed.into_iter().rev() {
            queue.count += 1;
            queue.bytes += letter.weight();
            let lane = queue.lane(letter.level());
            if oldest { lane.push_front(letter) } else { lane.push_back(letter) }
        }
    }

    /// Lets a letter in as soon as there is room for it and for all who came before. The waker is woken when that
    /// is decided.
    ///
    /// # Errors
    /// Gives it back when none is let in.
    pub(crate) fn join(&self, letter: T, waker: &Waker, pace: &Pace) -> Result<Joined, (NoRoom, T)> {
        let (level, weight) = (letter.level(), letter.weight());
        let mut queue = self.queue.lock();
        if let Some(why) = queue.door.shut() {
            return Err((why, letter));
        }
        Self::refresh(&mut queue, pace);
        if !queue.crowded && self.fits(&queue, weight) {
            queue.count += 1;
            queue.bytes += weight;
            return Ok(Joined::Pushed(queue.insert(letter, level, pace)));
        }
        let extra = queue.extra.get_or_insert_with(Extra::new);
        extra.tickets += 1;
        let ticket = Ticket(extra.tickets);
        extra.line.push_back(Waiting { ticket, letter, waker: waker.clone() });
        queue.crowded = true;
        pace.signal.fetch_or(CROWDED, Ordering::Relaxed);
        Ok(Joined::Waits(ticket))
    }

    /// Whether a letter in line was let in; it comes back when no more are let in.
    pub(crate) fn poll_waiting(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<(), (NoRoom, T)>> {
        let mut queue = self.queue.lock();
        let Some(place) = queue.place(ticket) else { return Poll::Ready(Ok(())) };
        let shut = queue.door.shut();
        let Some(line) = queue.line() else { return Poll::Ready(Ok(())) };
        if let Some(why) = shut
            && let Some(waiting) = line.remove(place)
        {
            return Poll::Ready(Err((why, waiting.letter)));
        }
        line[place].waker.clone_from(waker);
        Poll::Pending
    }

    /// Takes a letter out of the line, unless it was let in. True: wake the driver.
    pub(crate) fn leave(&self, ticket: Ticket, pace: &Pace) -> (Option<T>, bool) {
        let mut admitted = Vec::new();
        let mut wake = false;
        let left = {
            let mut queue = self.queue.lock();
            let place = queue.place(ticket);
            let left = place.and_then(|place| queue.line()?.remove(place));
            if left.is_some() {
                // it may have stood in the way of smaller ones
                wake = self.admit(&mut queue, pace, &mut admitted);
            }
            left
        };
        admitted.into_iter().for_each(Waker::wake);
        (left.map(|waiting| waiting.letter), wake)
    }

    /// Lets in those who wait, once half of the room is free, so that not each letter costs a wake. True: wake the
    /// driver.
    #[cold]
    fn admit(&self, queue: &mut Queue<T>, pace: &Pace, admitted: &mut Vec<Waker>) -> bool {
        Self::refresh(queue, pace);
        let mut wake = false;
        if queue.door == Door::Open
            && queue.count <= self.bounds.count_max / 2
            && queue.bytes <= self.bounds.bytes_max / 2
        {
            while let Some(weight) = queue.line().and_then(|l| l.front()).map(|w| w.letter.weight())
                && self.fits(queue, weight)
                && let Some(waiting) = queue.line().and_then(VecDeque::pop_front)
            {
                queue.count += 1;
                queue.bytes += weight;
                let level = waiting.letter.level();
                wake |= queue.insert(waiting.letter, level, pace);
                admitted.push(waiting.waker);
            }
        }
        if queue.line().is_none_or(|line| line.is_empty()) {
            queue.crowded = false;
            pace.signal.fetch_and(!CROWDED, Ordering::Relaxed);
        }
        wake
    }

    /// Tells senders how many letters have begun.
    #[inline]
    pub(crate) fn publish(hand: &Hand<T>, pace: &Pace) {
        pace.begun_bytes.store(hand.begun_bytes, Ordering::Relaxed);
        pace.begun.store(hand.begun, Ordering::Release);
    }

    /// Letters begun between two publications, less one; a mask. A sender may be refused that much early.
    pub(crate) fn stride_mask(&self) -> u32 {
        (self.bounds.count_max / 8).clamp(1, 32).next_power_of_two() - 1
    }

    /// The next batch, when the last one is used up. False: there is nothing, and the next push says to wake.
    #[inline]
    pub(crate) fn take(&self, hand: &mut Hand<T>, pace: &Pace) -> bool {
        // whoever may evict needs something that is not in hand
        let most = match self.bounds.overflow {
            Overflow::Reject | Overflow::Wait => usize::MAX,
            Overflow::DropOldest | Overflow::ShedLowest => {
                (self.bounds.count_max as usize / 8).clamp(1, BATCH)
            }
        };
        let mut queue = self.queue.lock();
        Self::publish(hand, pace);
        if !queue.crowded {
            return queue.hand_over(hand, most);
        }
        let mut admitted = Vec::new();
        self.admit(&mut queue, pace, &mut admitted);
        let some = queue.hand_over(hand, most);
        drop(queue);
        admitted.into_iter().for_each(Waker::wake);
        some
    }

    /// Lets in those who wait, in the middle of a batch.
    #[cold]
    pub(crate) fn make_room(&self, pace: &Pace) {
        let mut admitted = Vec::new();
        // the driver itself is here: it need not be woken
        self.admit(&mut self.queue.lock(), pace, &mut admitted);
        admitted.into_iter().for_each(Waker::wake);
    }

    /// What is in hand goes back to the front of its lane: something more critical has come.
    #[cold]
    pub(crate) fn put_back(&self, hand: &mut Hand<T>, pace: &Pace) {
        pace.signal.fetch_and(!URGENT, Ordering::Relaxed);
        if !hand.batch.is_empty() {
            let mut queue = self.queue.lock();
            let lane = queue.lane(usize::from(hand.level));
            hand.batch.take_from(lane, usize::MAX);
            std::mem::swap(lane, &mut hand.batch);
        }
    }

    /// Lets nothing in any more. What waits inside stays; who waits outside is told.
    pub(crate) fn close(&self, pace: &Pace) {
        self.shut(Door::Closed, pace);
    }

    /// Lets nothing in until it is opened, if it has not been closed. What waits inside stays; who waits outside is
    /// told.
    pub(crate) fn rest(&self, pace: &Pace) {
        self.shut(Door::Resting, pace);
    }

    /// Ends a rest.
    pub(crate) fn open(&self, pace: &Pace) {
        let mut queue = self.queue.lock();
        if queue.door == Door::Resting {
            queue.door = Door::Open;
            // some have not looked since they were told
            queue.crowded = queue.line().is_some_and(|line| !line.is_empty());
            if queue.crowded {
                pace.signal.fetch_or(CROWDED, Ordering::Relaxed);
            }
        }
    }

    fn shut(&self, door: Door, pace: &Pace) {
        let told: Vec<Waker> = {
            let mut queue = self.queue.lock();
            if queue.door != Door::Closed {
                queue.door = door;
            }
            queue.crowded = false;
            self.full.store(0, Ordering::Relaxed);
            queue.line().map(|line| line.iter().map(|w| w.waker.clone()).collect()).unwrap_or_default()
        };
        pace.signal.fetch_and(!CROWDED, Ordering::Relaxed);
        told.into_iter().for_each(Waker::wake);
    }

    /// Closes only if nothing waits inside or outside.
    pub(crate) fn close_if_empty(&self, hand: &Hand<T>) -> bool {
        let mut queue = self.queue.lock();
        let empty = hand.batch.is_empty() && !queue.crowded && (0..LEVELS).all(|level| queue.len(level) == 0);
        if empty {
            queue.door = Door::Closed;
            self.full.store(0, Ordering::Relaxed);
        }
        empty
    }

    /// Whether nothing is let in.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().door == Door::Closed
    }

    /// Closes and takes out everything, what is in hand first.
    pub(crate) fn clear(&self, hand: &mut Hand<T>, pace: &Pace) -> Vec<T> {
        self.close(pace);
        self.take_all(hand, pace)
    }

    /// Takes out everything, what is in hand first.
    pub(crate) fn take_all(&self, hand: &mut Hand<T>, pace: &Pace) -> Vec<T> {
        self.put_back(hand, pace);
        let mut queue = self.queue.lock();
        let mut rest = Vec::new();
        for level in 0..LEVELS {
            if queue.len(level) > 0 {
                let lane = queue.lane(level);
                rest.extend(std::iter::from_fn(|| lane.pop_front()));
            }
        }
        for letter in &rest {
            queue.count -= 1;
            queue.bytes -= letter.weight();
        }
        queue.lost = queue.lost.wrapping_add(rest.len() as u32);
        rest
    }

    /// What waits.
    pub(crate) fn load(&self, pace: &Pace) -> Load {
        let mut queue = self.queue.lock();
        Self::refresh(&mut queue, pace);
        let lanes = std::array::from_fn(|level| u32::try_from(queue.len(level)).unwrap_or(u32::MAX));
        let outside = queue.line().map_or(0, |line| u32::try_from(line.len()).unwrap_or(u32::MAX));
        Load { count: queue.count, bytes: queue.bytes, lost: queue.lost, lanes, outside }
    }
}

/// How full a mailbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Letters waiting; those begun since the last publication included.
    pub(crate) count: u32,
    /// Their bytes.
    pub(crate) bytes: u32,
    /// Letters evicted or thrown out since the beginning, wrapping.
    pub(crate) lost: u32,
    /// Those that the driver has not taken, by class, the most critical first.
    pub(crate) lanes: [u32; LEVELS],
    /// Letters whose senders wait for room.
    pub(crate) outside: u32,
}
