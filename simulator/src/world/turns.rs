//! The loop: takes the next event, carries what was sent, and gives each executor its turns.

use crate::events::Event;
use crate::network::nanoseconds;
use crate::node::Executor;
use crate::world::{Crash, HostId, Simulation, kernel};
use odeon_simulator_os::{self as os, Kernel, Seat};

impl Simulation {
    pub(super) fn run(&mut self, end: u64, mut done: impl FnMut(&mut Simulation) -> bool) -> bool {
        self.settle();
        let mut finished = done(self);
        while !finished {
            let Some((time, event)) = self.queue.pop_until(end) else { break };
            self.set_now(time);
            self.happen(event);
            self.settle();
            finished = done(self);
        }
        if !finished {
            self.set_now(end);
        }
        finished
    }

    fn set_now(&mut self, now: u64) {
        self.now = now;
        kernel(|kernel| kernel.set_now(now));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer { seat, version } => self.timer_due(seat, version),
            Event::Free { seat } => {
                if let Some(executor) = self.executor(seat) {
                    executor.deferred = false;
                    self.turn(seat);
                }
            }
            Event::Datagram { from, to, source, destination, bytes } => {
                self.network.datagram_due(from, to, source, destination, bytes);
            }
            Event::Segment { direction } => {
                self.network.segment_due(direction, self.now, &mut self.queue);
            }
            Event::Unacknowledged { direction, from, to, since } => {
                self.network.acknowledgement_due(direction, from, to, since);
            }
            Event::Step(step) => step(self),
        }
    }

    /// Carries what was sent, and gives turns to whom it woke, until nothing is left for this instant.
    fn settle(&mut self) {
        loop {
            self.forward();
            let Some(seat) = kernel(Kernel::next_runnable) else { return };
            self.statistics.wakes += 1;
            self.turn(seat);
        }
    }

    /// Hands the outbox to the network.
    pub(super) fn forward(&mut self) {
        let mut outbox = std::mem::take(&mut self.outbox);
        kernel(|kernel| kernel.drain_outbox(&mut outbox));
        for emission in outbox.drain(..) {
            self.network.carry(emission, &mut self.queue);
        }
        self.outbox = outbox;
    }

    fn executor(&mut self, seat: Seat) -> Option<&mut Executor> {
        self.hosts[seat.host as usize].executors.get_mut(seat.executor as usize)
    }

    fn timer_due(&mut self, seat: Seat, version: u64) {
        let now = self.now;
        let local = kernel(|kernel| kernel.clock_of(seat.host).local(now));
        let Some(executor) = self.executor(seat) else { return };
        if !executor.alarm_due(version) {
            return;
        }
        if executor.is_due(local) {
            self.statistics.timers += 1;
            self.turn(seat);
        } else {
            self.set_alarm(seat);
        }
    }

    pub(super) fn set_alarm(&mut self, seat: Seat) {
        let now = self.now;
        let clock = kernel(|kernel| *kernel.clock_of(seat.host));
        let Some(executor) = self.executor(seat) else { return };
        if let Some((due, version)) = executor.next_alarm(|local| clock.world(local).max(now)) {
            self.queue.push(due, Event::Timer { seat, version });
        }
    }

    /// Lets an executor run until it parks, unless its host is paused or it is busy with an earlier turn.
    fn turn(&mut self, seat: Seat) {
        let now = self.now;
        let host = &mut self.hosts[seat.host as usize];
        let Some(executor) = host.executors.get_mut(seat.executor as usize) else { return };
        if host.paused {
            executor.owed = true;
            return;
        }
        if executor.busy_until > now {
            if !executor.deferred {
                executor.deferred = true;
                self.statistics.turns_deferred += 1;
                self.queue.push(executor.busy_until, Event::Free { seat });
            }
            return;
        }
        let machines = &self.options.machines;
        let drawn = self.cost.between(nanoseconds(machines.turn_min), nanoseconds(machines.turn_max));
        let cost = drawn * host.slowness;
        kernel(|kernel| kernel.enter(seat, cost));
        executor.runtime.block_on(os::turn());
        let (parked, doomed) = kernel(|kernel| (kernel.end_turn(), kernel.take_doomed()));
        self.statistics.turns += 1;
        // Even a turn that costs nothing moves time, or two executors could wake each other for ever.
        executor.busy_until = now + parked.lag.max(1);
        executor.park(parked.local_end, parked.timeout);
        self.set_alarm(seat);
        if let Some(doomed) = doomed {
            self.meet_doom(HostId(doomed as usize));
        }
    }

    /// An appointed crash struck inside the last turn.
    fn meet_doom(&mut self, host: HostId) {
        let appointment = self.hosts[host.0].appointment.take();
        let how = appointment.map_or(Crash::Power, |appointment| appointment.how);
        self.note(host, "met its appointed crash");
        self.reached.note(crate::reach::CRASHED_WITHIN);
        self.crash(host, how);
        if let Some(after) = appointment.and_then(|appointment| appointment.restart_after) {
            self.at(after, move |simulation| simulation.start(host));
        }
    }
}
