//! Three to five real nodes form a cluster, while packets are lost, paths are cut, machines stand still for longer than a
//! lease, clocks drift, machines crash and one loses its disk. A view of one epoch is the same everywhere, epochs never
//! fall, and no node acts as a member whose lease was passed on. In the end all are members, and see the same.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::Cluster;
use super::weather::{crash, cut, cut_off, heal, milliseconds, storm};
use crate::{Crash, HostId, Simulation};
use odeon::core::NodeName;
use std::time::Duration;

const NAMES: [&str; 5] = ["north", "south", "west", "east", "centre"];
/// After all faults are healed all nodes are members within this time: dead connections end after ten seconds, dials
/// fail after five, elections take two, and a replica that is far behind is given a snapshot.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// Clocks drift by this much at the most, in parts per million: less than the twentieth that leases allow for.
const DRIFT_MAX: u64 = 45_000;

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = nodes(sim, &board);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 2_000);
        sim.run_for(apart);
    }
    all_join(sim, &board, hosts.len());
    for _ in 0..2 + sim.random() % 6 {
        misfortune(sim, &hosts, &board);
        let calm = milliseconds(sim, 0, 6_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    all_join(sim, &board, hosts.len());
    tell(sim, &board);
}

fn all_join(sim: &mut Simulation, board: &Books<Board>, count: usize) {
    let joined = sim.demand("all nodes are members, and see the same", JOINED_WITHIN, |_| {
        board.open(|b| b.are_joined(count))
    });
    if !joined {
        let seen = board.open(|b| b.seen());
        sim.violation(format!("they see: {seen:#?}"));
    }
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn nodes(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let names: Vec<NodeName> =
        NAMES[..3 + (sim.random() % 3) as usize].iter().map(|name| name.parse().expect("a name")).collect();
    let mut hosts = Vec::new();
    for name in &names {
        let start = Start { pass: cluster.node(name), names: names.clone() };
        let host = sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, start.clone(), board.clone())
        });
        if sim.random().is_multiple_of(2) {
            let ppm = (sim.random() % (2 * DRIFT_MAX)) as i64 - DRIFT_MAX as i64;
            sim.drift(host, ppm);
        }
        hosts.push(host);
    }
    hosts
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let at = (sim.random() % hosts.len() as u64) as usize;
    let one = hosts[at];
    let others: Vec<HostId> = hosts.iter().copied().filter(|host| *host != one).collect();
    match sim.random() % 8 {
        0 => {
            crash(sim, one);
            let away = milliseconds(sim, 0, 10_000);
            sim.run_for(away);
            sim.start(one);
        }
        1 => {
            // within a write or a sync
            let calls = sim.random() % 40;
            sim.crash_at_file_call(one, calls, Crash::Power, None);
            sim.run_until(Duration::from_secs(10), |sim| !sim.is_up(one));
            sim.crash(one, Crash::Power);
            sim.start(one);
        }
        2 => {
            hosts.iter().for_each(|host| crash(sim, *host));
            hosts.iter().for_each(|host| sim.start(*host));
        }
        3 => {
            let other = others[(sim.random() % others.len() as u64) as usize];
            cut(sim, one, other);
            let cut = milliseconds(sim, 100, 20_000);
            sim.run_for(cut);
        }
        4 => {
            cut_off(sim, one, &others);
            let cut = milliseconds(sim, 1_000, 20_000);
            sim.run_for(cut);
        }
        5 => {
            // longer than a lease, or not
            sim.pause(one);
            let pause = milliseconds(sim, 100, 8_000);
            sim.run_for(pause);
            sim.resume(one);
        }
        6 => {
            if !board.open(|b| std::mem::replace(&mut b.disk_lost, true)) {
                crate::reach::reached("members: a disk was replaced by an empty one");
                sim.crash(one, Crash::Power);
                sim.wipe_disk(one);
                sim.start(one);
            }
        }
        _ => {
            storm(sim, 10_000);
        }
    }
    // most are over before the next one begins
    if !sim.random().is_multiple_of(4) {
        heal(sim, hosts);
    }
}
