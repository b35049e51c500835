//! What scripts share of the misfortunes that they bring about, and of their end.

use crate::{HostId, Simulation};
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
