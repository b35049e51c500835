//! One host of the world: its program, its executors, and what a program is given when it starts.

use crate::world::HostId;
use odeon_simulator_os::Seat;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use tokio::runtime::{Handle, Runtime};

/// The machine a program finds itself on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The host, as the script knows it.
    pub host: HostId,
    /// The host's name.
    pub name: String,
    /// The host's only address beside loopback.
    pub address: Ipv4Addr,
    /// Counts the starts of this host, from 1.
    pub incarnation: u64,
    /// One handle for each executor; the program itself runs on the first.
    pub executors: Vec<Handle>,
    /// An existing directory on the host's own disk; it outlives crashes.
    pub directory: PathBuf,
}

/// A program in flight.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What a host runs each time it starts.
pub(crate) type Program = Rc<dyn Fn(Machine) -> Running>;

/// One executor: a current-thread runtime and when it is to run.
pub(crate) struct Executor {
    pub(crate) runtime: Runtime,
    /// The host's clock when the runtime was made; its timers count whole milliseconds from there.
    start: u64,
    /// When its next timer is due, on the host's clock.
    deadline: Option<u64>,
    /// The event that stands for the timer, and the world's time of it.
    alarm: Option<u64>,
    version: u64,
    /// Its last turn takes until then.
    pub(crate) busy_until: u64,
    /// An event waits for `busy_until` already.
    pub(crate) deferred: bool,
    /// It was wanted while its host was paused.
    pub(crate) owed: bool,
}

impl Executor {
    pub(crate) fn new(runtime: Runtime, start: u64) -> Executor {
        Executor {
            runtime,
            start,
            deadline: None,
            alarm: None,
            version: 0,
            busy_until: 0,
            deferred: false,
            owed: false,
        }
    }

    /// The executor parked at `local_end` on its host's clock, with its next timer in `timeout` milliseconds.
    pub(crate) fn park(&mut self, local_end: u64, timeout: Option<u64>) {
        const TICK: u64 = 1_000_000;
        self.deadline = timeout.map(|milliseconds| {
            let ticks = (local_end.saturating_sub(self.start)) / TICK + milliseconds;
            self.start.saturating_add(ticks.saturating_mul(TICK))
        });
    }

    /// The alarm that must be set now, if any: an earlier one that is set already will do, for it looks again
    /// when it goes off. `world` tells the world's time of a time on the host's clock.
    pub(crate) fn next_alarm(&mut self, world: impl FnOnce(u64) -> u64) -> Option<(u64, u64)> {
        let due = world(self.deadline?);
        if self.alarm.is_some_and(|set| set <= due) {
            return None;
        }
        self.version += 1;
        self.alarm = Some(due);
        Some((due, self.version))
    }

    /// An alarm goes off: false when it is out of date.
    pub(crate) fn alarm_due(&mut self, version: u64) -> bool {
        let current = version == self.version;
        if current {
            self.alarm = None;
        }
        current
    }

    /// The host's clock changed its rate: the alarm must be set anew.
    pub(crate) fn clock_changed(&mut self) {
        self.alarm = None;
    }

    /// Whether its timer is due at this reading of its host's clock.
    pub(crate) fn is_due(&self, local: u64) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= local)
    }
}

/// One host of the world.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) program: Program,
    pub(crate) incarnation: u64,
    /// How many executors it gets each time it starts.
    pub(crate) executor_count: usize,
    /// Empty while it is down.
    pub(crate) executors: Vec<Executor>,
    pub(crate) paused: bool,
    /// Each of its turns costs so many times as much.
    pub(crate) slowness: u64,
    /// What becomes of it after an appointed crash.
    pub(crate) appointment: Option<Appointment>,
}

/// How an appointed crash goes, and when the host comes back.
#[derive(Clone, Copy)]
pub(crate) struct Appointment {
    pub(crate) how: crate::Crash,
    pub(crate) restart_after: Option<std::time::Duration>,
}

impl Host {
    pub(crate) fn is_up(&self) -> bool {
        !self.executors.is_empty()
    }
}

/// The seat of one of a host's executors.
pub(crate) fn seat(host: HostId, executor: usize) -> Seat {
    Seat { host: host.0 as u32, executor: executor as u32 }
}
