//! The simulation as scripts and tests see it (the event loop follows in the next commits).

use crate::{Machine, Options, Report};
use std::net::Ipv4Addr;
use std::time::Duration;

/// One host of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) usize);

/// How a host goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies and the machine lives: peers get resets, files keep everything that was written.
    Process,
    /// The machine loses power: silence, and what was not synced is lost or torn.
    Power,
}

/// One simulated world on the current thread.
///
/// It is `!Send` and wants a *fresh* thread in a *fresh* process: thread-local generators and process-wide
/// counters of libraries would otherwise carry one run into the next.
pub struct Simulation {
    options: Options,
    report: Report,
    _thread: std::marker::PhantomData<*const ()>,
}

impl Simulation {
    /// A world without hosts at time zero.
    pub fn new(options: Options, _keep_lines: bool) -> Simulation {
        Simulation {
            report: Report { seed: options.seed, ..Report::default() },
            options,
            _thread: std::marker::PhantomData,
        }
    }

    /// Adds a host that will run `program` each time it is started.
    pub fn host<F, Fut>(&mut self, _name: &str, _program: F) -> HostId
    where
        F: Fn(Machine) -> Fut + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        HostId(0)
    }

    /// Boots a host: new executors, next incarnation, its program on executor 0.
    pub fn start(&mut self, _host: HostId) {}

    /// Takes a host down at once.
    pub fn crash(&mut self, _host: HostId, _how: Crash) {}

    /// Crashes the host by power when it is up, and starts it again.
    pub fn restart(&mut self, _host: HostId, _how: Crash) {}

    /// Freezes a host: its executors get no turns; packets wait for it.
    pub fn pause(&mut self, _host: HostId) {}

    /// Ends a pause.
    pub fn resume(&mut self, _host: HostId) {}

    /// The host's address.
    pub fn address(&self, _host: HostId) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, 1)
    }

    /// Drops everything sent `from` one host `to` another, until [`Simulation::heal`].
    pub fn cut(&mut self, _from: HostId, _to: HostId) {}

    /// Ends all cuts.
    pub fn heal(&mut self) {}

    /// From now on the host's clocks run fast (positive) or slow, in parts per million.
    pub fn drift(&mut self, _host: HostId, _ppm: i64) {}

    /// Sets the offset of the host's wall clock, in nanoseconds.
    pub fn skew(&mut self, _host: HostId, _nanoseconds: i64) {}

    /// Runs `step` once this much virtual time has passed.
    pub fn at(&mut self, _after: Duration, _step: impl FnOnce(&mut Simulation) + 'static) {}

    /// Lets this much virtual time pass.
    pub fn run_for(&mut self, span: Duration) {
        self.report.virtual_time += span;
    }

    /// Runs until `done` says so or the limit is over; tells whether `done` did. It is asked after each event.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Simulation) -> bool) -> bool {
        self.run_for(limit);
        done(self)
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.report.virtual_time
    }

    /// A number from the script's own random stream.
    pub fn random(&mut self) -> u64 {
        odeon_simulator_os::Stream::new(self.options.seed, "script").next_u64()
    }

    /// Records a broken promise.
    pub fn violation(&mut self, what: String) {
        self.report.violations.push(what);
    }

    /// Takes all hosts down and reports.
    pub fn finish(self) -> Report {
        self.report
    }
}
