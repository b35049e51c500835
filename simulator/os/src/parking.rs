//! Where a runtime parks: `epoll_wait` never blocks. It hands over what is ready, or notes that the executor is
//! idle until its next timer, or has worked for long enough, and wakes the root future of the turn, so that the turn ends.

use crate::descriptor::{Kind, is_virtual};
use crate::kernel::{self, Kernel, Seat};
use crate::symbol::{Errno, Outcome, interpose, reply};
use libc::{c_int, c_uint, epoll_event};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Conditions that epoll reports whether asked or not.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// An executor that has more to do, and looks in passing what is ready, goes on in its next turn once it has worked for so
/// many nanoseconds: what happens meanwhile reaches it then.
const TURN_MAX: u64 = 1_000_000;

/// One epoll instance: it belongs to the executor that made it.
#[derive(Debug)]
struct Epoll {
    seat: Seat,
    /// Descriptors whose state changed since they were last reported.
    ready: VecDeque<c_int>,
}

/// How one descriptor is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    epoll: usize,
    token: u64,
    interest: u32,
    queued: bool,
}

/// All epoll instances, and how the running executor parked.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    epolls: Vec<Epoll>,
    idle: bool,
    /// Milliseconds, as `epoll_wait` was told; negative means for ever.
    timeout: c_int,
    root: Option<Waker>,
    runnable: VecDeque<Seat>,
}

impl Parking {
    /// A turn begins.
    pub(crate) fn enter(&mut self) {
        self.idle = false;
        self.timeout = -1;
    }

    /// The turn is over: milliseconds until the next timer.
    pub(crate) fn leave(&mut self) -> Option<u64> {
        u64::try_from(self.timeout).ok()
    }

    fn make_runnable(&mut self, seat: Seat) {
        if !self.runnable.contains(&seat) {
            self.runnable.push_back(seat);
        }
    }

    /// A host is gone; its wakes are void.
    pub(crate) fn forget(&mut self, host: u32) {
        self.runnable.retain(|seat| seat.host != host);
    }
}

impl Kernel {
    /// The next executor that something woke from outside its own turn.
    pub fn next_runnable(&mut self) -> Option<Seat> {
        self.parking.runnable.pop_front()
    }

    /// Gives an executor a turn as soon as it can have one.
    pub fn wake(&mut self, seat: Seat) {
        self.parking.make_runnable(seat);
    }

    /// The state of a socket changed: those who watch it will hear of it.
    pub(crate) fn mark(&mut self, object: usize) {
        let watchers = self.table.watchers(object);
        for index in 0..watchers {
            let descriptor = self.table.watcher(object, index);
            let Some(registration) = self.table.registration_mut(descriptor) else { continue };
            if registration.queued {
                continue;
            }
            registration.queued = true;
            let epoll = &mut self.parking.epolls[registration.epoll];
            epoll.ready.push_back(descriptor);
            let seat = epoll.seat;
            if self.turn.seat != Some(seat) {
                self.parking.make_runnable(seat);
            }
        }
    }

    /// An eventfd was written. The running executor's own wake, which ends its turn, is no news to it.
    pub(crate) fn mark_event(&mut self, object: usize, descriptor: c_int) {
        let own = self.table.registration_mut(descriptor).map(|registration| registration.epoll);
        let own = own.is_some_and(|epoll| Some(self.parking.epolls[epoll].seat) == self.turn.seat);
        if !(own && self.parking.idle) {
            self.mark(object);
        }
    }

    fn epoll_create(&mut self) -> Outcome<c_int> {
        let seat = self.turn.seat.ok_or(Errno(libc::EMFILE))?;
        self.parking.epolls.push(Epoll { seat, ready: VecDeque::new() });
        let index = self.parking.epolls.len() - 1;
        Ok(self.table.open(seat.host, Kind::Epoll(index), true))
    }

