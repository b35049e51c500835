//! Three to five real nodes have entities and a singleton together, and call them from everywhere. In some runs nodes are
//! only restarted in order, one after another: then nothing fails, and what entities count goes with them. In the others
//! packets are lost, paths are cut, machines stand still for longer than a lease, clocks drift and machines crash, too.
//! What is not executed never runs, nothing runs twice, and no activation does anything after a later one of its key
//! has. In the end all nodes see the same, and everything answers everywhere.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::Cluster;
use super::weather::{crash, cut, cut_off, heal, milliseconds, storm};
use crate::{HostId, Simulation};
use odeon::core::NodeName;
use std::time::Duration;

const NAMES: [&str; 5] = ["north", "south", "west", "east", "centre"];
/// After all faults are healed all nodes are members within this time.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// From then on everything answers within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// A node that is restarted in order has left and come back within this time.
const RESTARTED_WITHIN: Duration = Duration::from_secs(60);
/// Clocks drift by this much at the most, in parts per million: less than the twentieth that leases allow for.
const DRIFT_MAX: u64 = 45_000;

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let is_calm = sim.random().is_multiple_of(3);
    let board = Books::<Board>::default();
    board.open(|b| b.is_calm = is_calm);
    let hosts = nodes(sim, &board, is_calm);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 1_000);
        sim.run_for(apart);
    }
    settle(sim, &board, hosts.len());
    board.open(|b| b.has_begun = true);
    for _ in 0..2 + sim.random() % 5 {
        if is_calm || sim.random().is_multiple_of(4) {
            restart_in_order(sim, &hosts, &board);
        } else {
            misfortune(sim, &hosts, &board);
        }
        let calm = milliseconds(sim, 0, 4_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    settle(sim, &board, hosts.len());
    tell(sim, &board);
}

/// All are members and see the same, and everything answers everywhere.
fn settle(sim: &mut Simulation, board: &Books<Board>, count: usize) {
    let joined = sim.demand("all nodes are members, and see the same tables", JOINED_WITHIN, |_| {
        board.open(|b| b.are_joined(count))
    });
    if !joined {
        let seen = board.open(|b| b.seen());
        sim.violation(format!("they see: {seen:#?}"));
    }
    board.open(|b| b.forget_answers());
    let answered = sim.demand("everything answers everywhere", ANSWERS_WITHIN, |_| {
        board.open(|b| b.has_answered_everywhere(count))
    });
    if !answered {
        let silent = board.open(|b| b.silent());
        sim.violation(format!("no answers: {silent:#?}"));
    }
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn nodes(sim: &mut Simulation, board: &Books<Board>, is_calm: bool) -> Vec<HostId> {
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
        if !is_calm && sim.random().is_multiple_of(2) {
            let ppm = (sim.random() % (2 * DRIFT_MAX)) as i64 - DRIFT_MAX as i64;
            sim.drift(host, ppm);
        }
        hosts.push(host);
    }
    hosts
}

/// One node gives its work away, leaves, and comes back.
fn restart_in_order(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let at = (sim.random() % hosts.len() as u64) as usize;
    board.open(|b| b.ask_to_leave(NAMES[at]));
    let came_back = sim.run_until(RESTARTED_WITHIN, |_| board.open(|b| !b.is_asked_to_leave(NAMES[at])));
    if board.open(|b| b.is_calm) {
        if !came_back {
            sim.violation(format!("{} has not left in order", NAMES[at]));
        }
        let count = hosts.len();
        sim.demand("whoever was restarted is a member again", JOINED_WITHIN, |_| {
            board.open(|b| b.are_joined(count))
        });
    }
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let at = (sim.random() % hosts.len() as u64) as usize;
    let one = hosts[at];
    let others: Vec<HostId> = hosts.iter().copied().filter(|host| *host != one).collect();
    match sim.random() % 6 {
        0 => {
            crash(sim, one);
            let away = milliseconds(sim, 0, 8_000);
            sim.run_for(away);
            sim.start(one);
        }
        1 => {
            hosts.iter().for_each(|host| crash(sim, *host));
            hosts.iter().for_each(|host| sim.start(*host));
        }
        2 => {
            let other = others[(sim.random() % others.len() as u64) as usize];
            cut(sim, one, other);
            let cut = milliseconds(sim, 100, 15_000);
            sim.run_for(cut);
        }
        3 => {
            cut_off(sim, one, &others);
            let cut = milliseconds(sim, 1_000, 15_000);
            sim.run_for(cut);
        }
        4 => {
            sim.pause(one);
            let pause = milliseconds(sim, 100, 8_000);
            sim.run_for(pause);
            board.open(|b| b.resumes(NAMES[at]));
            sim.resume(one);
        }
        _ => {
            storm(sim, 8_000);
        }
    }
    // most are over before the next one begins
    if !sim.random().is_multiple_of(4) {
        for name in NAMES {
            board.open(|b| b.resumes(name));
        }
        heal(sim, hosts);
    }
}
