//! Descriptors: numbers from 2^28, far above real ones, so that a call nobody interposed fails loudly with
//! `EBADF`. Several descriptors may share one object (`dup`), as with open file descriptions.

use crate::files::OpenFile;
use crate::kernel::{self, Kernel};
use crate::memory::{self, Scatter};
use crate::parking::Registration;
use crate::symbol::{Errno, Outcome, interpose, reply};
use crate::udp::Socket as UdpSocket;
use crate::{files, tcp};
use libc::{c_int, c_ulong, c_void, iovec};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::net::SocketAddrV4;

/// The number of the first virtual descriptor.
const BASE: c_int = 1 << 28;

/// Whether a descriptor belongs to a simulation (perhaps of another thread).
#[inline]
pub(crate) fn is_virtual(descriptor: c_int) -> bool {
    descriptor >= BASE
}

/// What a descriptor stands for.
#[derive(Debug)]
pub(crate) enum Kind {
    /// An epoll instance, by its index.
    Epoll(usize),
    /// An eventfd and its count.
    Event(u64),
    /// A UDP socket.
    Udp(UdpSocket),
    /// A TCP socket that is neither connected nor listening yet.
    Tcp {
        /// Where it is bound.
        bound: Option<SocketAddrV4>,
    },
    /// A TCP socket that listens.
    Listener(tcp::Listener),
    /// A TCP connection, by its endpoint's number.
    Connection(u64),
    /// An open file.
    File(OpenFile),
    /// An open directory, by its path.
    Directory(String),
}

/// What one or more descriptors share.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) host: u32,
    pub(crate) kind: Kind,
    pub(crate) nonblocking: bool,
    /// Socket options as they were set: level, name, value.
    pub(crate) options: Vec<(c_int, c_int, Vec<u8>)>,
    descriptors: Vec<c_int>,
}

impl Object {
    /// An integer socket option that was set.
    pub(crate) fn option(&self, level: c_int, name: c_int) -> Option<c_int> {
        let (.., value) = self.options.iter().find(|each| (each.0, each.1) == (level, name))?;
        value.get(..4).map(|bytes| c_int::from_ne_bytes(bytes.try_into().expect("four bytes were taken")))
    }
}

/// One number of the table.
#[derive(Debug)]
struct Slot {
    object: usize,
    registration: Option<Registration>,
}

/// The descriptors and objects of all hosts.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<Option<Slot>>,
    free_slots: Vec<usize>,
    objects: Vec<Option<Object>>,
    free_objects: Vec<usize>,
    /// Numbers of a dead host that somebody still holds (a script with a runtime's handle, say). They stay taken
    /// until their holder closes them, for std aborts when a descriptor it owns is closed already.
    orphans: BTreeSet<c_int>,
}

impl Table {
    /// Makes an object with one descriptor.
    pub(crate) fn open(&mut self, host: u32, kind: Kind, nonblocking: bool) -> c_int {
        let object = Object { host, kind, nonblocking, options: Vec::new(), descriptors: Vec::new() };
        let index = match self.free_objects.pop() {
            Some(index) => {
                self.objects[index] = Some(object);
                index
            }
            None => {
                self.objects.push(Some(object));
                self.objects.len() - 1
            }
        };
        self.describe(index)
    }

    /// One more descriptor for an object.
    fn describe(&mut self, object: usize) -> c_int {
        let slot = Some(Slot { object, registration: None });
        let index = match self.free_slots.pop() {
            Some(index) => {
                self.slots[index] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        let descriptor = BASE + index as c_int;
        self.object_mut(object).descriptors.push(descriptor);
        descriptor
    }

    fn slot(&self, descriptor: c_int) -> Option<&Slot> {
        self.slots.get(usize::try_from(descriptor.checked_sub(BASE)?).ok()?)?.as_ref()
    }

    fn slot_mut(&mut self, descriptor: c_int) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(descriptor.checked_sub(BASE)?).ok()?)?.as_mut()
    }

