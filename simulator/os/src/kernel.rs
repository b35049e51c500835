//! The kernel: all state of one simulated operating system, and the one way to it from a symbol.

use crate::descriptor::Table;
use crate::entropy::Stream;
use crate::files::{Disk, Listings};
use crate::leaks::Leaks;
use crate::parking::Parking;
use crate::ports::Ports;
use crate::symbol::{Errno, Outcome};
use crate::tcp::Connections;
use crate::time::Clock;
use crate::trace::{Happening, Place, Recorder};
use crate::wire::{Emission, Payload};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ptr;

thread_local! {
    /// This thread's kernel; null when it has none, and while [`with`] lends it out.
    static KERNEL: Cell<*mut Kernel> = const { Cell::new(ptr::null_mut()) };
}

/// Puts the lent pointer back into the thread's cell, also when the borrower panics.
struct Lent(*mut Kernel);

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        KERNEL.set(self.0);
    }
}

/// Puts a kernel under this thread: from now on its symbols are answered from it.
///
/// # Panics
/// When the thread has one already.
pub fn install(kernel: Kernel) {
    assert!(KERNEL.get().is_null(), "a thread runs one simulation at a time");
    KERNEL.set(Box::into_raw(Box::new(kernel)));
}

/// Takes the kernel away; the thread is an ordinary one again.
pub fn uninstall() -> Option<Box<Kernel>> {
    let pointer = KERNEL.replace(ptr::null_mut());
    // SAFETY: a pointer in the cell came from `Box::into_raw` in `install`, and leaves it for good only here.
    // While `with` lends it, the cell is null.
    (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
}

/// Runs `visit` with this thread's kernel; `None` when there is none.
///
/// Not reentrant: inside `visit` the thread counts as one without a kernel, so symbols that it happens to
/// call (to print a message, say) reach the real libc. Therefore two exclusive borrows never overlap.
#[inline]
pub fn with<R>(visit: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    let pointer = KERNEL.get();
    if pointer.is_null() {
        return None;
    }
    KERNEL.set(ptr::null_mut());
    let lent = Lent(pointer);
    // SAFETY: the pointer is from `install` and not freed, since `uninstall` finds null until `lent` is
    // dropped; for the same reason no second reference is made meanwhile.
    Some(visit(unsafe { &mut *lent.0 }))
}

/// As [`with`], but only while a host has its turn: between turns the script's own files, sockets and threads
/// are real ones, and only clocks and chance stay virtual.
#[inline]
pub(crate) fn in_turn<R>(visit: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    with(|kernel| kernel.turn.seat.is_some().then(|| visit(kernel))).flatten()
}

/// Runs `visit` on the real operating system, though the thread may have a kernel.
pub fn outside<R>(visit: impl FnOnce() -> R) -> R {
    let _lent = Lent(KERNEL.replace(ptr::null_mut()));
    visit()
}

/// One executor of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// The host's number, in the order of [`Kernel::add_host`].
    pub host: u32,
    /// Which of the host's executors.
    pub executor: u32,
}

/// What the kernel counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it; the report documents each")]
pub struct Counters {
    pub clock_reads: u64,
    pub random_reads: u64,
    pub suppressed: u64,
    pub datagrams_sent: u64,
    pub datagrams_overflowed: u64,
    pub segments: u64,
    pub segment_bytes: u64,
    pub file_writes: u64,
    pub file_bytes: u64,
    pub file_syncs: u64,
    pub pages_lost: u64,
    pub pages_torn: u64,
    pub pages_kept: u64,
    pub names_lost: u64,
    pub log_lines: u64,
}

/// The turn that is running, if any.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Whose turn it is.
    pub(crate) seat: Option<Seat>,
    /// The host's clock at the start of the turn; between turns the world's.
    pub(crate) local_start: u64,
    /// Time spent inside the turn so far: its CPU time, slow syncs, clock readings.
    pub(crate) lag: u64,
    /// What one clock reading costs.
    pub(crate) clock_read: u64,
    /// The world itself is at work for the host (it makes a runtime): nothing of that is an escape.
    pub(crate) trusted: bool,
    /// Clock readings and polls so far, for the livelock guard.
    pub(crate) steps: u64,
}

