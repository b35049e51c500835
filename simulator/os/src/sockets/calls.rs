//! The socket calls of libc: they bring the caller's memory and the kernel's answer together.

use crate::descriptor::on_virtual;
use crate::kernel::{self, Kernel};
use crate::memory::{self, Scatter};
use crate::symbol::{Outcome, interpose, reply};
use libc::{c_int, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use std::io::IoSlice;
use std::ptr;

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