    /// The index of a descriptor's object.
    pub(crate) fn object_of(&self, descriptor: c_int) -> Outcome<usize> {
        self.slot(descriptor).map(|slot| slot.object).ok_or(Errno(libc::EBADF))
    }

    /// A descriptor's object.
    pub(crate) fn get(&self, descriptor: c_int) -> Outcome<&Object> {
        Ok(self.object(self.object_of(descriptor)?))
    }

    /// A descriptor's object.
    pub(crate) fn get_mut(&mut self, descriptor: c_int) -> Outcome<&mut Object> {
        let object = self.object_of(descriptor)?;
        Ok(self.object_mut(object))
    }

    /// An object that is known to exist.
    pub(crate) fn object(&self, index: usize) -> &Object {
        self.objects[index].as_ref().expect("an object lives as long as a descriptor names it")
    }

    /// An object that is known to exist.
    pub(crate) fn object_mut(&mut self, index: usize) -> &mut Object {
        self.objects[index].as_mut().expect("an object lives as long as a descriptor names it")
    }

    /// Takes a number out; returns the object when this was its last. An orphan's number stays taken.
    fn release(&mut self, descriptor: c_int, orphan: bool) -> Outcome<Option<(usize, Object)>> {
        let index = self.object_of(descriptor)?;
        let slot = (descriptor - BASE) as usize;
        self.slots[slot] = None;
        if !orphan {
            self.free_slots.push(slot);
        } else {
            self.orphans.insert(descriptor);
        }
        let object = self.object_mut(index);
        object.descriptors.retain(|each| *each != descriptor);
        if !object.descriptors.is_empty() {
            return Ok(None);
        }
        self.free_objects.push(index);
        Ok(self.objects[index].take().map(|object| (index, object)))
    }

    /// The holder of an orphan closes it: its number is free.
    fn bury(&mut self, descriptor: c_int) -> bool {
        let buried = self.orphans.remove(&descriptor);
        if buried {
            self.free_slots.push((descriptor - BASE) as usize);
        }
        buried
    }

    /// All descriptors of a host.
    fn of_host(&self, host: u32) -> Vec<c_int> {
        let is_hosts = |slot: &Slot| self.object(slot.object).host == host;
        let each = self.slots.iter().enumerate();
        each.filter(|(_, slot)| slot.as_ref().is_some_and(is_hosts))
            .map(|(at, _)| BASE + at as c_int)
            .collect()
    }

    /// How many descriptors an object has.
    pub(crate) fn watchers(&self, object: usize) -> usize {
        self.objects[object].as_ref().map_or(0, |object| object.descriptors.len())
    }

    /// One of an object's descriptors.
    pub(crate) fn watcher(&self, object: usize, index: usize) -> c_int {
        self.object(object).descriptors[index]
    }

    /// How a descriptor is watched.
    pub(crate) fn registration_mut(&mut self, descriptor: c_int) -> Option<&mut Registration> {
        self.slot_mut(descriptor)?.registration.as_mut()
    }

    /// Ends the watch of a descriptor.
    pub(crate) fn take_registration(&mut self, descriptor: c_int) -> Option<Registration> {
        self.slot_mut(descriptor)?.registration.take()
    }

    /// Watches a descriptor.
    pub(crate) fn set_registration(&mut self, descriptor: c_int, registration: Registration) {
        if let Some(slot) = self.slot_mut(descriptor) {
            slot.registration = Some(registration);
        }
    }
}

impl Kernel {
    /// What epoll would report of an object.
    pub(crate) fn readiness(&self, object: usize) -> u32 {
        const IN: u32 = libc::EPOLLIN as u32;
        const OUT: u32 = libc::EPOLLOUT as u32;
        match &self.table.object(object).kind {
            Kind::Event(count) => OUT | if *count > 0 { IN } else { 0 },
            Kind::Udp(socket) => OUT | if socket.has_datagram() { IN } else { 0 },
            Kind::Listener(listener) => {
                if listener.has_connection() {
                    IN
                } else {
                    0
                }
            }
            Kind::Tcp { .. } => OUT | libc::EPOLLHUP as u32,
            Kind::Connection(endpoint) => self.connection_readiness(*endpoint),
            Kind::Epoll(_) | Kind::File(_) | Kind::Directory(_) => 0,
        }
    }

