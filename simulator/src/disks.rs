//! What a script can do to the disks of hosts.

use crate::node::Appointment;
use crate::options::DiskOptions;
use crate::world::{Crash, HostId, Simulation, kernel};
use odeon_simulator_os::{Disk, Faults};
use std::time::Duration;

/// The options in the terms of the operating system.
pub(crate) fn faults(options: &DiskOptions) -> Faults {
    Faults {
        sync_min: crate::network::nanoseconds(options.sync_min),
        sync_max: crate::network::nanoseconds(options.sync_max),
        strict_names: options.strict_names,
        sync_failure: options.sync_failure,
        sync_lies: options.sync_lies,
        capacity: options.capacity,
    }
}

impl Simulation {
    /// Gives the host's disk other properties from now on.
    pub fn set_disk(&mut self, host: HostId, options: &DiskOptions) {
        self.on_disk(host, |disk| *disk.faults() = faults(options));
    }

    /// Replaces the disk of a host that is down by an empty one.
    pub fn wipe_disk(&mut self, host: HostId) {
        assert!(!self.is_up(host), "a disk is replaced while its host is down");
        self.note(host, "disk wiped");
        self.on_disk(host, Disk::wipe);
    }

    /// The host will crash inside its `count`-th call that changes its disk, counted from 0: that call and all
    /// that follow in the turn fail, nothing of them reaches disk or network, and the host goes down `how` says.
    /// It starts again after `restart_after`, if given.
    pub fn crash_at_file_call(
        &mut self,
        host: HostId,
        count: u64,
        how: Crash,
        restart_after: Option<Duration>,
    ) {
        self.appoint(host, Appointment { how, restart_after });
        self.on_disk(host, |disk| disk.crash_at_call(Some(count)));
    }

    /// The host will crash inside its `count`-th send (datagram or segment), counted from 0; as
    /// [`Simulation::crash_at_file_call`].
    pub fn crash_at_send(&mut self, host: HostId, count: u64, how: Crash, restart_after: Option<Duration>) {
        self.appoint(host, Appointment { how, restart_after });
        kernel(|kernel| kernel.crash_at_send(host.number(), Some(count)));
    }

    fn on_disk(&mut self, host: HostId, change: impl FnOnce(&mut Disk)) {
        kernel(|kernel| change(kernel.disk_of(host.number())));
    }
}
