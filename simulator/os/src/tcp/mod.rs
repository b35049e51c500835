//! TCP as the two kernels of a connection see it: endpoints, buffers, flow control by credits. The wire between
//! them (order, loss as delay, cuts, time-outs) is the world's.
//!
//! Endpoints come in pairs: a client's number is even, its server's the same with the last bit turned.

mod arrival;
mod endpoint;

use crate::descriptor::Kind;
use crate::kernel::Kernel;
use crate::memory::Scatter;
use crate::ports::{self, Transport};
use crate::symbol::{Errno, Outcome};
use crate::wire::{Payload, Segment};
use endpoint::{Endpoint, Owner, State};
use libc::c_int;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) use endpoint::{Connections, Listener};

/// The most bytes of one segment. The network's options split time, not segments, by bandwidth.
const SEGMENT_MAX: usize = 64 * 1024;

impl Kernel {
    fn endpoint(&mut self, number: u64) -> Option<&mut Endpoint> {
        self.connections.endpoints.get_mut(&number)
    }

    /// What epoll reports of a connection.
    pub(crate) fn connection_readiness(&self, number: u64) -> u32 {
        let gone = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLRDHUP) as u32;
        self.connections.endpoints.get(&number).map_or(gone, |end| end.readiness(self.buffer_max))
    }

    /// The two addresses of a connection, once it is established.
    pub(crate) fn connection_addresses(&self, number: u64) -> Option<(SocketAddrV4, Option<SocketAddrV4>)> {
        let end = self.connections.endpoints.get(&number)?;
        Some((end.local, (end.state == State::Established).then_some(end.peer)))
    }

    /// Takes the pending error of a connection (`SO_ERROR`).
    pub(crate) fn take_connection_error(&mut self, number: u64) -> c_int {
        let Some(end) = self.endpoint(number) else { return 0 };
        let error = std::mem::take(&mut end.error);
        if error != 0 && end.state == State::Connecting {
            end.state = State::Dead;
        }
        error
    }

    fn say(&mut self, number: u64, segment: Segment) {
        if let Some(end) = self.connections.endpoints.get(&number) {
            let (host, local, peer) = (end.host, end.local, end.peer);
            self.emit(host, local, peer, Payload::Segment(number, segment));
        }
    }

    fn mark_endpoint(&mut self, number: u64) {
        match self.connections.endpoints.get(&number).map(|end| end.owner) {
            Some(Owner::Socket(object)) => self.mark(object),
            Some(Owner::Queue(_) | Owner::Nobody) | None => {}
        }
    }

    /// Starts listening.
    pub(crate) fn listen(&mut self, object: usize, waiting_max: c_int) -> Outcome<c_int> {
        let bound = match &mut self.table.object_mut(object).kind {
            Kind::Tcp { bound } => *bound,
            Kind::Listener(listener) => {
                listener.set_waiting_max(waiting_max);
                return Ok(0);
            }
            _ => return Err(Errno(libc::EOPNOTSUPP)),
        };
        let address = match bound {
            Some(address) => address,
            None => self.claim(object, Transport::Tcp, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))?,
        };
        let mut listener = Listener { address, waiting: VecDeque::new(), waiting_max: 1 };
        listener.set_waiting_max(waiting_max);
        self.table.object_mut(object).kind = Kind::Listener(listener);
        Ok(0)
    }

    /// Takes a connection from a listener's queue.
    pub(crate) fn accept(&mut self, object: usize, nonblocking: bool) -> Outcome<(c_int, SocketAddrV4)> {
        let listening = self.table.object_mut(object);
        let (host, blocks) = (listening.host, !listening.nonblocking);
        let Kind::Listener(listener) = &mut listening.kind else { return Err(Errno(libc::EINVAL)) };
        let Some(number) = listener.waiting.pop_front() else {
            if blocks {
                self.leak("a blocking accept");
            }
            return Err(Errno(libc::EAGAIN));
        };
        let peer = self.endpoint(number).ok_or(Errno(libc::ECONNABORTED))?.peer;
        let descriptor = self.table.open(host, Kind::Connection(number), nonblocking);
        let accepted = self.table.object_of(descriptor)?;
        if let Some(end) = self.endpoint(number) {
            end.owner = Owner::Socket(accepted);
        }
        Ok((descriptor, peer))
    }

    /// Starts to connect.
    pub(crate) fn connect_stream(&mut self, object: usize, peer: SocketAddrV4) -> Outcome<c_int> {
        let socket = self.table.object(object);
        let (host, blocks) = (socket.host, !socket.nonblocking);
        let bound = match &socket.kind {
            Kind::Tcp { bound } => *bound,
            Kind::Connection(_) => return Err(Errno(libc::EISCONN)),
            _ => return Err(Errno(libc::EINVAL)),
        };
        if blocks {
            self.leak("a blocking connect");
        }
        let peer = ports::destination(peer);
        let source = self.source_for(host, *peer.ip());
        let local = match bound {
            Some(bound) if bound.ip().is_unspecified() => SocketAddrV4::new(source, bound.port()),
            Some(bound) => bound,
            None => SocketAddrV4::new(source, self.next_port(host)),
        };
        self.connections.last += 2;
        let number = self.connections.last;
        self.table.object_mut(object).kind = Kind::Connection(number);
        let end = Endpoint::new(host, local, peer, State::Connecting, Owner::Socket(object));
        self.connections.endpoints.insert(number, end);
        self.say(number, Segment::Syn);
        Err(Errno(libc::EINPROGRESS))
    }

    /// `shutdown` of one or both directions.
    pub(crate) fn shut(&mut self, object: usize, how: c_int) -> Outcome<c_int> {
        let Kind::Connection(number) = self.table.object(object).kind else {
            return Err(Errno(libc::ENOTCONN));
        };
        if self.dying {
            return Ok(0);
        }
        let end = self.endpoint(number).ok_or(Errno(libc::ENOTCONN))?;
        if end.state != State::Established {
            return Err(Errno(libc::ENOTCONN));
        }
        if how != libc::SHUT_WR {
            end.read_shut = true;
            end.discard_incoming();
        }
        if how != libc::SHUT_RD {
            end.fin_wanted = true;
        }
        self.pump(number);
        self.mark(object);
        Ok(0)
    }

    /// Moves outgoing bytes onto the wire as far as the peer's credit reaches, then the FIN.
    fn pump(&mut self, number: u64) {
        let half = self.buffer_max / 2;
        loop {
            let Some(end) = self.connections.endpoints.get_mut(&number) else { return };
            if end.state != State::Established {
                return;
            }
            let count = end.credit.min(SEGMENT_MAX).min(end.outgoing.len());
            if count == 0 {
                break;
            }
            end.credit -= count;
            let bytes = end.outgoing.drain(..count).collect();
            self.say(number, Segment::Data(bytes));
        }
        let Some(end) = self.connections.endpoints.get_mut(&number) else { return };
        let finishes = end.outgoing.is_empty() && end.fin_wanted && !end.fin_sent;
        end.fin_sent |= finishes;
        let tell = end.wants_write && end.outgoing.len() <= half;
        if tell {
            end.wants_write = false;
        }
        if finishes {
            self.say(number, Segment::Fin);
        }
        if tell {
            self.mark_endpoint(number);
        }
        self.forget_if_done(number);
    }

    /// Forgets an endpoint that its program closed once both directions have ended.
    fn forget_if_done(&mut self, number: u64) {
        let Some(end) = self.connections.endpoints.get(&number) else { return };
        let ended = end.state == State::Dead || (end.fin_sent && end.fin_received);
        if end.owner == Owner::Nobody && ended {
            self.connections.endpoints.remove(&number);
        }
    }

    /// Sends stream bytes: straight to the wire when they fit, else through the buffer.
    pub(crate) fn send_stream(&mut self, number: u64, pieces: &[IoSlice<'_>]) -> Outcome<isize> {
        if self.dying {
            self.counters.suppressed += 1;
            return Err(Errno(libc::EPIPE));
        }
        let buffer_max = self.buffer_max;
        let end = self.endpoint(number).ok_or(Errno(libc::EPIPE))?;
        if end.error != 0 {
            return Err(Errno(std::mem::take(&mut end.error)));
        }
        match end.state {
            State::Connecting => return Err(Errno(libc::EAGAIN)),
            State::Established if !end.fin_wanted => {}
            State::Established | State::Dead => return Err(Errno(libc::EPIPE)),
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        if end.outgoing.is_empty() && total <= end.credit.min(SEGMENT_MAX) {
            end.credit -= total;
            let mut bytes = Vec::with_capacity(total);
            pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
            self.say(number, Segment::Data(bytes));
            return Ok(total as isize);
        }
        let mut room = buffer_max.saturating_sub(end.outgoing.len());
        let accepted = room.min(total);
        end.wants_write |= accepted < total;
        if accepted == 0 {
            return Err(Errno(libc::EAGAIN));
        }
        for piece in pieces {
            let count = piece.len().min(room);
            end.outgoing.extend(&piece[..count]);
            room -= count;
        }
        self.pump(number);
        Ok(accepted as isize)
    }

    /// Takes stream bytes; 0 is the end. Half a buffer of consumed bytes is granted to the peer again.
    pub(crate) fn receive_stream(
        &mut self,
        number: u64,
        into: &mut Scatter<'_>,
        peek: bool,
    ) -> Outcome<isize> {
        let half = self.buffer_max / 2;
        let Some(end) = self.connections.endpoints.get_mut(&number) else {
            return Err(Errno(libc::ECONNRESET));
        };
        if end.incoming_bytes == 0 {
            if end.error != 0 {
                return Err(Errno(std::mem::take(&mut end.error)));
            }
            let ended = end.fin_received || end.read_shut || end.state == State::Dead;
            let waits = end.state == State::Connecting || (!ended && into.room() > 0);
            return if waits { Err(Errno(libc::EAGAIN)) } else { Ok(0) };
        }
        let count = end.take(into, peek);
        if end.consumed >= half.max(1) && !end.fin_received && end.state == State::Established {
            let granted = std::mem::take(&mut end.consumed);
            self.say(number, Segment::Window(granted));
        }
        Ok(count as isize)
    }

    /// The program closed its socket: unread bytes or no lingering mean a reset, else a FIN after the rest.
    pub(crate) fn close_connection(&mut self, number: u64, resets: bool) {
        let Some(end) = self.connections.endpoints.get_mut(&number) else { return };
        end.owner = Owner::Nobody;
        if end.state != State::Established {
            self.connections.endpoints.remove(&number);
        } else if end.incoming_bytes > 0 || resets {
            self.say(number, Segment::Rst);
            self.connections.endpoints.remove(&number);
        } else {
            end.fin_wanted = true;
            self.pump(number);
        }
    }

    /// A listener is gone: who waits in its queue is reset.
    pub(crate) fn drop_listener(&mut self, listener: Listener) {
        for number in listener.waiting {
            self.say(number, Segment::Rst);
            self.connections.endpoints.remove(&number);
        }
    }

    /// The connections of a dead host end; when its machine survives, it resets the peers.
    pub(crate) fn sever(&mut self, host: u32, machine_survives: bool) {
        let ends = self.connections.endpoints.iter();
        let severed: Vec<u64> = ends.filter(|(_, end)| end.host == host).map(|(number, _)| *number).collect();
        for number in severed {
            if machine_survives && self.endpoint(number).is_some_and(|end| end.state != State::Dead) {
                self.say(number, Segment::Rst);
            }
            self.connections.endpoints.remove(&number);
        }
    }
}