    /// Closes a descriptor, and its object with the last one.
    pub(crate) fn close(&mut self, descriptor: c_int) -> Outcome<c_int> {
        if self.table.bury(descriptor) { Ok(0) } else { self.end(descriptor, false) }
    }

    fn end(&mut self, descriptor: c_int, orphan: bool) -> Outcome<c_int> {
        self.unwatch(descriptor);
        let Some((index, object)) = self.table.release(descriptor, orphan)? else { return Ok(0) };
        self.ports.release(index);
        match object.kind {
            Kind::Listener(listener) => self.drop_listener(listener),
            Kind::Connection(endpoint) => {
                let lingers = object.options.iter().any(|(level, name, value)| {
                    (*level, *name) == (libc::SOL_SOCKET, libc::SO_LINGER)
                        && value[..] == [1, 0, 0, 0, 0, 0, 0, 0]
                });
                self.close_connection(endpoint, lingers);
            }
            Kind::File(file) => self.host_mut(object.host).disk.close(&file),
            Kind::Epoll(_) | Kind::Event(_) | Kind::Udp(_) | Kind::Tcp { .. } | Kind::Directory(_) => {}
        }
        Ok(0)
    }

    /// Closes what is left of a dead host. Returns how many descriptors that were.
    pub(crate) fn close_all(&mut self, host: u32) -> usize {
        let left = self.table.of_host(host);
        for descriptor in &left {
            let _ = self.end(*descriptor, true);
        }
        left.len()
    }

    fn duplicate(&mut self, descriptor: c_int) -> Outcome<c_int> {
        let object = self.table.object_of(descriptor)?;
        Ok(self.table.describe(object))
    }

