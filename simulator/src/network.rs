//! The network between hosts: latency, loss, cuts, bandwidth, and the wires of TCP.
//!
//! Each direction of a TCP connection is a queue in order with exactly one event outstanding, for its head.
//! That alone gives order, head-of-line blocking, stalls under a cut and resumption after it.

use crate::events::{Event, Queue};
use crate::options::NetworkOptions;
use crate::world::kernel;
use odeon_simulator_os::{Emission, Happening, Payload, Segment, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

/// Latency of packets that never leave their host.
const LATENCY_LOCAL: u64 = 10_000;
/// First wait before a connection request is sent again (RFC 6298).
const RETRANSMISSION_OF_SYN: u64 = 1_000_000_000;

/// One direction of a TCP connection.
struct Wire {
    from: u32,
    to: Option<u32>,
    source: SocketAddrV4,
    destination: SocketAddrV4,
    /// Segments with the time each would arrive.
    queue: VecDeque<(u64, Segment)>,
    attempts: u32,
    stalled_since: Option<u64>,
}

/// What the network counted.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) held_back: u64,
    pub(crate) retransmissions: u64,
    pub(crate) timeouts: u64,
}

/// All paths between hosts.
pub(crate) struct Network {
    pub(crate) options: NetworkOptions,
    chance: Stream,
    /// Directed pairs that are cut, and since when.
    cuts: BTreeMap<(u32, u32), u64>,
    wires: BTreeMap<u64, Wire>,
    /// When each host's line is free again.
    line_free: Vec<u64>,
    /// Machines without power.
    down: Vec<bool>,
    pub(crate) counts: Counts,
}

