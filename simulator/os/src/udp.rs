//! UDP sockets: datagrams out through the outbox, in through a bounded buffer.

use crate::descriptor::Kind;
use crate::kernel::Kernel;
use crate::memory::Scatter;
use crate::ports::{self, Transport};
use crate::symbol::{Errno, Outcome};
use crate::trace::Happening;
use crate::wire::Payload;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Bytes that a socket buffers before further datagrams are dropped (Linux's default).
const INBOX_MAX: usize = 212_992;
/// The longest datagram.
const DATAGRAM_MAX: usize = 65_507;

/// The state of one UDP socket.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    pub(crate) bound: Option<SocketAddrV4>,
    pub(crate) peer: Option<SocketAddrV4>,
    inbox: VecDeque<(SocketAddrV4, Vec<u8>)>,
    inbox_bytes: usize,
}

impl Socket {
    pub(crate) fn has_datagram(&self) -> bool {
        !self.inbox.is_empty()
    }
}

impl Kernel {
    fn udp(&mut self, object: usize) -> Outcome<&mut Socket> {
        match &mut self.table.object_mut(object).kind {
            Kind::Udp(socket) => Ok(socket),
            _ => Err(Errno(libc::ENOTSOCK)),
        }
    }

    /// Sends one datagram, from a port of its own if the socket has none yet.
    pub(crate) fn send_datagram(
        &mut self,
        object: usize,
        to: Option<SocketAddrV4>,
        bytes: Vec<u8>,
    ) -> Outcome<()> {
        if bytes.len() > DATAGRAM_MAX {
            return Err(Errno(libc::EMSGSIZE));
        }
        let socket = self.udp(object)?;
        let to = to.or(socket.peer).ok_or(Errno(libc::EDESTADDRREQ))?;
        let to = ports::destination(to);
        let bound = match socket.bound {
            Some(bound) => bound,
            None => {
                let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
                let bound = self.claim(object, Transport::Udp, any)?;
                self.udp(object)?.bound = Some(bound);
                bound
            }
        };
        let host = self.table.object(object).host;
        let source = if bound.ip().is_unspecified() { self.source_for(host, *to.ip()) } else { *bound.ip() };
        self.emit(host, SocketAddrV4::new(source, bound.port()), to, Payload::Datagram(bytes));
        Ok(())
    }

    /// Takes the oldest datagram. What does not fit is cut off; returns its whole length and its sender.
    pub(crate) fn receive_datagram(
        &mut self,
        object: usize,
        into: &mut Scatter<'_>,
        peek: bool,
    ) -> Outcome<(usize, SocketAddrV4)> {
        let socket = self.udp(object)?;
        let Some((sender, bytes)) = socket.inbox.front() else { return Err(Errno(libc::EAGAIN)) };
        let sender = *sender;
        let count = into.put(bytes);
        if !peek {
            socket.inbox_bytes -= bytes.len();
            socket.inbox.pop_front();
        }
        Ok((count, sender))
    }

    /// A datagram reaches a host. False when no socket takes it.
    pub fn deliver_datagram(
        &mut self,
        host: u32,
        source: SocketAddrV4,
        destination: SocketAddrV4,
        bytes: Vec<u8>,
    ) -> bool {
        let holder = self.holder(host, Transport::Udp, source, destination);
        let words = [u64::from(destination.port()), bytes.len() as u64];
        let delivered = holder.filter(|object| self.accept_datagram(*object, source, bytes));
        let what = if delivered.is_some() { Happening::Received } else { Happening::Lost };
        self.record_on(Some(host), what, words, || {
            let verb = if delivered.is_some() { "received" } else { "nobody takes" };
            format!("{verb} {source} > {destination} udp {} bytes", words[1])
        });
        if let Some(object) = delivered {
            self.mark(object);
        }
        delivered.is_some()
    }

    fn accept_datagram(&mut self, object: usize, source: SocketAddrV4, bytes: Vec<u8>) -> bool {
        let asked = self.table.object(object).option(libc::SOL_SOCKET, libc::SO_RCVBUF);
        let inbox_max = asked.map_or(INBOX_MAX, |bytes| 2 * bytes.max(1_152) as usize);
        let Ok(socket) = self.udp(object) else { return false };
        if socket.peer.is_some_and(|peer| peer != source) {
            return false;
        }
        if socket.inbox_bytes + bytes.len() > inbox_max {
            self.counters.datagrams_overflowed += 1;
            return false;
        }
        socket.inbox_bytes += bytes.len();
        socket.inbox.push_back((source, bytes));
        true
    }
}