    /// `fcntl` on a virtual descriptor, but for locks.
    fn set_or_get(&mut self, descriptor: c_int, command: c_int, argument: usize) -> Outcome<c_int> {
        if self.table.orphans.contains(&descriptor) {
            return Ok(0);
        }
        let object = self.table.get_mut(descriptor)?;
        match command {
            libc::F_GETFD => Ok(libc::FD_CLOEXEC),
            libc::F_SETFD => Ok(0),
            libc::F_GETFL => Ok(libc::O_RDWR | if object.nonblocking { libc::O_NONBLOCK } else { 0 }),
            libc::F_SETFL => {
                object.nonblocking = argument as c_int & libc::O_NONBLOCK != 0;
                Ok(0)
            }
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => self.duplicate(descriptor),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    fn read(&mut self, descriptor: c_int, into: &mut Scatter<'_>) -> Outcome<isize> {
        let object = self.table.object_of(descriptor)?;
        match &mut self.table.object_mut(object).kind {
            Kind::Event(0) => Err(Errno(libc::EAGAIN)),
            Kind::Event(count) => {
                let taken = std::mem::take(count);
                Ok(into.put(&taken.to_ne_bytes()) as isize)
            }
            Kind::File(_) => self.read_file(descriptor, into),
            Kind::Directory(_) => Err(Errno(libc::EISDIR)),
            Kind::Udp(_) | Kind::Connection(_) => {
                self.receive(descriptor, into, false).map(|(count, _)| count)
            }
            Kind::Tcp { .. } | Kind::Listener(_) => Err(Errno(libc::ENOTCONN)),
            Kind::Epoll(_) => Err(Errno(libc::EINVAL)),
        }
    }

    fn write(&mut self, descriptor: c_int, bytes: &[IoSlice<'_>]) -> Outcome<isize> {
        if self.table.orphans.contains(&descriptor) {
            return Ok(bytes.iter().map(|piece| piece.len() as isize).sum());
        }
        let object = self.table.object_of(descriptor)?;
        match &mut self.table.object_mut(object).kind {
            Kind::Event(count) => {
                *count = count.saturating_add(1);
                self.mark_event(object, descriptor);
                Ok(8)
            }
            Kind::File(_) => self.write_file(descriptor, bytes),
            Kind::Directory(_) | Kind::Epoll(_) => Err(Errno(libc::EBADF)),
            Kind::Udp(_) | Kind::Connection(_) | Kind::Tcp { .. } | Kind::Listener(_) => {
                self.send(descriptor, bytes)
            }
        }
    }
}

/// `fcntl`, for the symbols and for the system call. `None` leaves it to the real one.
pub(crate) fn control(descriptor: c_int, command: c_int, argument: usize) -> Option<c_int> {
    if !is_virtual(descriptor) {
        return None;
    }
    let answer = kernel::with(|kernel| {
        if files::is_lock(command) {
            // SAFETY: with these commands fcntl's argument points to a `flock64`.
            return unsafe { kernel.lock_range(descriptor, command, argument as *mut libc::flock64) };
        }
        kernel.set_or_get(descriptor, command, argument)
    });
    // A thread outside the simulation drops a virtual descriptor: std checks it with F_GETFD and aborts on an
    // error. The thread itself is on the list of leaks.
    Some(answer.map_or(0, reply))
}

/// Takes a call on a virtual descriptor; `stray` is the answer on a thread that has no simulation.
pub(crate) fn on_virtual<T: From<i8>>(
    descriptor: c_int,
    stray: T,
    visit: impl FnOnce(&mut Kernel) -> Outcome<T>,
) -> Option<T> {
    is_virtual(descriptor).then(|| kernel::with(visit).map_or(stray, reply))
}

interpose! {
    /// Closes a descriptor.
    fn close(descriptor: c_int) -> c_int {
        on_virtual(descriptor, 0, |kernel| kernel.close(descriptor))
    }

    /// Makes a second descriptor for the same object.
    fn dup(descriptor: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| kernel.duplicate(descriptor))
    }

    /// Reads or changes a descriptor.
    fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
        control(descriptor, command, argument)
    }

    /// Reads or changes a descriptor.
    fn fcntl64(descriptor: c_int, command: c_int, argument: usize) -> c_int {
        control(descriptor, command, argument)
    }

    /// Makes a socket non-blocking, as mio and std do it.
    fn ioctl(descriptor: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
        on_virtual(descriptor, 0, |kernel| {
            let object = kernel.table.get_mut(descriptor)?;
            match request {
                libc::FIONBIO => {
                    // SAFETY: with this request the argument points to an int.
                    object.nonblocking = unsafe { argument.cast::<c_int>().read() } != 0;
                    Ok(0)
                }
                libc::FIONCLEX | libc::FIOCLEX => Ok(0),
                _ => Err(Errno(libc::ENOTTY)),
            }
        })
    }

    /// Reads.
    fn read(descriptor: c_int, buffer: *mut u8, length: usize) -> isize {
        on_virtual(descriptor, 0, |kernel| {
            // SAFETY: the contract of read.
            kernel.read(descriptor, &mut unsafe { Scatter::one(buffer, length) })
        })
    }

    /// Reads into several buffers.
    fn readv(descriptor: c_int, vector: *const iovec, count: c_int) -> isize {
        on_virtual(descriptor, 0, |kernel| {
            // SAFETY: the contract of readv.
            kernel.read(descriptor, &mut unsafe { Scatter::many(vector, count as usize) })
        })
    }

    /// Writes. On a foreign thread a stray wake-up is swallowed.
    fn write(descriptor: c_int, buffer: *const u8, length: usize) -> isize {
        on_virtual(descriptor, length as isize, |kernel| {
            // SAFETY: the contract of write.
            kernel.write(descriptor, &[IoSlice::new(unsafe { memory::bytes(buffer, length) })])
        })
    }

    /// Writes several buffers.
    fn writev(descriptor: c_int, vector: *const iovec, count: c_int) -> isize {
        on_virtual(descriptor, 0, |kernel| {
            // SAFETY: the contract of writev.
            kernel.write(descriptor, unsafe { memory::gather(vector, count as usize) })
        })
    }
}
