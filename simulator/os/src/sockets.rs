//! The socket calls of libc. IPv4 only: other families are refused as on a machine without them.

use crate::descriptor::{Kind, on_virtual};
use crate::kernel::{self, Kernel};
use crate::memory::{self, Scatter};
use crate::ports::Transport;
use crate::symbol::{Errno, Outcome, interpose, reply};
use crate::udp;
use libc::{c_int, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ptr;

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

/// The segment size that a `sendmsg` asks for in its control messages.
///
/// # Safety
/// `message` must be a message as `sendmsg` takes it.
unsafe fn segment_size(message: &msghdr) -> Option<usize> {
    // SAFETY: libc's macros walk the control buffer of a valid message.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = control.as_ref() {
            if header.cmsg_level == libc::SOL_UDP && header.cmsg_type == libc::UDP_SEGMENT {
                let size = libc::CMSG_DATA(control).cast::<u16>().read_unaligned();
                return Some(usize::from(size));
            }
            control = libc::CMSG_NXTHDR(message, control);
        }
    }
    None
}

impl Kernel {
    /// `sendmsg` on a virtual socket.
    ///
    /// # Safety
    /// As `sendmsg`.
    unsafe fn send_message(&mut self, descriptor: c_int, message: *const msghdr) -> Outcome<isize> {
        // SAFETY: the contract of sendmsg.
        unsafe {
            let message = &*message;
            let to = match message.msg_name.is_null() {
                true => None,
                false => Some(memory::read_address(message.msg_name.cast(), message.msg_namelen)?),
            };
            let pieces = memory::gather(message.msg_iov, message.msg_iovlen);
            self.send_to(descriptor, to, pieces, segment_size(message))
        }
    }

    /// `recvmsg` on a virtual socket.
    ///
    /// # Safety
    /// As `recvmsg`.
    unsafe fn receive_message(
        &mut self,
        descriptor: c_int,
        message: *mut msghdr,
        flags: c_int,
    ) -> Outcome<isize> {
        // SAFETY: the contract of recvmsg.
        unsafe {
            let message = &mut *message;
            message.msg_controllen = 0;
            message.msg_flags = 0;
            let mut into = Scatter::many(message.msg_iov, message.msg_iovlen);
            let (count, sender) = self.receive(descriptor, &mut into, flags & libc::MSG_PEEK != 0)?;
            match sender {
                Some(sender) => {
                    memory::write_address(message.msg_name.cast(), &mut message.msg_namelen, sender)
                }
                None => message.msg_namelen = 0,
            }
            Ok(count)
        }
    }

    /// `accept4` on a virtual socket.
    ///
    /// # Safety
    /// As `accept4`.
    unsafe fn accept_into(
        &mut self,
        descriptor: c_int,
        address: *mut sockaddr,
        length: *mut socklen_t,
        flags: c_int,
    ) -> Outcome<c_int> {
        let object = self.table.object_of(descriptor)?;
        let (accepted, peer) = self.accept(object, flags & libc::SOCK_NONBLOCK != 0)?;
        // SAFETY: the contract of accept4.
        unsafe { memory::write_address(address, length, peer) };
        Ok(accepted)
    }
}

