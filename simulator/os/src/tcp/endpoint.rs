//! One end of a connection: what waits to be sent, what waits to be read, and how it ends.

use crate::memory::Scatter;
use libc::c_int;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddrV4,
    /// Endpoints that wait for `accept`.
    pub(super) waiting: VecDeque<u64>,
    pub(super) waiting_max: usize,
}

impl Listener {
    pub(crate) fn has_connection(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn set_waiting_max(&mut self, count: c_int) {
        self.waiting_max = usize::try_from(count).unwrap_or(0).max(1);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// SYN sent.
    Connecting,
    Established,
    /// Reset, refused or timed out.
    Dead,
}

/// Who holds an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The object of a connected socket.
    Socket(usize),
    /// A listener's queue.
    Queue(usize),
    /// Closed by its program; the kernel finishes the conversation.
    Nobody,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) host: u32,
    pub(super) local: SocketAddrV4,
    pub(super) peer: SocketAddrV4,
    pub(super) state: State,
    pub(super) owner: Owner,
    /// Bytes that wait for credit.
    pub(super) outgoing: VecDeque<u8>,
    /// How much the peer has room for.
    pub(super) credit: usize,
    /// A write was refused or short; tell the program when half of the buffer is free.
    pub(super) wants_write: bool,
    pub(super) incoming: VecDeque<Vec<u8>>,
    /// How much of the first incoming piece was read.
    pub(super) incoming_offset: usize,
    pub(super) incoming_bytes: usize,
    /// Read by the program and not yet granted again to the peer.
    pub(super) consumed: usize,
    pub(super) read_shut: bool,
    pub(super) fin_received: bool,
    pub(super) fin_wanted: bool,
    pub(super) fin_sent: bool,
    /// What the next call reports.
    pub(super) error: c_int,
}

/// All endpoints.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub(super) endpoints: BTreeMap<u64, Endpoint>,
    pub(super) last: u64,
}

impl Endpoint {
    pub(super) fn new(
        host: u32,
        local: SocketAddrV4,
        peer: SocketAddrV4,
        state: State,
        owner: Owner,
    ) -> Endpoint {
        Endpoint {
            host,
            local,
            peer,
            state,
            owner,
            outgoing: VecDeque::new(),
            credit: 0,
            wants_write: false,
            incoming: VecDeque::new(),
            incoming_offset: 0,
            incoming_bytes: 0,
            consumed: 0,
            read_shut: false,
            fin_received: false,
            fin_wanted: false,
            fin_sent: false,
            error: 0,
        }
    }

    pub(super) fn discard_incoming(&mut self) {
        self.consumed += self.incoming_bytes;
        self.incoming.clear();
        self.incoming_bytes = 0;
        self.incoming_offset = 0;
    }

    /// Copies what has arrived, and says how much.
    pub(super) fn take(&mut self, into: &mut Scatter<'_>, peek: bool) -> usize {
        let mut count = 0;
        if peek {
            let skipped = self.incoming_offset;
            for (at, piece) in self.incoming.iter().enumerate() {
                count += into.put(&piece[if at == 0 { skipped } else { 0 }..]);
            }
            return count;
        }
        while let Some(piece) = self.incoming.front() {
            let taken = into.put(&piece[self.incoming_offset..]);
            count += taken;
            self.incoming_offset += taken;
            if self.incoming_offset < piece.len() {
                break;
            }
            self.incoming.pop_front();
            self.incoming_offset = 0;
        }
        self.incoming_bytes -= count;
        self.consumed += count;
        count
    }

    pub(super) fn readiness(&self, buffer_max: usize) -> u32 {
        const IN: u32 = libc::EPOLLIN as u32;
        const OUT: u32 = libc::EPOLLOUT as u32;
        const ERR: u32 = libc::EPOLLERR as u32;
        const HUP: u32 = libc::EPOLLHUP as u32;
        const RDHUP: u32 = libc::EPOLLRDHUP as u32;
        if self.state == State::Connecting {
            return if self.error == 0 { 0 } else { IN | OUT | ERR | HUP };
        }
        let ended = self.fin_received || self.read_shut;
        let mut state = 0;
        if ended {
            state |= IN | RDHUP;
        }
        if self.incoming_bytes > 0 {
            state |= IN;
        }
        if self.outgoing.len() < buffer_max {
            state |= OUT;
        }
        if self.error != 0 {
            state |= ERR | IN | OUT;
        }
        if self.state == State::Dead {
            state |= IN | OUT | HUP | RDHUP;
        }
        if self.fin_received && self.fin_sent {
            state |= HUP;
        }
        state
    }
}
