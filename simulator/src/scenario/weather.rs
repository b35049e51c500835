//! What scripts share of the misfortunes that they bring about, and of their end.

use crate::{Crash, HostId, Simulation};
use std::time::Duration;

/// A time of this range, the end not in it.
pub(super) fn milliseconds(sim: &mut Simulation, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + sim.random() % (to - from))
}

/// Nothing is wrong any more.
pub(super) fn heal(sim: &mut Simulation, hosts: &[HostId]) {
    sim.heal();
    let network = sim.options().network.clone();
    sim.set_network(network);
    for host in hosts {
        sim.resume(*host);
        sim.start(*host);
    }
}

/// A machine loses its process or its power.
pub(super) fn crash(sim: &mut Simulation, host: HostId) {
    let how = if sim.random().is_multiple_of(2) { Crash::Process } else { Crash::Power };
    sim.crash(host, how);
}

/// Packets are lost, come twice and late, for half a second to so many milliseconds. It is not over then.
pub(super) fn storm(sim: &mut Simulation, milliseconds_max: u64) {
    let mut network = sim.options().network.clone();
    network.loss = (sim.random() % 20) as f64 / 100.0;
    network.duplication = (sim.random() % 20) as f64 / 100.0;
    network.reordering = (sim.random() % 30) as f64 / 100.0;
    sim.set_network(network);
    let storm = milliseconds(sim, 500, milliseconds_max);
    sim.run_for(storm);
}

/// A path is cut in one direction, or in both.
pub(super) fn cut(sim: &mut Simulation, one: HostId, other: HostId) {
    sim.cut(one, other);
    if sim.random().is_multiple_of(2) {
        sim.cut(other, one);
    }
}

/// A machine is cut off from these others.
pub(super) fn cut_off(sim: &mut Simulation, one: HostId, others: &[HostId]) {
    for other in others {
        sim.cut(one, *other);
        sim.cut(*other, one);
    }
}