interpose! {
    /// Makes a socket.
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
        kernel::in_turn(|kernel| reply(kernel.open_socket(domain, kind)))
    }

    /// Gives a socket an address.
    fn bind(descriptor: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of bind.
            let address = unsafe { memory::read_address(address, length) }?;
            kernel.bind(descriptor, address)
        })
    }

    /// Starts listening.
    fn listen(descriptor: c_int, backlog: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let object = kernel.table.object_of(descriptor)?;
            kernel.listen(object, backlog)
        })
    }

    /// Takes a waiting connection.
    fn accept4(descriptor: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of accept4.
            unsafe { kernel.accept_into(descriptor, address, length, flags) }
        })
    }

    /// Takes a waiting connection.
    fn accept(descriptor: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of accept.
            unsafe { kernel.accept_into(descriptor, address, length, 0) }
        })
    }

    /// Connects.
    fn connect(descriptor: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of connect.
            let peer = unsafe { memory::read_address(address, length) };
            kernel.connect(descriptor, peer)
        })
    }

    /// Ends one direction.
    fn shutdown(descriptor: c_int, how: c_int) -> c_int {
        on_virtual(descriptor, 0, |kernel| {
            let object = kernel.table.object_of(descriptor)?;
            kernel.shut(object, how)
        })
    }

    /// Tells a socket's own address.
    fn getsockname(descriptor: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let local = kernel.local_address(descriptor)?;
            // SAFETY: the contract of getsockname.
            unsafe { memory::write_address(address, length, local) };
            Ok(0)
        })
    }

    /// Tells a socket's peer.
    fn getpeername(descriptor: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let peer = kernel.peer_address(descriptor)?;
            // SAFETY: the contract of getpeername.
            unsafe { memory::write_address(address, length, peer) };
            Ok(0)
        })
    }

    /// Sets an option: kept, and answered by `getsockopt`.
    fn setsockopt(
        descriptor: c_int,
        level: c_int,
        name: c_int,
        value: *const c_void,
        length: socklen_t,
    ) -> c_int {
        on_virtual(descriptor, 0, |kernel| {
            // SAFETY: the contract of setsockopt.
            let value = unsafe { memory::bytes(value.cast(), length as usize) };
            kernel.set_option(descriptor, level, name, value)
        })
    }

    /// Reads an option.
    fn getsockopt(
        descriptor: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        length: *mut socklen_t,
    ) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let option = kernel.option(descriptor, level, name)?;
            // SAFETY: the contract of getsockopt: `length` holds the room at `value`.
            unsafe {
                let count = option.len().min(length.read() as usize);
                ptr::copy_nonoverlapping(option.as_ptr(), value.cast(), count);
                length.write(count as socklen_t);
            }
            Ok(0)
        })
    }

    /// Sends to the peer.
    fn send(descriptor: c_int, buffer: *const u8, length: size_t, flags: c_int) -> ssize_t {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of send.
            kernel.send(descriptor, &[IoSlice::new(unsafe { memory::bytes(buffer, length) })])
        })
    }

    /// Receives from the peer.
    fn recv(descriptor: c_int, buffer: *mut u8, length: size_t, flags: c_int) -> ssize_t {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of recv.
            let mut into = unsafe { Scatter::one(buffer, length) };
            Ok(kernel.receive(descriptor, &mut into, flags & libc::MSG_PEEK != 0)?.0)
        })
    }

    /// Sends to an address.
    fn sendto(
        descriptor: c_int,
        buffer: *const u8,
        length: size_t,
        flags: c_int,
        address: *const sockaddr,
        address_length: socklen_t,
    ) -> ssize_t {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of sendto.
            let (to, bytes) = unsafe {
                let to = match address.is_null() {
                    true => None,
                    false => Some(memory::read_address(address, address_length)?),
                };
                (to, memory::bytes(buffer, length))
            };
            kernel.send_to(descriptor, to, &[IoSlice::new(bytes)], None)
        })
    }

    /// Receives, with the sender.
    fn recvfrom(
        descriptor: c_int,
        buffer: *mut u8,
        length: size_t,
        flags: c_int,
        address: *mut sockaddr,
        address_length: *mut socklen_t,
    ) -> ssize_t {
        on_virtual(descriptor, -1, |kernel| {
            // SAFETY: the contract of recvfrom.
            let mut into = unsafe { Scatter::one(buffer, length) };
            let (count, sender) = kernel.receive(descriptor, &mut into, flags & libc::MSG_PEEK != 0)?;
            if let Some(sender) = sender {
                // SAFETY: the contract of recvfrom.
                unsafe { memory::write_address(address, address_length, sender) };
            }
            Ok(count)
        })
    }

    /// Sends a message.
    fn sendmsg(descriptor: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        // SAFETY: the contract of sendmsg.
        on_virtual(descriptor, -1, |kernel| unsafe { kernel.send_message(descriptor, message) })
    }

    /// Receives a message.
    fn recvmsg(descriptor: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
        // SAFETY: the contract of recvmsg.
        on_virtual(descriptor, -1, |kernel| unsafe { kernel.receive_message(descriptor, message, flags) })
    }

    /// Sends several messages.
    fn sendmmsg(descriptor: c_int, messages: *mut mmsghdr, count: u32, flags: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let each = |kernel: &mut Kernel, message: &mut mmsghdr| {
                // SAFETY: the contract of sendmmsg.
                unsafe { kernel.send_message(descriptor, &message.msg_hdr) }
            };
            // SAFETY: the contract of sendmmsg.
            unsafe { kernel.several(messages, count, each) }
        })
    }

    /// Receives several messages.
    fn recvmmsg(
        descriptor: c_int,
        messages: *mut mmsghdr,
        count: u32,
        flags: c_int,
        timeout: *mut timespec,
    ) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let each = |kernel: &mut Kernel, message: &mut mmsghdr| {
                // SAFETY: the contract of recvmmsg.
                unsafe { kernel.receive_message(descriptor, &mut message.msg_hdr, flags) }
            };
            // SAFETY: the contract of recvmmsg.
            unsafe { kernel.several(messages, count, each) }
        })
    }
}

impl Kernel {
    /// Handles messages until one fails; the failure counts only when it is the first.
    ///
    /// # Safety
    /// `messages` must point to `count` messages.
    unsafe fn several(
        &mut self,
        messages: *mut mmsghdr,
        count: u32,
        mut each: impl FnMut(&mut Kernel, &mut mmsghdr) -> Outcome<isize>,
    ) -> Outcome<c_int> {
        let mut done = 0;
        while done < count {
            // SAFETY: below `count`.
            let message = unsafe { &mut *messages.add(done as usize) };
            match each(self, message) {
                Ok(length) => message.msg_len = length as u32,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            done += 1;
        }
        Ok(done as c_int)
    }
}

// `memory::gather` relies on it.
const _: () = assert!(size_of::<iovec>() == size_of::<IoSlice<'_>>());
