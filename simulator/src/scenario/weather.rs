//! What scripts share of the misfortunes that they bring about, and of their end.

use crate::reach::reached;
use crate::{Crash, DiskOptions, HostId, Simulation};
use std::ops::Range;
use std::time::Duration;

/// Clocks drift by this much at the most, in parts per million: less than the twentieth that leases allow for.
const DRIFT_MAX: u64 = 45_000;

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
    network.loss = (sim.random() % 21) as f64 / 100.0;
    network.duplication = (sim.random() % 21) as f64 / 100.0;
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

/// Chooses a machine. Answers its place, itself and the others.
pub(super) fn choose(sim: &mut Simulation, hosts: &[HostId]) -> (usize, HostId, Vec<HostId>) {
    let at = (sim.random() % hosts.len() as u64) as usize;
    let others = hosts.iter().copied().filter(|host| *host != hosts[at]).collect();
    (at, hosts[at], others)
}

/// A machine crashes and comes back after so many milliseconds.
pub(super) fn crash_for(sim: &mut Simulation, host: HostId, away: Range<u64>) {
    crash(sim, host);
    let away = milliseconds(sim, away.start, away.end);
    sim.run_for(away);
    sim.start(host);
}

/// A machine loses its power within a write or a sync, and comes back after so many milliseconds.
pub(super) fn crash_within_write(sim: &mut Simulation, host: HostId, away: Range<u64>) {
    let calls = sim.random() % 40;
    sim.crash_at_file_call(host, calls, Crash::Power, None);
    sim.run_until(Duration::from_secs(10), |sim| !sim.is_up(host));
    sim.crash(host, Crash::Power);
    let away = milliseconds(sim, away.start, away.end);
    sim.run_for(away);
    sim.start(host);
}

/// A disk fails to sync for so many milliseconds; then its machine, whose node must have stopped to promise anything, is
/// started anew.
pub(super) fn fail_syncs_for(sim: &mut Simulation, host: HostId, time: Range<u64>) {
    let disks = sim.options().disks.clone();
    sim.set_disk(host, &DiskOptions { sync_failure: 1.0, ..disks.clone() });
    let time = milliseconds(sim, time.start, time.end);
    sim.run_for(time);
    sim.set_disk(host, &disks);
    crash(sim, host);
    sim.start(host);
}

/// All machines crash at once and come back.
pub(super) fn crash_all(sim: &mut Simulation, hosts: &[HostId]) {
    hosts.iter().for_each(|host| crash(sim, *host));
    hosts.iter().for_each(|host| sim.start(*host));
}

/// The path from a machine to one of the others is cut, or both ways, for so many milliseconds. It is not over then.
pub(super) fn cut_for(sim: &mut Simulation, one: HostId, others: &[HostId], time: Range<u64>) {
    let other = others[(sim.random() % others.len() as u64) as usize];
    cut_pair_for(sim, one, other, time);
}

/// A path between these two is cut for so many milliseconds. It is not over then.
pub(super) fn cut_pair_for(sim: &mut Simulation, one: HostId, other: HostId, time: Range<u64>) {
    cut(sim, one, other);
    let time = milliseconds(sim, time.start, time.end);
    sim.run_for(time);
}

/// A machine is cut off from the others for so many milliseconds. It is not over then.
pub(super) fn cut_off_for(sim: &mut Simulation, one: HostId, others: &[HostId], time: Range<u64>) {
    cut_off(sim, one, others);
    let time = milliseconds(sim, time.start, time.end);
    sim.run_for(time);
}

/// A machine stands still for so many milliseconds. It is not over then.
pub(super) fn pause_for(sim: &mut Simulation, one: HostId, time: Range<u64>) {
    sim.pause(one);
    let time = milliseconds(sim, time.start, time.end);
    sim.run_for(time);
}

/// One executor of a machine is held up for so many milliseconds, and it is over then. A machine with one stands still.
pub(super) fn hold_up_for(sim: &mut Simulation, one: HostId, time: Range<u64>) {
    let executor = (sim.random() % sim.executors(one) as u64) as usize;
    let time = milliseconds(sim, time.start, time.end);
    sim.hold_up(one, executor, time);
    sim.run_for(time);
}

/// The machines are cut apart for so many milliseconds, in one of the shapes in which networks fail: in halves, in halves
/// that one machine joins, to a ring, or in halves again and again. It is not over then.
pub(super) fn part_for(sim: &mut Simulation, hosts: &[HostId], time: Range<u64>) {
    let (count, turn) = (hosts.len(), sim.random() as usize % hosts.len());
    let order: Vec<HostId> = (0..count).map(|at| hosts[(at + turn) % count]).collect();
    let half = 1 + sim.random() as usize % (count - 1);
    let time = milliseconds(sim, time.start, time.end);
    match sim.random() % 4 {
        1 if half > 1 => {
            reached("shapes: halves that one machine joins");
            halve(sim, &order, half, 1);
        }
        2 if count > 3 => {
            reached("shapes: a ring");
            for at in 0..count {
                for other in at + 2..count {
                    if (at, other) != (0, count - 1) {
                        cut_off(sim, order[at], &[order[other]]);
                    }
                }
            }
        }
        3 => {
            reached("shapes: a cut that comes and goes");
            let end = sim.now() + time;
            while sim.now() < end {
                halve(sim, &order, half, 0);
                let (cut, whole) = (milliseconds(sim, 50, 2_000), milliseconds(sim, 50, 2_000));
                sim.run_for(cut);
                sim.heal();
                sim.run_for(whole);
            }
            return;
        }
        // too few for the others
        _ => {
            reached("shapes: halves");
            halve(sim, &order, half, 0);
        }
    }
    sim.run_for(time);
}

/// Cuts the paths between the first machines and the others, but for those of so many of the first.
fn halve(sim: &mut Simulation, order: &[HostId], half: usize, joined: usize) {
    for one in &order[joined..half] {
        cut_off(sim, *one, &order[half..]);
    }
}

/// Most misfortunes are over before the next one begins. Answers whether all are.
pub(super) fn mostly_heal(sim: &mut Simulation, hosts: &[HostId]) -> bool {
    let is_over = !sim.random().is_multiple_of(4);
    if is_over {
        heal(sim, hosts);
    }
    is_over
}

/// The clock of every second machine goes too fast or too slow.
pub(super) fn perhaps_drift(sim: &mut Simulation, host: HostId) {
    perhaps_drift_by(sim, host, DRIFT_MAX);
}

/// The same by more than leases allow for.
pub(super) fn perhaps_drift_beyond(sim: &mut Simulation, host: HostId) {
    perhaps_drift_by(sim, host, 5 * DRIFT_MAX);
}

fn perhaps_drift_by(sim: &mut Simulation, host: HostId, ppm_max: u64) {
    if sim.random().is_multiple_of(2) {
        let ppm = (sim.random() % (2 * ppm_max)) as i64 - ppm_max as i64;
        sim.drift(host, ppm);
    }
}
