//! Sockets: what the calls mean. IPv4 only: other families are refused as on a machine without them.

mod calls;

use crate::descriptor::Kind;
use crate::kernel::Kernel;
use crate::memory::Scatter;
use crate::ports::Transport;
use crate::symbol::{Errno, Outcome};
use crate::udp;
use libc::c_int;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The longest socket option that is kept.
const OPTION_MAX: usize = 16;

impl Kernel {
    fn open_socket(&mut self, domain: c_int, kind: c_int) -> Outcome<c_int> {
        let host = self.running()?;
        if domain != libc::AF_INET {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if self.dying {
            return Err(Errno(libc::ENETDOWN));
        }
        let state = match kind & 0xf {
            libc::SOCK_DGRAM => Kind::Udp(udp::Socket::default()),
            libc::SOCK_STREAM => Kind::Tcp { bound: None },
            _ => return Err(Errno(libc::EPROTONOSUPPORT)),
        };
        Ok(self.table.open(host, state, kind & libc::SOCK_NONBLOCK != 0))
    }

    fn bind(&mut self, descriptor: c_int, address: SocketAddrV4) -> Outcome<c_int> {
        let object = self.table.object_of(descriptor)?;
        let transport = match &self.table.object(object).kind {
            Kind::Udp(socket) if socket.bound.is_none() => Transport::Udp,
            Kind::Tcp { bound: None } => Transport::Tcp,
            Kind::Udp(_) | Kind::Tcp { .. } | Kind::Listener(_) | Kind::Connection(_) => {
                return Err(Errno(libc::EINVAL));
            }
            _ => return Err(Errno(libc::ENOTSOCK)),
        };
        let address = self.claim(object, transport, address)?;
        match &mut self.table.object_mut(object).kind {
            Kind::Udp(socket) => socket.bound = Some(address),
            Kind::Tcp { bound } => *bound = Some(address),
            _ => {}
        }
        Ok(0)
    }

    fn connect(&mut self, descriptor: c_int, peer: Outcome<SocketAddrV4>) -> Outcome<c_int> {
        let object = self.table.object_of(descriptor)?;
        let peer = peer?;
        if self.dying {
            return Err(Errno(libc::ENETDOWN));
        }
        let host = self.table.object(object).host;
        let Kind::Udp(socket) = &mut self.table.object_mut(object).kind else {
            return self.connect_stream(object, peer);
        };
        socket.peer = Some(peer);
        let port = socket.bound.map_or(0, |bound| bound.port());
        if port == 0 {
            let local = SocketAddrV4::new(self.source_for(host, *peer.ip()), 0);
            let bound = self.claim(object, Transport::Udp, local)?;
            if let Kind::Udp(socket) = &mut self.table.object_mut(object).kind {
                socket.bound = Some(bound);
            }
        }
        Ok(0)
    }

    fn local_address(&self, descriptor: c_int) -> Outcome<SocketAddrV4> {
        let none = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        match &self.table.get(descriptor)?.kind {
            Kind::Udp(socket) => Ok(socket.bound.unwrap_or(none)),
            Kind::Tcp { bound } => Ok(bound.unwrap_or(none)),
            Kind::Listener(listener) => Ok(listener.address),
            Kind::Connection(number) => {
                Ok(self.connection_addresses(*number).map_or(none, |(local, _)| local))
            }
            _ => Err(Errno(libc::ENOTSOCK)),
        }
    }

    fn peer_address(&self, descriptor: c_int) -> Outcome<SocketAddrV4> {
        let peer = match &self.table.get(descriptor)?.kind {
            Kind::Udp(socket) => socket.peer,
            Kind::Connection(number) => self.connection_addresses(*number).and_then(|(_, peer)| peer),
            _ => None,
        };
        peer.ok_or(Errno(libc::ENOTCONN))
    }

    /// Sends to a socket's peer.
    pub(crate) fn send(&mut self, descriptor: c_int, pieces: &[IoSlice<'_>]) -> Outcome<isize> {
        let object = self.table.object_of(descriptor)?;
        let socket = self.table.object(object);
        let blocks = !socket.nonblocking;
        match socket.kind {
            Kind::Connection(number) => {
                let sent = self.send_stream(number, pieces);
                self.note_blocking(blocks, sent, "a blocking write to a socket")
            }
            Kind::Udp(_) => {
                let bytes = join(pieces);
                let count = bytes.len() as isize;
                self.send_datagram(object, None, bytes).map(|()| count)
            }
            _ => Err(Errno(libc::ENOTCONN)),
        }
    }

    /// Receives from a socket; tells the sender of a datagram.
    pub(crate) fn receive(
        &mut self,
        descriptor: c_int,
        into: &mut Scatter<'_>,
        peek: bool,
    ) -> Outcome<(isize, Option<SocketAddrV4>)> {
        let object = self.table.object_of(descriptor)?;
        let socket = self.table.object(object);
        let blocks = !socket.nonblocking;
        let received = match socket.kind {
            Kind::Connection(number) => self.receive_stream(number, into, peek).map(|count| (count, None)),
            Kind::Udp(_) => self
                .receive_datagram(object, into, peek)
                .map(|(count, sender)| (count as isize, Some(sender))),
            _ => Err(Errno(libc::ENOTCONN)),
        };
        self.note_blocking(blocks, received, "a blocking read from a socket")
    }

    /// A call that would have blocked the thread is an escape.
    fn note_blocking<T>(&mut self, blocks: bool, outcome: Outcome<T>, what: &'static str) -> Outcome<T> {
        if blocks && matches!(outcome, Err(Errno(libc::EAGAIN))) {
            self.leak(what);
        }
        outcome
    }

    /// Sends to an address; a segment size splits the bytes into several datagrams (UDP_SEGMENT).
    fn send_to(
        &mut self,
        descriptor: c_int,
        to: Option<SocketAddrV4>,
        pieces: &[IoSlice<'_>],
        segment: Option<usize>,
    ) -> Outcome<isize> {
        let object = self.table.object_of(descriptor)?;
        if !matches!(self.table.object(object).kind, Kind::Udp(_)) {
            return self.send(descriptor, pieces);
        }
        let bytes = join(pieces);
        let count = bytes.len() as isize;
        match segment {
            Some(size) if size > 0 && size < bytes.len() => {
                for piece in bytes.chunks(size) {
                    self.send_datagram(object, to, piece.to_vec())?;
                }
            }
            _ => self.send_datagram(object, to, bytes)?,
        }
        Ok(count)
    }

    fn option(&mut self, descriptor: c_int, level: c_int, name: c_int) -> Outcome<Vec<u8>> {
        let buffer_max = self.buffer_max as c_int;
        let socket = self.table.get(descriptor)?;
        let set = socket.options.iter().find(|each| (each.0, each.1) == (level, name));
        let number = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => match socket.kind {
                Kind::Connection(number) => self.take_connection_error(number),
                _ => 0,
            },
            (libc::SOL_SOCKET, libc::SO_TYPE) => match socket.kind {
                Kind::Udp(_) => libc::SOCK_DGRAM,
                _ => libc::SOCK_STREAM,
            },
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => libc::AF_INET,
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => c_int::from(matches!(socket.kind, Kind::Listener(_))),
            _ => match set {
                Some((.., value)) => return Ok(value.clone()),
                None if matches!(name, libc::SO_SNDBUF | libc::SO_RCVBUF) => buffer_max,
                None => 0,
            },
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    fn set_option(&mut self, descriptor: c_int, level: c_int, name: c_int, value: &[u8]) -> Outcome<c_int> {
        let socket = self.table.get_mut(descriptor)?;
        socket.options.retain(|each| (each.0, each.1) != (level, name));
        socket.options.push((level, name, value[..value.len().min(OPTION_MAX)].to_vec()));
        Ok(0)
    }
}

/// The pieces of a datagram as one.
fn join(pieces: &[IoSlice<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}
