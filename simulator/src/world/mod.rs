//! The world: hosts, the queue of events, and what scripts can do to them. `turns` is the loop.

mod turns;

use crate::disks::faults;
use crate::events::{Event, Queue};
use crate::network::{Network, nanoseconds};
use crate::node::{Appointment, Executor, Host, Machine, seat};
use crate::reach::{
    CUT, DOUBLED, HELD_UP, LATE, LOST, PAUSED, POWER_LOST, PROCESS_CRASHED, RESENT, Reached, TORN, UNDONE,
};
use crate::trace::Recording;
use crate::{Options, Report, Statistics, panics};
use odeon_simulator_os::{self as os, Emission, Happening, Kernel, Recorder, Stream};
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::Builder;
use tracing::subscriber::DefaultGuard;

/// Where each host keeps its own files.
const DIRECTORY: &str = "/sim/data";

/// One host of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) usize);

impl HostId {
    pub(crate) fn number(self) -> u32 {
        self.0 as u32
    }
}

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
/// counters of libraries would otherwise carry one run into the next. Programs run inside
/// [`Simulation::run_for`] and its like; between these calls the thread is the script's: its clocks and its
/// chance are still virtual, its files and sockets are real.
pub struct Simulation {
    options: Options,
    hosts: Vec<Host>,
    network: Network,
    queue: Queue,
    now: u64,
    /// Draws the costs of turns.
    cost: Stream,
    /// Draws the properties of hosts.
    nature: Stream,
    /// What scripts draw from.
    script: Stream,
    outbox: Vec<Emission>,
    statistics: Statistics,
    violations: Vec<String>,
    panics_expected: Vec<String>,
    reached: Reached,
    _subscriber: DefaultGuard,
    _thread: PhantomData<*const ()>,
}

/// The kernel of this thread's simulation.
pub(crate) fn kernel<R>(visit: impl FnOnce(&mut Kernel) -> R) -> R {
    os::with(visit)
        .expect("a simulation has its kernel for as long as it lives, and lends it to one at a time")
}

impl Simulation {
    /// A world without hosts at time zero. With `keep_lines` the report tells every happening in words.
    ///
    /// # Panics
    /// When this thread has a simulation already.
    pub fn new(options: Options, keep_lines: bool) -> Simulation {
        panics::watch();
        let mut kernel = Kernel::new(options.seed, Recorder::new(keep_lines));
        kernel.set_buffer_max(options.network.buffer_max);
        kernel.set_clock_read(nanoseconds(options.machines.clock_read));
        os::install(kernel);
        let reached = Reached::default();
        let recording = Recording::counting(&reached);
        Simulation {
            hosts: Vec::new(),
            network: Network::new(options.network.clone(), Stream::new(options.seed, "network")),
            queue: Queue::default(),
            now: 0,
            cost: Stream::new(options.seed, "turns"),
            nature: Stream::new(options.seed, "hosts"),
            script: Stream::new(options.seed, "script"),
            options,
            outbox: Vec::new(),
            statistics: Statistics::default(),
            violations: Vec::new(),
            panics_expected: Vec::new(),
            reached,
            _subscriber: tracing::subscriber::set_default(recording),
            _thread: PhantomData,
        }
    }