/// One simulated machine, as its operating system sees it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) clock: Clock,
    /// The latest reading of its monotonic clock.
    pub(crate) clock_read: u64,
    pub(crate) entropy: Stream,
    pub(crate) disk: Disk,
    /// The last port handed out to a socket that did not ask for one.
    pub(crate) port_last: u16,
    /// What `getpid` answers.
    pub(crate) process: i32,
    /// The host is to crash inside its n-th send from now.
    sends_left: Option<u64>,
}

/// All virtual state of one simulation. The world drives it through its methods; programs reach it through
/// the symbols.
#[derive(Debug)]
pub struct Kernel {
    /// The world's time in nanoseconds since the start.
    pub(crate) now: u64,
    pub(crate) turn: Turn,
    hosts: Vec<Host>,
    addresses: BTreeMap<Ipv4Addr, u32>,
    /// Chance for the script, between turns.
    pub(crate) entropy: Stream,
    pub(crate) parking: Parking,
    pub(crate) table: Table,
    pub(crate) ports: Ports,
    pub(crate) connections: Connections,
    pub(crate) listings: Listings,
    outbox: Vec<Emission>,
    panics: Vec<String>,
    /// Everything that happened.
    pub recorder: Recorder,
    pub(crate) leaks: Leaks,
    pub(crate) counters: Counters,
    /// A host that reached its appointed crash inside this turn.
    doomed: Option<u32>,
    /// A host is going down: nothing that its destructors do may reach network, disk or trace.
    pub(crate) dying: bool,
    /// Bytes that one end of a TCP connection buffers per direction.
    pub(crate) buffer_max: usize,
}

impl Kernel {
    /// A kernel without hosts at time zero.
    pub fn new(seed: u64, recorder: Recorder) -> Kernel {
        Kernel {
            now: 0,
            turn: Turn::default(),
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            entropy: Stream::new(seed, "script entropy"),
            parking: Parking::default(),
            table: Table::default(),
            ports: Ports::default(),
            connections: Connections::default(),
            listings: Listings::default(),
            outbox: Vec::new(),
            panics: Vec::new(),
            recorder,
            leaks: Leaks::default(),
            counters: Counters::default(),
            doomed: None,
            dying: false,
            buffer_max: 256 * 1024,
        }
    }

    /// Sets how many bytes each end of a TCP connection buffers per direction (new connections).
    pub fn set_buffer_max(&mut self, bytes: usize) {
        self.buffer_max = bytes.max(1);
    }

    /// Sets how many nanoseconds one reading of a clock costs.
    pub fn set_clock_read(&mut self, nanoseconds: u64) {
        self.turn.clock_read = nanoseconds;
    }

    /// Adds a machine; its number is the count of those before it.
    pub fn add_host(&mut self, name: &str, address: Ipv4Addr, seed: u64) -> u32 {
        let number = self.hosts.len() as u32;
        self.addresses.insert(address, number);
        self.hosts.push(Host {
            name: name.to_owned(),
            address,
            clock: Clock::default(),
            clock_read: 0,
            entropy: Stream::new(seed, &format!("entropy of {name}")),
            disk: Disk::new(Stream::new(seed, &format!("disk of {name}"))),
            port_last: 32_768,
            process: 0,
            sends_left: None,
        });
        number
    }

    pub(crate) fn host(&self, number: u32) -> &Host {
        &self.hosts[number as usize]
    }

    pub(crate) fn host_mut(&mut self, number: u32) -> &mut Host {
        &mut self.hosts[number as usize]
    }

    /// The host that has this address.
    pub(crate) fn host_of(&self, address: Ipv4Addr) -> Option<u32> {
        self.addresses.get(&address).copied()
    }

    /// The host's clock, to read or change it.
    pub fn clock_of(&mut self, host: u32) -> &mut Clock {
        &mut self.host_mut(host).clock
    }