/// Whole nanoseconds.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Network {
    pub(crate) fn new(options: NetworkOptions, chance: Stream) -> Network {
        Network {
            options,
            chance,
            cuts: BTreeMap::new(),
            wires: BTreeMap::new(),
            line_free: Vec::new(),
            down: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// One more machine, without power yet.
    pub(crate) fn add_host(&mut self) {
        self.line_free.push(0);
        self.down.push(true);
    }

    /// A machine gets or loses power. Without it nobody sends again what it had on its wires.
    pub(crate) fn set_power(&mut self, host: u32, on: bool) {
        self.down[host as usize] = !on;
        if !on {
            self.wires.retain(|_, wire| wire.from != host);
        }
    }

    pub(crate) fn has_power(&self, host: u32) -> bool {
        !self.down[host as usize]
    }

    pub(crate) fn cut(&mut self, from: u32, to: u32, now: u64) {
        self.cuts.entry((from, to)).or_insert(now);
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    fn is_cut(&self, from: u32, to: u32) -> bool {
        !self.cuts.is_empty() && self.cuts.contains_key(&(from, to))
    }

    fn latency(&mut self) -> u64 {
        self.chance.between(nanoseconds(self.options.latency_min), nanoseconds(self.options.latency_max))
    }

    /// When a packet has left its host's line, which carries one at a time.
    fn departure(&mut self, emission: &Emission) -> u64 {
        let Some(bandwidth) = self.options.bandwidth else { return emission.at };
        let bytes = emission.payload.wire_length() as u128;
        let takes = (bytes * 1_000_000_000 / u128::from(bandwidth.max(1))) as u64;
        let free = &mut self.line_free[emission.from as usize];
        *free = (*free).max(emission.at) + takes;
        *free
    }

    /// Takes over what left a host.
    pub(crate) fn carry(&mut self, emission: Emission, queue: &mut Queue) {
        let local = emission.to == Some(emission.from);
        let departure = if local { emission.at } else { self.departure(&emission) };
        match emission.payload {
            Payload::Datagram(bytes) => {
                let (from, source, destination) = (emission.from, emission.source, emission.destination);
                let Some(to) = emission.to else { return self.lose(source, destination) };
                let datagram = |bytes| Event::Datagram { from, to, source, destination, bytes };
                if local {
                    queue.push(departure + LATENCY_LOCAL, datagram(bytes));
                    return;
                }
                if self.is_cut(from, to) || self.chance.chance(self.options.loss) {
                    return self.lose(source, destination);
                }
                let mut due = departure + self.latency();
                if self.chance.chance(self.options.reordering) {
                    self.counts.held_back += 1;
                    due += self.chance.between(0, nanoseconds(self.options.reordering_max));
                }
                if self.chance.chance(self.options.duplication) {
                    self.counts.duplicated += 1;
                    let again = due + self.latency();
                    queue.push(again, datagram(bytes.clone()));
                }
                queue.push(due, datagram(bytes));
            }
            Payload::Segment(direction, segment) => {
                let mut due = departure + if local { LATENCY_LOCAL } else { self.latency() };
                if !local {
                    due += self.retransmission_delay();
                }
                let wire = self.wires.entry(direction).or_insert_with(|| Wire {
                    from: emission.from,
                    to: emission.to,
                    source: emission.source,
                    destination: emission.destination,
                    queue: VecDeque::new(),
                    attempts: 0,
                    stalled_since: None,
                });
                wire.queue.push_back((due, segment));
                if wire.queue.len() == 1 {
                    queue.push(due, Event::Segment { direction });
                }
            }
        }
    }

    /// A lost segment is only late: each lost attempt adds one wait, and the wait doubles.
    fn retransmission_delay(&mut self) -> u64 {
        let longest = nanoseconds(self.options.retransmission_max);
        let mut wait = nanoseconds(self.options.retransmission_min);
        let mut delay = 0;
        while delay < longest && self.chance.chance(self.options.loss) {
            self.counts.retransmissions += 1;
            delay += wait;
            wait = (wait * 2).min(longest);
        }
        delay
    }

    fn lose(&mut self, source: SocketAddrV4, destination: SocketAddrV4) {
        self.counts.lost += 1;
        let words = [u64::from(source.port()), u64::from(destination.port())];
        kernel(|kernel| {
            kernel.record_on(None, Happening::Lost, words, || format!("lost {source} > {destination} udp"));
        });
    }

    /// A datagram arrives, unless a cut or a loss of power came before it.
    pub(crate) fn datagram_due(
        &mut self,
        from: u32,
        to: u32,
        source: SocketAddrV4,
        destination: SocketAddrV4,
        bytes: Vec<u8>,
    ) {
        if self.down[to as usize] || (from != to && self.is_cut(from, to)) {
            return self.lose(source, destination);
        }
        if kernel(|kernel| kernel.deliver_datagram(to, source, destination, bytes)) {
            self.counts.delivered += 1;
        } else {
            self.counts.lost += 1;
        }
    }

    /// The head of a wire is due: it reaches the other kernel, or waits.
    pub(crate) fn segment_due(&mut self, direction: u64, now: u64, queue: &mut Queue) {
        let Some(wire) = self.wires.get(&direction) else { return };
        let (from, source, destination) = (wire.from, wire.source, wire.destination);
        let open = wire
            .to
            .filter(|to| !self.down[*to as usize] && (from == *to || !self.cuts.contains_key(&(from, *to))));
        let Some(to) = open else { return self.stall(direction, now, queue) };
        let Some(wire) = self.wires.get_mut(&direction) else { return };
        let Some((_, segment)) = wire.queue.pop_front() else { return };
        if matches!(segment, Segment::Data(_)) && from != to && self.cuts.contains_key(&(to, from)) {
            let give_up = now + nanoseconds(self.options.timeout_user);
            queue.push(give_up, Event::Unacknowledged { direction, from, to, since: now });
        }
        let taken = kernel(|kernel| kernel.deliver_segment(direction, to, source, destination, segment));
        if let Err(refused) = taken {
            wire.queue.push_front((now, refused));
            return self.stall(direction, now, queue);
        }
        wire.attempts = 0;
        wire.stalled_since = None;
        match wire.queue.front() {
            Some((due, _)) => queue.push((*due).max(now), Event::Segment { direction }),
            None => {
                self.wires.remove(&direction);
            }
        }
    }

    /// The head of a wire cannot pass: its sender tries again, and gives up in the end.
    fn stall(&mut self, direction: u64, now: u64, queue: &mut Queue) {
        let Some(wire) = self.wires.get_mut(&direction) else { return };
        let since = *wire.stalled_since.get_or_insert(now);
        let persists = wire.queue.iter().any(|(_, segment)| segment.is_retransmitted());
        if !persists && !kernel(|kernel| kernel.has_endpoint(direction)) {
            self.wires.remove(&direction);
            return;
        }
        let end = since + nanoseconds(self.options.timeout_user);
        if persists && now >= end {
            self.wires.remove(&direction);
            self.time_out(direction);
            return;
        }
        let is_syn = matches!(wire.queue.front(), Some((_, Segment::Syn)));
        let first = if is_syn { RETRANSMISSION_OF_SYN } else { nanoseconds(self.options.retransmission_min) };
        let longest = nanoseconds(self.options.retransmission_max);
        let wait = first.saturating_mul(1 << wire.attempts.min(20)).min(longest).max(1);
        wire.attempts += 1;
        self.counts.retransmissions += 1;
        let next = if persists { (now + wait).min(end) } else { now + wait };
        queue.push(next, Event::Segment { direction });
    }

    /// The time for an acknowledgement is over: the sender gives up unless the way back opened meanwhile.
    pub(crate) fn acknowledgement_due(&mut self, direction: u64, from: u32, to: u32, since: u64) {
        let still_cut = self.cuts.get(&(to, from)).is_some_and(|cut| *cut <= since);
        if still_cut && kernel(|kernel| kernel.has_endpoint(direction)) {
            self.time_out(direction);
        }
    }

    fn time_out(&mut self, direction: u64) {
        self.counts.timeouts += 1;
        kernel(|kernel| {
            kernel.record_on(None, Happening::Lost, [direction, 0], || format!("tcp{direction} timed out"));
            kernel.time_out(direction);
        });
    }
}
