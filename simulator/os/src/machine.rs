//! What a program can learn about its machine: the same for every run, whatever the real machine is.

use crate::kernel;
use crate::symbol::interpose;
use libc::{c_char, c_int, c_long, pid_t};
use std::ptr;

/// Processors of every simulated machine. (dashmap's shards, and so its order, follow their number.)
const PROCESSORS: usize = 4;

interpose! {
    /// How many processors there are, as std asks.
    fn sched_getaffinity(process: pid_t, length: usize, mask: *mut u8) -> c_int {
        kernel::with(|_| {
            if length > 0 {
                // SAFETY: the caller gives a mask of `length` bytes.
                unsafe {
                    ptr::write_bytes(mask, 0, length);
                    mask.write((1 << PROCESSORS) - 1);
                }
            }
            0
        })
    }

    /// How many processors there are, as others ask; all else comes from the real system.
    fn sysconf(name: c_int) -> c_long {
        if name == libc::_SC_NPROCESSORS_ONLN || name == libc::_SC_NPROCESSORS_CONF {
            kernel::with(|_| PROCESSORS as c_long)
        } else {
            None
        }
    }

    /// The number of the process, which differs between incarnations and never between runs.
    fn getpid() -> pid_t {
        kernel::in_turn(|kernel| kernel.running().map_or(1, |host| kernel.host(host).process))
    }

    /// The host's name.
    fn gethostname(into: *mut c_char, length: usize) -> c_int {
        kernel::in_turn(|kernel| {
            let name = kernel.place().name.as_bytes();
            let count = name.len().min(length.saturating_sub(1));
            if length > 0 {
                // SAFETY: the caller gives `length` bytes; at most that many are written.
                unsafe {
                    ptr::copy_nonoverlapping(name.as_ptr().cast(), into, count);
                    into.add(count).write(0);
                }
            }
            0
        })
    }

    /// The operating system's name and version: quinn asks whether it has segmentation offload.
    fn uname(into: *mut libc::utsname) -> c_int {
        kernel::with(|_| {
            // SAFETY: all zero is a utsname of empty texts; the caller gives a place for one.
            unsafe {
                into.write(std::mem::zeroed());
                for (field, text) in [
                    (&raw mut (*into).sysname, c"Linux"),
                    (&raw mut (*into).release, c"6.1.0"),
                    (&raw mut (*into).machine, c"x86_64"),
                ] {
                    ptr::copy_nonoverlapping(text.as_ptr(), field.cast(), text.count_bytes());
                }
            }
            0
        })
    }

    /// The environment of a simulated program is empty, so that the real one cannot reach a run.
    fn getenv(name: *const c_char) -> *mut c_char {
        kernel::in_turn(|_| ptr::null_mut())
    }

    /// No descriptor of a simulated program is a terminal.
    fn isatty(descriptor: c_int) -> c_int {
        kernel::in_turn(|_| 0)
    }
}