    /// The host's disk, to look at it or make it fail.
    pub fn disk_of(&mut self, host: u32) -> &mut Disk {
        &mut self.host_mut(host).disk
    }

    /// Moves the world's clock, between turns.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
        self.turn.local_start = now;
    }

    /// The number of the process of this incarnation, for `getpid`.
    pub fn set_process(&mut self, host: u32, process: i32) {
        self.host_mut(host).process = process;
    }

    /// A turn begins: `cost` is the CPU time charged for it. What it sends leaves after that.
    pub fn enter(&mut self, seat: Seat, cost: u64) {
        self.turn.seat = Some(seat);
        self.turn.local_start = self.host(seat.host).clock.local(self.now);
        self.turn.lag = cost;
        self.turn.steps = 0;
        self.parking.enter();
    }

    /// As [`Kernel::enter`], for what the world does in a host's name, such as making a runtime: tokio may make
    /// a real pipe for signals then, once in a process, which never becomes ready.
    pub fn enter_trusted(&mut self, seat: Seat) {
        self.enter(seat, 0);
        self.turn.trusted = true;
    }

    /// As [`Kernel::leave`], for a turn in which the program ran: it is recorded.
    pub fn end_turn(&mut self) -> Parked {
        if let Some(seat) = self.turn.seat {
            let words = [u64::from(seat.executor), self.turn.lag];
            self.record(Happening::Turn, words, || {
                format!("end of a turn of executor {} after {} ns", words[0], words[1])
            });
        }
        self.leave()
    }

    /// The turn is over. Returns how long it took and when its executor wants the next one.
    pub fn leave(&mut self) -> Parked {
        let lag = self.turn.lag;
        let parked = Parked { lag, local_end: self.turn.local_start + lag, timeout: self.parking.leave() };
        self.turn.seat = None;
        self.turn.local_start = self.now;
        self.turn.lag = 0;
        self.turn.trusted = false;
        parked
    }

    /// The world's time at this moment of the running turn.
    pub(crate) fn instant(&self) -> u64 {
        self.now + self.turn.lag
    }

    /// The host whose turn it is.
    pub(crate) fn running(&self) -> Outcome<u32> {
        self.turn.seat.map(|seat| seat.host).ok_or(Errno(libc::ENETDOWN))
    }

    /// Where things happen right now.
    pub(crate) fn place(&self) -> Place<'_> {
        match self.turn.seat {
            Some(seat) => Place { number: seat.host + 1, name: &self.host(seat.host).name },
            None => Place { number: 0, name: "world" },
        }
    }

    /// Records something at this moment, on the host whose turn it is.
    pub fn record(&mut self, what: Happening, words: [u64; 2], text: impl FnOnce() -> String) {
        let seat = self.turn.seat.map(|seat| seat.host);
        self.record_on(seat, what, words, text);
    }

    /// Records something at this moment on a host, or in the world.
    pub fn record_on(
        &mut self,
        host: Option<u32>,
        what: Happening,
        words: [u64; 2],
        text: impl FnOnce() -> String,
    ) {
        let time = self.instant();
        let place = match host {
            Some(host) => Place { number: host + 1, name: &self.hosts[host as usize].name },
            None => Place { number: 0, name: "world" },
        };
        self.recorder.record(time, place, what, words, text);
    }

    /// Hands what was sent since the last call to the world, in order.
    pub fn drain_outbox(&mut self, into: &mut Vec<Emission>) {
        into.append(&mut self.outbox);
    }

    /// Puts something on the wire, unless the host is going down.
    pub(crate) fn emit(
        &mut self,
        from: u32,
        source: SocketAddrV4,
        destination: SocketAddrV4,
        payload: Payload,
    ) {
        if self.dying {
            self.counters.suppressed += 1;
            return;
        }
        if self.meets_doom(from) {
            return;
        }
        match &payload {
            Payload::Datagram(_) => self.counters.datagrams_sent += 1,
            Payload::Segment(_, segment) => {
                self.counters.segments += 1;
                self.counters.segment_bytes += segment.wire_length() as u64;
            }
        }
        let to = if destination.ip().is_loopback() { Some(from) } else { self.host_of(*destination.ip()) };
        let words = payload.words(source, destination);
        self.record_on(Some(from), Happening::Sent, words, || {
            format!("sent {source} > {destination} {payload}")
        });
        self.outbox.push(Emission { at: self.instant(), from, to, source, destination, payload });
    }

    /// Counts a send of the running host against its appointed crash; true when this is the one. What its
    /// operating system answers by itself, between turns, does not count.
    fn meets_doom(&mut self, from: u32) -> bool {
        if self.running() != Ok(from) {
            return false;
        }
        match &mut self.host_mut(from).sends_left {
            None => return false,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return false;
            }
        }
        self.doom(from);
        true
    }

    /// The host shall crash inside its `count`-th send from now (0 is the next).
    pub fn crash_at_send(&mut self, host: u32, count: Option<u64>) {
        self.host_mut(host).sends_left = count;
    }

    /// From here on nothing that the host does in this turn has an effect; the world crashes it afterwards.
    pub(crate) fn doom(&mut self, host: u32) {
        self.host_mut(host).sends_left = None;
        self.dying = true;
        self.doomed = Some(host);
    }

    /// The host that met its appointed crash in the last turn.
    pub fn take_doomed(&mut self) -> Option<u32> {
        self.doomed.take()
    }

    /// Whether a host is going down at this moment.
    pub fn is_dying(&self) -> bool {
        self.dying
    }

    /// The host dies. Its connections end (with resets to their peers when the machine survives) and from
    /// here to [`Kernel::end_crash`] nothing that its destructors do has an effect.
    pub fn begin_crash(&mut self, host: u32, machine_survives: bool) {
        self.dying = false;
        self.host_mut(host).sends_left = None;
        self.sever(host, machine_survives);
        self.dying = true;
    }

    /// The host's runtimes are gone: whatever descriptors are left go too, and its disk meets its fate.
    pub fn end_crash(&mut self, host: u32, machine_survives: bool) -> usize {
        let left = self.close_all(host);
        self.parking.forget(host);
        let before = self.counters;
        let Kernel { hosts, counters, .. } = self;
        hosts[host as usize].disk.crash(machine_survives, counters);
        self.dying = false;
        let lost =
            [self.counters.pages_lost - before.pages_lost, self.counters.pages_torn - before.pages_torn];
        let kept = self.counters.pages_kept - before.pages_kept;
        self.record_on(Some(host), Happening::File, lost, || {
            format!("disk after the crash: {} pages lost, {} torn, {kept} kept", lost[0], lost[1])
        });
        left
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A panic on this thread. True when it is the running host's, and recorded; then nobody else need tell of
    /// it. What panics while its host goes down never happened.
    pub fn note_panic(&mut self, message: &str) -> bool {
        if self.dying {
            return true;
        }
        if self.turn.seat.is_none() {
            return false;
        }
        let now = self.instant();
        let line =
            format!("{}.{:09} {}: {message}", now / 1_000_000_000, now % 1_000_000_000, self.place().name);
        self.log(&format!("PANIC {message}"));
        self.panics.push(line);
        true
    }

    /// The panics so far, with time and host.
    pub fn panics(&self) -> &[String] {
        &self.panics
    }

    /// Records a log line of the running program. Lines of a host that is going down never happened.
    pub fn log(&mut self, line: &str) {
        if self.dying {
            return;
        }
        self.counters.log_lines += 1;
        let words = [crate::trace::Digest::of(line.as_bytes()), 0];
        self.record(Happening::Log, words, || line.to_owned());
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug)]
pub struct Parked {
    /// How long the turn took, in nanoseconds.
    pub lag: u64,
    /// The host's clock at its end.
    pub local_end: u64,
    /// Milliseconds until the executor's next timer, if it has one.
    pub timeout: Option<u64>,
}