    fn epoll_index(&self, descriptor: c_int) -> Outcome<usize> {
        match &self.table.get(descriptor)?.kind {
            Kind::Epoll(index) => Ok(*index),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// Stops watching a descriptor.
    pub(crate) fn unwatch(&mut self, descriptor: c_int) {
        if let Some(gone) = self.table.take_registration(descriptor)
            && gone.queued
        {
            self.parking.epolls[gone.epoll].ready.retain(|each| *each != descriptor);
        }
    }

    fn epoll_control(
        &mut self,
        epoll: c_int,
        operation: c_int,
        descriptor: c_int,
        event: Option<epoll_event>,
    ) -> Outcome<c_int> {
        let epoll = self.epoll_index(epoll)?;
        if !is_virtual(descriptor) {
            // A process-wide pipe of tokio's signal handling: it never becomes ready in here.
            return Ok(0);
        }
        let object = self.table.object_of(descriptor)?;
        let known = self.table.registration_mut(descriptor).is_some();
        match operation {
            libc::EPOLL_CTL_DEL if known => {
                self.unwatch(descriptor);
                return Ok(0);
            }
            libc::EPOLL_CTL_ADD if known => return Err(Errno(libc::EEXIST)),
            libc::EPOLL_CTL_DEL | libc::EPOLL_CTL_MOD if !known => return Err(Errno(libc::ENOENT)),
            _ => {}
        }
        let event = event.ok_or(Errno(libc::EFAULT))?;
        self.unwatch(descriptor);
        let registration = Registration { epoll, token: event.u64, interest: event.events, queued: false };
        self.table.set_registration(descriptor, registration);
        let is_event = matches!(self.table.object(object).kind, Kind::Event(_));
        if !is_event && self.readiness(object) & (event.events | ALWAYS) != 0 {
            self.mark(object);
        }
        Ok(0)
    }

    /// Takes up to `max` ready events of an epoll instance. What each reports is computed now, as on Linux.
    fn take_ready(&mut self, epoll: usize, max: usize, mut report: impl FnMut(usize, epoll_event)) -> usize {
        let mut count = 0;
        let mut waiting = self.parking.epolls[epoll].ready.len();
        while count < max && waiting > 0 {
            waiting -= 1;
            let Some(descriptor) = self.parking.epolls[epoll].ready.pop_front() else { break };
            let Ok(object) = self.table.object_of(descriptor) else { continue };
            let state = self.readiness(object);
            let Some(registration) = self.table.registration_mut(descriptor) else { continue };
            registration.queued = false;
            let events = state & (registration.interest | ALWAYS);
            if events == 0 {
                continue;
            }
            report(count, epoll_event { events, u64: registration.token });
            count += 1;
            if registration.interest & libc::EPOLLONESHOT as u32 != 0 {
                registration.interest = 0;
            } else if registration.interest & libc::EPOLLET as u32 == 0 {
                // Level-triggered: ask again next time.
                registration.queued = true;
                self.parking.epolls[epoll].ready.push_back(descriptor);
            }
        }
        count
    }

    /// Parks the running executor, or reports what is ready. The waker, if any, is to be woken by the caller
    /// once the kernel is no longer borrowed, for it comes back through a symbol.
    fn park(
        &mut self,
        epoll: c_int,
        max: usize,
        timeout: c_int,
        report: impl FnMut(usize, epoll_event),
    ) -> Outcome<(usize, Option<Waker>)> {
        self.step();
        let epoll = self.epoll_index(epoll)?;
        let count = self.take_ready(epoll, max, report);
        let has_more = count > 0 || timeout == 0;
        if has_more && (timeout != 0 || self.turn.lag < TURN_MAX) {
            return Ok((count, None));
        }
        self.parking.idle = true;
        self.parking.timeout = timeout;
        Ok((count, self.parking.root.take()))
    }
}

/// The root future of a turn: it ends when the executor has parked.
#[derive(Debug)]
pub struct TurnEnd(());

/// Runs an executor until it parks: `runtime.block_on(turn())`, between [`Kernel::enter`] and
/// [`Kernel::leave`].
pub fn turn() -> TurnEnd {
    TurnEnd(())
}

impl Future for TurnEnd {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        // An older waker is dropped out here: with it a whole runtime may go, which closes descriptors.
        let parked = kernel::with(|kernel| {
            let older = if kernel.parking.idle { Some(waker) } else { kernel.parking.root.replace(waker) };
            (kernel.parking.idle, older)
        });
        if let Some((false, _)) = parked { Poll::Pending } else { Poll::Ready(()) }
    }
}

interpose! {
    /// Makes an epoll instance for the running executor.
    fn epoll_create1(flags: c_int) -> c_int {
        kernel::in_turn(|kernel| reply(kernel.epoll_create()))
    }

    /// Watches a descriptor.
    fn epoll_ctl(epoll: c_int, operation: c_int, descriptor: c_int, event: *mut epoll_event) -> c_int {
        if !is_virtual(epoll) {
            None
        } else {
            // SAFETY: the caller gives null or one event.
            let event = (!event.is_null()).then(|| unsafe { event.read_unaligned() });
            let answer = kernel::with(|kernel| kernel.epoll_control(epoll, operation, descriptor, event));
            Some(answer.map_or(0, reply))
        }
    }

    /// Parks. Never blocks inside a simulation.
    fn epoll_wait(epoll: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int {
        if !is_virtual(epoll) {
            None
        } else {
            kernel::with(|kernel| {
                kernel.park(epoll, usize::try_from(max).unwrap_or(0), timeout, |index, event| {
                    // SAFETY: the caller gives room for `max` events, and `index` stays below.
                    unsafe { events.add(index).write_unaligned(event) };
                })
            })
            .map(|parked| {
                reply(parked.map(|(count, root)| {
                    if let Some(root) = root {
                        root.wake();
                    }
                    count as c_int
                }))
            })
        }
    }

    /// Makes an eventfd: how a runtime is woken from elsewhere.
    fn eventfd(initial: c_uint, flags: c_int) -> c_int {
        kernel::in_turn(|kernel| {
            reply(kernel.running().map(|host| kernel.table.open(host, Kind::Event(u64::from(initial)), true)))
        })
    }
}
