//! Virtual clocks: each host has its own, drifting and skewed against the world's.

use crate::kernel::{self, Kernel};
use crate::symbol::interpose;
use libc::{c_int, clockid_t, time_t, timespec, timeval};

/// What the monotonic clock shows at the start of a simulation, so that programs may subtract from it.
const MONOTONIC_BASE: u64 = 1_000_000_000_000;
/// What the wall clock shows at the start: 2030-01-01T00:00:00Z, within the life of test certificates.
const WALL_BASE: u64 = 1_893_456_000_000_000_000;
/// Readings of clocks and visits of the parking place in one turn, after which it is taken for a livelock.
const STEPS_MAX: u64 = 1_000_000;

/// A host's clock: piecewise linear in the world's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The world's time of the last change of rate.
    world_start: u64,
    /// The host's time at that moment.
    local_start: u64,
    /// Parts per million by which the host's clock runs fast.
    drift_ppm: i64,
    /// Offset of the wall clock, in nanoseconds.
    skew: i64,
}

impl Clock {
    /// What the host's clock shows at this world time. Both in nanoseconds since the start.
    #[inline]
    pub fn local(&self, world: u64) -> u64 {
        let passed = world - self.world_start;
        if self.drift_ppm == 0 {
            return self.local_start + passed;
        }
        let gained = i128::from(passed) * i128::from(self.drift_ppm) / 1_000_000;
        self.local_start + (i128::from(passed) + gained) as u64
    }

    /// The first world time at which the host's clock shows at least `local`.
    pub fn world(&self, local: u64) -> u64 {
        let Some(passed) = local.checked_sub(self.local_start) else { return self.world_start };
        if self.drift_ppm == 0 {
            return self.world_start + passed;
        }
        let scaled = i128::from(passed) * 1_000_000 / (1_000_000 + i128::from(self.drift_ppm));
        let mut world = self.world_start + scaled as u64;
        while self.local(world) < local {
            world += 1;
        }
        world
    }

    /// Changes the rate from this world time on.
    pub fn set_drift(&mut self, now: u64, ppm: i64) {
        self.local_start = self.local(now);
        self.world_start = now;
        self.drift_ppm = ppm.max(-900_000);
    }

    /// Sets the wall clock's offset in nanoseconds.
    pub fn set_skew(&mut self, nanoseconds: i64) {
        self.skew = nanoseconds;
    }
}

/// The processor works for so many nanoseconds, if a turn of a simulated program runs on this thread.
pub fn work(nanoseconds: u64) {
    kernel::with(|kernel| {
        if kernel.turn.seat.is_some() {
            kernel.turn.lag += nanoseconds;
        }
    });
}

impl Kernel {
    /// The running host's time since the start, as its program may see it now.
    #[inline]
    pub(crate) fn local_now(&self) -> u64 {
        self.turn.local_start + self.turn.lag
    }

    fn monotonic(&mut self) -> u64 {
        self.step();
        let mut now = self.local_now();
        if let Some(seat) = self.turn.seat {
            // another executor of the host may have had a turn that ended later, for it has waited for a disk
            let read = &mut self.host_mut(seat.host).clock_read;
            now = now.max(*read);
            *read = now;
        }
        MONOTONIC_BASE + now
    }

    fn wall(&mut self) -> u64 {
        self.step();
        let skew = self.turn.seat.map_or(0, |seat| self.host(seat.host).clock.skew);
        (WALL_BASE + self.local_now()).saturating_add_signed(skew)
    }

    /// The wall clock's reading for a time on the host's clock, for file times.
    pub(crate) fn wall_seconds(local: u64) -> i64 {
        ((WALL_BASE + local) / 1_000_000_000) as i64
    }

    /// Counts a step of the turn, charges a clock reading, and ends the process on a livelock: a turn that
    /// waits for a clock that stands still would never end.
    pub(crate) fn step(&mut self) {
        self.counters.clock_reads += 1;
        self.turn.steps += 1;
        self.turn.lag += self.turn.clock_read;
        if self.turn.steps > STEPS_MAX && self.turn.seat.is_some() {
            self.abort_livelock();
        }
    }

    #[cold]
    fn abort_livelock(&self) -> ! {
        let place = self.place();
        eprintln!(
            "livelock: host {} read the clock or polled for events {STEPS_MAX} times in one turn at {} ns of \
             virtual time; virtual time stands still inside a turn, so a busy-wait never ends",
            place.name, self.now
        );
        std::process::abort()
    }

    fn clock(&mut self, id: clockid_t) -> u64 {
        match id {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => self.wall(),
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME => self.monotonic(),
            _ => {
                self.leak("clock_gettime of a processor clock");
                self.monotonic()
            }
        }
    }
}

interpose! {
    /// Reads a clock.
    fn clock_gettime(id: clockid_t, into: *mut timespec) -> c_int {
        kernel::with(|kernel| {
            let nanoseconds = kernel.clock(id);
            let time = timespec {
                tv_sec: (nanoseconds / 1_000_000_000) as time_t,
                tv_nsec: (nanoseconds % 1_000_000_000) as i64,
            };
            // SAFETY: the caller gives a place for one timespec.
            unsafe { into.write(time) };
            0
        })
    }

    /// Reads the wall clock in microseconds.
    fn gettimeofday(into: *mut timeval, zone: *mut libc::c_void) -> c_int {
        kernel::with(|kernel| {
            let nanoseconds = kernel.wall();
            let time = timeval {
                tv_sec: (nanoseconds / 1_000_000_000) as time_t,
                tv_usec: (nanoseconds % 1_000_000_000 / 1_000) as i64,
            };
            // SAFETY: the caller gives a place for one timeval.
            unsafe { into.write(time) };
            0
        })
    }

    /// Reads the wall clock in seconds.
    fn time(into: *mut time_t) -> time_t {
        kernel::with(|kernel| {
            let seconds = (kernel.wall() / 1_000_000_000) as time_t;
            if !into.is_null() {
                // SAFETY: the caller gives null or a place for one time_t.
                unsafe { into.write(seconds) };
            }
            seconds
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_on_a_drifting_clock_is_reached_at_its_world_time_and_not_before() {
        let mut draw = crate::Stream::new(1, "clock");
        for _ in 0..1_000 {
            let mut clock = Clock::default();
            clock.set_drift(draw.between(0, 1_000_000), draw.between(0, 100_000) as i64 - 50_000);
            clock.set_drift(2_000_000, draw.between(0, 1_000) as i64 - 500);
            let local = clock.local(2_000_000) + draw.between(0, 1_000_000_000_000);
            let world = clock.world(local);
            assert!(clock.local(world) >= local && clock.local(world - 1) < local, "{clock:?} {local}");
        }
    }

    #[test]
    fn a_change_of_rate_does_not_make_a_clock_jump() {
        let mut clock = Clock::default();
        for (now, ppm) in [(1_000, 200), (5_000_000, -200), (9_000_000, 50_000)] {
            let before = clock.local(now);
            clock.set_drift(now, ppm);
            assert_eq!(clock.local(now), before);
        }
    }
}