    /// The options of this simulation.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Adds a host that will run `program` each time it is started. It is down until [`Simulation::start`].
    ///
    /// # Panics
    /// When there are more than 65,000 hosts.
    pub fn host<F, Fut>(&mut self, name: &str, program: F) -> HostId
    where
        F: Fn(Machine) -> Fut + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let id = HostId(self.hosts.len());
        let address = address_of(id);
        let machines = &self.options.machines;
        let executors = (machines.executors_min as u64, machines.executors_max as u64);
        let executor_count = self.nature.between(executors.0.max(1), executors.1.max(1)) as usize;
        let slow = self.nature.chance(machines.slow);
        let slowness = if slow { self.nature.between(2, machines.slow_factor_max.max(2)) } else { 1 };
        let drift = spread(&mut self.nature, machines.drift_ppm_max);
        let skew = spread(&mut self.nature, nanoseconds(machines.skew_max) as i64);
        kernel(|kernel| {
            let number = kernel.add_host(name, address, self.options.seed);
            *kernel.disk_of(number).faults() = faults(&self.options.disks);
            kernel.clock_of(number).set_drift(self.now, drift);
            kernel.clock_of(number).set_skew(skew);
        });
        self.network.add_host();
        self.hosts.push(Host {
            name: name.to_owned(),
            address,
            program: Rc::new(move |machine| Box::pin(program(machine))),
            incarnation: 0,
            executor_count,
            executors: Vec::new(),
            paused: false,
            slowness,
            appointment: None,
        });
        id
    }

    /// Boots a host: new executors, next incarnation, its program on executor 0. Does nothing when it is up.
    pub fn start(&mut self, host: HostId) {
        if self.is_up(host) {
            return;
        }
        let number = host.number();
        self.network.set_power(number, true);
        let each = &mut self.hosts[host.0];
        each.incarnation += 1;
        each.paused = false;
        let (incarnation, count) = (each.incarnation, each.executor_count);
        kernel(|kernel| {
            // Numbers of processes as an operating system might give them: never two equal ones in sight.
            kernel.set_process(number, 1_000 + number as i32 * 100 + incarnation as i32);
            kernel.disk_of(number).install_directory(DIRECTORY);
        });
        self.note(host, &format!("starts, incarnation {incarnation}, {count} executors"));
        for index in 0..count {
            let seat = seat(host, index);
            kernel(|kernel| kernel.enter_trusted(seat));
            let runtime = Builder::new_current_thread().enable_io().enable_time().build();
            let parked = kernel(Kernel::leave);
            let runtime = runtime.expect("the virtual operating system gives every runtime its epoll");
            self.hosts[host.0].executors.push(Executor::new(runtime, parked.local_end));
        }
        self.boot(host);
    }

    /// Puts the program on executor 0.
    fn boot(&mut self, host: HostId) {
        let each = &self.hosts[host.0];
        let machine = Machine {
            host,
            name: each.name.clone(),
            address: each.address,
            incarnation: each.incarnation,
            executors: each.executors.iter().map(|executor| executor.runtime.handle().clone()).collect(),
            directory: PathBuf::from(DIRECTORY),
        };
        let first = seat(host, 0);
        let runtime = &each.executors[0].runtime;
        kernel(|kernel| kernel.enter(first, 0));
        {
            let _inside = runtime.enter();
            runtime.spawn((each.program)(machine));
        }
        kernel(|kernel| {
            kernel.leave();
            kernel.wake(first);
        });
    }

    /// Takes a host down at once. No destructor of its program reaches the network, the disk or the trace.
    /// Does nothing when it is down already.
    pub fn crash(&mut self, host: HostId, how: Crash) {
        if self.take_down(host, how) {
            self.reached.note(if how == Crash::Process { PROCESS_CRASHED } else { POWER_LOST });
        }
    }

    /// Whether there was anything to take down.
    fn take_down(&mut self, host: HostId, how: Crash) -> bool {
        self.take_back_appointment(host);
        let survives = how == Crash::Process;
        let had_power = self.network.has_power(host.number());
        if !survives {
            self.network.set_power(host.number(), false);
        }
        let executors = std::mem::take(&mut self.hosts[host.0].executors);
        // A machine whose process is dead already can still lose power, and its disk what was not synced.
        if executors.is_empty() && (survives || !had_power) {
            return false;
        }
        self.statistics.crashes += 1;
        kernel(|kernel| {
            kernel.enter(seat(host, 0), 0);
            kernel.begin_crash(host.number(), survives);
        });
        for executor in executors {
            executor.runtime.shutdown_background();
        }
        kernel(|kernel| {
            kernel.end_crash(host.number(), survives);
            kernel.leave();
        });
        self.note(host, &format!("crashed ({how:?})"));
        self.forward();
        true
    }

    /// Crashes a host and starts it again at the same instant.
    pub fn restart(&mut self, host: HostId, how: Crash) {
        self.crash(host, how);
        self.start(host);
    }

    /// Freezes a host's process: its executors get no turns; its operating system goes on taking packets.
    pub fn pause(&mut self, host: HostId) {
        self.note(host, "paused");
        self.reached.note(PAUSED);
        self.hosts[host.0].paused = true;
    }

    /// Ends a pause.
    pub fn resume(&mut self, host: HostId) {
        self.note(host, "resumed");
        self.hosts[host.0].paused = false;
        for (index, executor) in self.hosts[host.0].executors.iter_mut().enumerate() {
            if std::mem::take(&mut executor.owed) {
                kernel(|kernel| kernel.wake(seat(host, index)));
            }
        }
    }

    /// Holds up one executor of a host, as a handler does that blocks its thread: it gets no turn before this much virtual
    /// time has passed. The others go on. Nothing happens if the host has no such executor or is down.
    pub fn hold_up(&mut self, host: HostId, executor: usize, span: Duration) {
        let until = self.now.saturating_add(nanoseconds(span));
        let Some(held) = self.hosts[host.0].executors.get_mut(executor) else { return };
        held.busy_until = held.busy_until.max(until);
        self.note(host, &format!("executor {executor} is held up for {span:?}"));
        if self.executors(host) > 1 {
            self.reached.note(HELD_UP);
        }
    }

    /// The host of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn find(&self, name: &str) -> HostId {
        let found = self.hosts.iter().position(|host| host.name == name);
        HostId(found.unwrap_or_else(|| panic!("there is no host named {name}")))
    }

    /// Whether a host is up (a paused one is).
    pub fn is_up(&self, host: HostId) -> bool {
        self.hosts[host.0].is_up()
    }

    /// How many executors a host has while it is up.
    pub fn executors(&self, host: HostId) -> usize {
        self.hosts[host.0].executor_count
    }

    /// The host's address.
    pub fn address(&self, host: HostId) -> Ipv4Addr {
        self.hosts[host.0].address
    }

    /// Each turn of this host costs so many times as much from now on; 1 is the normal speed.
    pub fn slow_down(&mut self, host: HostId, factor: u64) {
        self.hosts[host.0].slowness = factor.max(1);
    }

    /// Drops everything sent `from` one host `to` another, until [`Simulation::heal`].
    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.note(from, &format!("cut off towards {}", self.hosts[to.0].name));
        self.network.cut(from.number(), to.number(), self.now);
        self.reached.note(CUT);
    }

    /// Ends all cuts.
    pub fn heal(&mut self) {
        kernel(|kernel| kernel.record(Happening::World, [1, 0], || "all cuts healed".to_owned()));
        self.network.heal();
    }

    /// Gives the network other properties from now on; cuts stay.
    pub fn set_network(&mut self, options: crate::NetworkOptions) {
        kernel(|kernel| kernel.set_buffer_max(options.buffer_max));
        self.network.options = options;
    }

    /// Replaces the options of machines, for hosts that are added from now on.
    pub fn set_machines(&mut self, options: crate::MachineOptions) {
        self.options.machines = options;
    }

    /// From now on the host's clocks run fast (positive) or slow, in parts per million.
    pub fn drift(&mut self, host: HostId, ppm: i64) {
        self.note(host, &format!("clock drifts by {ppm} ppm"));
        kernel(|kernel| kernel.clock_of(host.number()).set_drift(self.now, ppm));
        for index in 0..self.hosts[host.0].executors.len() {
            self.hosts[host.0].executors[index].clock_changed();
            self.set_alarm(seat(host, index));
        }
    }

    /// Sets the offset of the host's wall clock, in nanoseconds.
    pub fn skew(&mut self, host: HostId, nanoseconds: i64) {
        self.note(host, &format!("wall clock set off by {nanoseconds} ns"));
        kernel(|kernel| kernel.clock_of(host.number()).set_skew(nanoseconds));
    }

    /// Runs `step` once this much virtual time has passed.
    pub fn at(&mut self, after: Duration, step: impl FnOnce(&mut Simulation) + 'static) {
        self.queue.push(self.now.saturating_add(nanoseconds(after)), Event::Step(Box::new(step)));
    }

    /// Lets this much virtual time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now.saturating_add(nanoseconds(span));
        self.run(end, |_| false);
    }

    /// Runs until `done` says so or the limit is over; tells whether `done` did. It is asked after each event.
    pub fn run_until(&mut self, limit: Duration, done: impl FnMut(&mut Simulation) -> bool) -> bool {
        let end = self.now.saturating_add(nanoseconds(limit));
        self.run(end, done)
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// A number from the script's own random stream.
    pub fn random(&mut self) -> u64 {
        self.script.next_u64()
    }

    /// Records a broken promise.
    pub fn violation(&mut self, what: String) {
        kernel(|kernel| kernel.log(&format!("VIOLATION {what}")));
        self.violations.push(format!("{:?}: {what}", self.now()));
    }

    /// Panics of programs whose text contains this belong to the scenario: the report leaves them out.
    pub fn expect_panic(&mut self, text: &str) {
        self.panics_expected.push(text.to_owned());
    }

    /// The rolling hash so far.
    pub fn hash(&self) -> u64 {
        kernel(|kernel| kernel.recorder.hash())
    }

    /// The recorded lines so far (none unless the simulation keeps them).
    pub fn lines(&self) -> Vec<String> {
        kernel(|kernel| kernel.recorder.lines().to_vec())
    }

    /// Takes all hosts down and reports.
    pub fn finish(mut self) -> Report {
        self.power_off();
        let statistics = self.count();
        self.reached.add(LOST, statistics.datagrams_lost);
        self.reached.add(DOUBLED, statistics.datagrams_duplicated);
        self.reached.add(LATE, self.network.counts.held_back);
        self.reached.add(RESENT, statistics.retransmissions);
        self.reached.add(TORN, statistics.pages_torn);
        self.reached.add(UNDONE, statistics.pages_lost);
        let (seed, now) = (self.options.seed, self.now());
        let is_expected =
            |panic: &&String| !self.panics_expected.iter().any(|text| panic.contains(text.as_str()));
        kernel(|kernel| Report {
            seed,
            hash: kernel.recorder.hash(),
            virtual_time: now,
            statistics,
            reached: self.reached.take(),
            leaks: kernel.leaks(),
            panics: kernel.panics().iter().filter(is_expected).cloned().collect(),
            violations: std::mem::take(&mut self.violations),
            lines: kernel.recorder.take_lines(),
        })
    }

    /// What was counted by the world, the network and the kernel.
    fn count(&self) -> Statistics {
        let kernel = kernel(|kernel| kernel.counters());
        let network = &self.network.counts;
        Statistics {
            datagrams_sent: kernel.datagrams_sent,
            datagrams_delivered: network.delivered,
            datagrams_lost: network.lost,
            datagrams_duplicated: network.duplicated,
            segments: kernel.segments,
            segment_bytes: kernel.segment_bytes,
            retransmissions: network.retransmissions,
            timeouts: network.timeouts,
            suppressed: kernel.suppressed,
            file_writes: kernel.file_writes,
            file_bytes: kernel.file_bytes,
            file_syncs: kernel.file_syncs,
            pages_lost: kernel.pages_lost,
            pages_torn: kernel.pages_torn,
            pages_kept: kernel.pages_kept,
            names_lost: kernel.names_lost,
            clock_reads: kernel.clock_reads,
            random_reads: kernel.random_reads,
            log_lines: kernel.log_lines,
            ..self.statistics.clone()
        }
    }

    fn power_off(&mut self) {
        for host in 0..self.hosts.len() {
            self.take_down(HostId(host), Crash::Power);
        }
    }

    /// Records something that the script did to a host.
    pub(crate) fn note(&mut self, host: HostId, what: &str) {
        let words = [os::Digest::of(what.as_bytes()), 0];
        kernel(|kernel| {
            kernel.record_on(Some(host.number()), Happening::World, words, || what.to_owned());
        });
    }

    /// A host that crashes has no other crash before it, also if it was down already: its next run must not meet one
    /// that was meant for this.
    fn take_back_appointment(&mut self, host: HostId) {
        self.hosts[host.0].appointment = None;
        kernel(|kernel| {
            kernel.crash_at_send(host.number(), None);
            kernel.disk_of(host.number()).crash_at_call(None);
        });
    }

    /// Arranges what becomes of a host after a crash that strikes inside one of its turns.
    pub(crate) fn appoint(&mut self, host: HostId, appointment: Appointment) {
        self.hosts[host.0].appointment = Some(appointment);
    }
}

impl Drop for Simulation {
    /// Takes what is still up down, and the kernel from the thread.
    fn drop(&mut self) {
        self.power_off();
        os::uninstall();
    }
}

/// The address plan: 10.0.0.1, 10.0.0.2 and so on.
fn address_of(host: HostId) -> Ipv4Addr {
    assert!(host.0 < 65_000, "the address plan has room for 65,000 hosts");
    let number = host.0 as u32;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number / 250 * 256 + number % 250 + 1)
}

/// A number between `-max` and `max`.
fn spread(stream: &mut Stream, max: i64) -> i64 {
    let max = max.max(0);
    stream.between(0, 2 * max as u64) as i64 - max
}
