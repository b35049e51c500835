//! What must not happen inside a turn: calls that would block the thread or bring in the real world. They are
//! recorded by name, and a run with a non-empty list has failed.

use crate::kernel::{self, Kernel};
use crate::symbol::{Errno, interpose, reply};
use crate::{descriptor, entropy, files};
use libc::{c_char, c_int, c_long, c_void, pthread_attr_t, pthread_t, timespec};
use std::collections::BTreeMap;

/// Calls that escaped, counted per host.
#[derive(Debug, Default)]
pub(crate) struct Leaks(BTreeMap<(String, &'static str), u64>);

impl Kernel {
    /// Notes an escape of the running host. What a dying host does is no fault of its program.
    pub(crate) fn leak(&mut self, what: &'static str) {
        if self.dying || self.turn.trusted {
            return;
        }
        let place = self.place().name.to_owned();
        *self.leaks.0.entry((place, what)).or_default() += 1;
    }

    /// All escapes so far, in words.
    pub fn leaks(&self) -> Vec<String> {
        self.leaks.0.iter().map(|((host, what), count)| format!("{what} on {host} ({count} times)")).collect()
    }
}

/// Notes an escape when it happens inside a turn. The call goes on to the real libc.
fn note<T>(what: &'static str) -> Option<T> {
    kernel::in_turn(|kernel| kernel.leak(what));
    None
}

/// What a thread runs.
type ThreadMain = extern "C" fn(*mut c_void) -> *mut c_void;

interpose! {
    /// A thread would run beside the simulation, at the mercy of the real scheduler.
    fn pthread_create(
        thread: *mut pthread_t,
        attributes: *const pthread_attr_t,
        main: ThreadMain,
        argument: *mut c_void,
    ) -> c_int {
        note("pthread_create (a thread, spawn_blocking, tokio::fs or a name look-up)")
    }

    /// Sleeping would stop the whole world; it returns at once.
    fn nanosleep(request: *const timespec, remaining: *mut timespec) -> c_int {
        kernel::in_turn(|kernel| {
            kernel.leak("nanosleep (std::thread::sleep)");
            0
        })
    }

    /// Sleeping would stop the whole world; it returns at once.
    fn clock_nanosleep(
        clock: c_int,
        flags: c_int,
        request: *const timespec,
        remaining: *mut timespec,
    ) -> c_int {
        kernel::in_turn(|kernel| {
            kernel.leak("clock_nanosleep (std::thread::sleep)");
            0
        })
    }

    /// Waiting for a descriptor would block the thread.
    fn poll(descriptors: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int) -> c_int {
        kernel::in_turn(|kernel| {
            kernel.leak("poll (a blocking connect or read)");
            0
        })
    }

    /// Processes are values of a seam, never started inside a simulation.
    fn posix_spawnp(
        process: *mut c_int,
        file: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        kernel::in_turn(|kernel| {
            kernel.leak("posix_spawnp (a child process)");
            libc::EPERM
        })
    }

    /// Names are resolved by the real network, at its own pace.
    fn getaddrinfo(
        node: *const c_char,
        service: *const c_char,
        hints: *const libc::addrinfo,
        found: *mut *mut libc::addrinfo,
    ) -> c_int {
        kernel::in_turn(|kernel| {
            kernel.leak("getaddrinfo (a name look-up)");
            libc::EAI_FAIL
        })
    }

    /// A pipe would be a real one.
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
        note("pipe2 (a real pipe)")
    }

    /// Yielding in a loop is waiting for another thread, and there is none: it counts as a busy-wait.
    fn sched_yield() -> c_int {
        kernel::in_turn(|kernel| {
            kernel.step();
            0
        })
    }

    /// Processes are values of a seam, never started inside a simulation.
    fn fork() -> c_int {
        kernel::in_turn(|kernel| {
            kernel.leak("fork (a child process)");
            reply::<c_int>(Err(Errno(libc::EPERM)))
        })
    }

    /// Local socket pairs would be real ones. A runtime's own signal pipe is made between turns.
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
        note("socketpair (a local socket)")
    }

    /// The variadic gate: getrandom 0.2, ring and rand 0.8 take random bytes here, redb locks files here, std
    /// waits on futexes here.
    fn syscall(
        number: c_long,
        first: usize,
        second: usize,
        third: usize,
        fourth: usize,
        fifth: usize,
        sixth: usize,
    ) -> c_long {
        match number {
            // SAFETY: the contract of the system call getrandom.
            libc::SYS_getrandom => unsafe { entropy::fill(first as *mut u8, second) }.map(|()| second as c_long),
            libc::SYS_fcntl => {
                descriptor::control(first as c_int, second as c_int, third).map(c_long::from)
            }
            libc::SYS_statx => {
                // SAFETY: the contract of the system call statx.
                unsafe { files::status_at(first as c_int, second as *const c_char, fifth as *mut libc::statx) }
                    .map(c_long::from)
            }
            libc::SYS_futex => {
                let operation = second as c_int & 0x7f;
                if operation == libc::FUTEX_WAIT || operation == libc::FUTEX_WAIT_BITSET {
                    note("futex wait (a parked thread or a contended lock)")
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}
