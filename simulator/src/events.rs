//! The queue of what is to come, by virtual time; what falls on one instant keeps the order it was added in.

use crate::world::Simulation;
use odeon_simulator_os::Seat;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::SocketAddrV4;

/// Something that happens at its time.
pub(crate) enum Event {
    /// An executor's timer is due, unless a newer one took its place.
    Timer { seat: Seat, version: u64 },
    /// An executor that was wanted while it was busy is free.
    Free { seat: Seat },
    /// A datagram arrives.
    Datagram { from: u32, to: u32, source: SocketAddrV4, destination: SocketAddrV4, bytes: Vec<u8> },
    /// The first segment of a TCP wire arrives, or is tried again.
    Segment { direction: u64 },
    /// A segment arrived over a path whose way back was cut at `since`: its sender has no acknowledgement.
    Unacknowledged { direction: u64, from: u32, to: u32, since: u64 },
    /// The script does something.
    Step(Box<dyn FnOnce(&mut Simulation)>),
}

struct Entry {
    time: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The greatest entry is the earliest, for the heap keeps the greatest on top.
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.time, other.sequence).cmp(&(self.time, self.sequence))
    }
}

/// All events to come.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Queue {
    /// Adds an event at a time in nanoseconds since the start.
    pub(crate) fn push(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.heap.push(Entry { time, sequence: self.sequence, event });
    }

    /// Takes the next event that is due by `end`.
    pub(crate) fn pop_until(&mut self, end: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.time > end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.time, entry.event))
    }
}
