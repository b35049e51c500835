//! The caller's memory, as the symbols receive it: where bytes go, where they come from, and addresses.

use crate::symbol::{Errno, Outcome};
use libc::{iovec, sockaddr, sockaddr_in, socklen_t};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::{ptr, slice};

/// The caller's buffers, filled from the front. They may be uninitialised, so they are only ever written.
pub(crate) struct Scatter<'a> {
    pointer: *mut u8,
    left: usize,
    rest: &'a [iovec],
}

impl<'a> Scatter<'a> {
    /// One buffer.
    ///
    /// # Safety
    /// `pointer` must be valid for writes of `length` bytes for as long as the value lives.
    pub(crate) unsafe fn one(pointer: *mut u8, length: usize) -> Scatter<'a> {
        Scatter { pointer, left: length, rest: &[] }
    }

    /// Several buffers.
    ///
    /// # Safety
    /// `vector` must point to `count` entries, each valid for writes, for as long as the value lives.
    pub(crate) unsafe fn many(vector: *const iovec, count: usize) -> Scatter<'a> {
        let rest = if count == 0 {
            &[]
        } else {
            // SAFETY: the caller promises the array.
            unsafe { slice::from_raw_parts(vector, count) }
        };
        Scatter { pointer: ptr::null_mut(), left: 0, rest }
    }

    /// How many bytes fit.
    pub(crate) fn room(&self) -> usize {
        self.left + self.rest.iter().map(|buffer| buffer.iov_len).sum::<usize>()
    }

    /// Copies as many bytes as fit; returns how many.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) -> usize {
        let offered = bytes.len();
        loop {
            let count = self.left.min(bytes.len());
            // SAFETY: at most `left` bytes at `pointer` are written, which the constructor's caller promised;
            // kernel buffers never overlap the caller's.
            unsafe {
                ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer, count);
                self.pointer = self.pointer.add(count);
            }
            self.left -= count;
            bytes = &bytes[count..];
            let Some((next, rest)) = self.rest.split_first() else { return offered - bytes.len() };
            if bytes.is_empty() {
                return offered;
            }
            self.pointer = next.iov_base.cast();
            self.left = next.iov_len;
            self.rest = rest;
        }
    }
}

/// The caller's bytes, in several pieces.
///
/// # Safety
/// `vector` must point to `count` entries, each valid for reads, for as long as the result is used.
pub(crate) unsafe fn gather<'a>(vector: *const iovec, count: usize) -> &'a [IoSlice<'a>] {
    if count == 0 {
        return &[];
    }
    // SAFETY: `IoSlice` is documented to be ABI compatible with `iovec`; the caller promises the array.
    unsafe { slice::from_raw_parts(vector.cast(), count) }
}

/// The caller's bytes, in one piece.
///
/// # Safety
/// `pointer` must be valid for reads of `length` bytes for as long as the result is used.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the caller promises the bytes.
    unsafe { slice::from_raw_parts(pointer, length) }
}

/// Reads a socket address; only IPv4 exists in the simulation.
///
/// # Safety
/// `address` must point to a socket address of `length` bytes.
pub(crate) unsafe fn read_address(address: *const sockaddr, length: socklen_t) -> Outcome<SocketAddrV4> {
    if (length as usize) < size_of::<sockaddr_in>() {
        return Err(Errno(libc::EAFNOSUPPORT));
    }
    // SAFETY: long enough by the check above.
    let address = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
    if address.sin_family != libc::AF_INET as u16 {
        return Err(Errno(libc::EAFNOSUPPORT));
    }
    let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
    Ok(SocketAddrV4::new(ip, u16::from_be(address.sin_port)))
}

/// Writes a socket address, when the caller wants it.
///
/// # Safety
/// `into` must be null or valid for a `sockaddr_in`, and `length` null or valid for writes.
pub(crate) unsafe fn write_address(into: *mut sockaddr, length: *mut socklen_t, address: SocketAddrV4) {
    if into.is_null() {
        return;
    }
    let address = sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: the caller promises both places.
    unsafe {
        into.cast::<sockaddr_in>().write_unaligned(address);
        if !length.is_null() {
            length.write(size_of::<sockaddr_in>() as socklen_t);
        }
    }
}
