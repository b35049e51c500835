//! What waits in a mailbox, under its lock: four lanes by criticality and the line of those who wait for room.

use super::hand::{Hand, Pace, URGENT};
use super::ring::Ring;
use super::sync::Ordering;
use std::collections::VecDeque;
use std::task::Waker;

/// Classes of criticality, 0 the most critical.
pub(crate) const LEVELS: usize = 4;
/// The lane that is in place; the others are made when first used.
const NORMAL: usize = 2;
/// Letters that may overtake a lane before one small batch of it is served.
const PATIENCE: u32 = 256;
const STARVED_BATCH: usize = 8;
/// Most letters taken at once when others may have to be served, or evicted, in between.
pub(super) const BATCH: usize = 64;

/// What a mailbox holds.
pub(crate) trait Letter {
    /// Its lane, below [`LEVELS`].
    fn level(&self) -> usize;
    /// Bytes that count against the bound; always the same for the same letter.
    fn weight(&self) -> u32;
}

/// A place in the line of those who wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// Whether letters are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Door {
    /// As long as there is room.
    Open,
    /// Not now.
    Resting,
    /// Never again.
    Closed,
}

pub(super) struct Waiting<T> {
    pub(super) ticket: Ticket,
    pub(super) letter: T,
    pub(super) waker: Waker,
}

/// Made when a lane other than the normal one, or the line, is first used.
pub(super) struct Extra<T> {
    /// Critical, high, sheddable.
    pub(super) lanes: [Ring<T>; LEVELS - 1],
    /// How many have overtaken each lane since it was last served.
    pub(super) overtaken: [u32; LEVELS],
    pub(super) line: VecDeque<Waiting<T>>,
    pub(super) tickets: u64,
}

impl<T> Extra<T> {
    pub(super) fn new() -> Box<Self> {
        let lanes = std::array::from_fn(|_| Ring::default());
        Box::new(Self { lanes, overtaken: [0; LEVELS], line: VecDeque::new(), tickets: 0 })
    }
}

/// Where the lane of a level other than the normal one is among the others.
fn position(level: usize) -> usize {
    if level > NORMAL { level - 1 } else { level }
}

pub(super) struct Queue<T> {
    pub(super) normal: Ring<T>,
    pub(super) extra: Option<Box<Extra<T>>>,
    /// Letters that were let in less those that, as far as anybody here has looked, have begun or were evicted.
    pub(super) count: u32,
    pub(super) bytes: u32,
    /// How much of [`Pace::begun`] the counts above have taken off.
    pub(super) seen: u32,
    pub(super) seen_bytes: u32,
    /// Evicted or thrown out after they were let in.
    pub(super) lost: u32,
    /// Somebody waits for room.
    pub(super) crowded: bool,
    /// The level of what the driver has in hand; 0 when nothing can overtake it.
    pub(super) serving: u8,
    /// The driver found nothing and wants to be woken.
    pub(super) sleeping: bool,
    pub(super) door: Door,
}

impl<T: Letter> Queue<T> {
    #[inline]
    pub(super) fn lane(&mut self, level: usize) -> &mut Ring<T> {
        if level == NORMAL { &mut self.normal } else { self.other_lane(level) }
    }

    /// Does not unwind, for the reason that [`Ring`] gives.
    #[cold]
    #[allow(improper_ctypes_definitions, reason = "it is called from here only")]
    extern "C" fn other_lane(&mut self, level: usize) -> &mut Ring<T> {
        &mut self.extra.get_or_insert_with(Extra::new).lanes[position(level)]
    }

    pub(super) fn len(&self, level: usize) -> usize {
        match &self.extra {
            _ if level == NORMAL => self.normal.len(),
            Some(extra) => extra.lanes[position(level)].len(),
            None => 0,
        }
    }

    /// Puts a letter that is counted already, or needs not be, behind its lane. True: wake the driver.
    #[inline(always)]
    pub(super) fn insert(&mut self, letter: T, level: usize, pace: &Pace) -> bool {
        let lane = self.lane(level);
        lane.push_back(letter);
        if level < usize::from(self.serving) {
            pace.signal.fetch_or(URGENT, Ordering::Relaxed);
        }
        std::mem::replace(&mut self.sleeping, false)
    }

    /// Which lane is next, and how many of it at the most.
    #[inline]
    pub(super) fn choose(&mut self, most: usize) -> Option<(usize, usize)> {
        if self.extra.is_some() {
            return self.choose_of_four(most);
        }
        (!self.normal.is_empty()).then_some((NORMAL, most))
    }

    #[cold]
    pub(super) fn choose_of_four(&mut self, most: usize) -> Option<(usize, usize)> {
        let waiting: [usize; LEVELS] = std::array::from_fn(|level| self.len(level));
        let top = waiting.iter().position(|&n| n > 0)?;
        let extra = self.extra.as_mut()?;
        for level in (top + 1..LEVELS).rev() {
            if waiting[level] > 0 && extra.overtaken[level] >= PATIENCE {
                extra.overtaken[level] = 0;
                return Some((level, STARVED_BATCH.min(most)));
            }
        }
        // patience is only looked at when a batch is taken, so a batch that may overtake others is short
        let most = if top + 1 < LEVELS { most.min(BATCH) } else { most };
        let taken = u32::try_from(waiting[top].min(most)).unwrap_or(u32::MAX);
        for (overtaken, _) in extra.overtaken.iter_mut().zip(waiting).skip(top + 1).filter(|(_, n)| *n > 0) {
            *overtaken = overtaken.saturating_add(taken);
        }
        Some((top, most))
    }

    /// Gives the driver its next batch, or notes that it sleeps.
    #[inline]
    pub(super) fn hand_over(&mut self, hand: &mut Hand<T>, most: usize) -> bool {
        let Some((level, most)) = self.choose(most) else {
            self.sleeping = true;
            self.serving = 0;
            hand.tidy(&mut self.normal);
            return false;
        };
        self.serving = level as u8;
        hand.level = level as u8;
        let lane = self.lane(level);
        if lane.len() <= most {
            std::mem::swap(lane, &mut hand.batch);
        } else {
            hand.batch.take_from(lane, most);
        }
        hand.largest = hand.largest.max(hand.batch.len() as u32);
        true
    }

    pub(super) fn line(&mut self) -> Option<&mut VecDeque<Waiting<T>>> {
        self.extra.as_mut().map(|extra| &mut extra.line)
    }

    pub(super) fn place(&mut self, ticket: Ticket) -> Option<usize> {
        self.line()?.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}
