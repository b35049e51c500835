//! Three to five real nodes have entities and a singleton together, and call them from everywhere. In calm runs nodes are
//! only restarted in order, one after another: then nothing fails, and what entities count goes with them. In hasty runs
//! they are restarted again as soon as they are members, while slots still move, some calls take long, and another node
//! stands still for less than a lease: what entities count goes with them all the same. In the others packets are lost,
//! paths are cut, machines or single executors stand still for longer than a lease, clocks drift and machines crash, too.
//! What is not executed never runs, nothing runs twice, and no activation does anything after a later one of its key
//! has, unless clocks drift by more than leases allow for. In the end all nodes see the same, and everything answers
//! everywhere.

mod board;
mod program;

use self::board::{Board, Kind};
use self::program::{Start, serve};
use super::books::Books;
use super::linked::{Cluster, NAMES, names};
use super::weather::{
    choose, crash_all, crash_for, crash_within_write, cut_for, cut_off_for, heal, hold_up_for, milliseconds,
    mostly_heal, part_for, pause_for, perhaps_drift, perhaps_drift_beyond, storm,
};
use crate::{HostId, Simulation};
use std::time::Duration;

/// After all faults are healed all nodes are members within this time.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// From then on everything answers within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// A node that is restarted in order has left and come back within this time.
const RESTARTED_WITHIN: Duration = Duration::from_secs(60);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let kind = match sim.random() % 6 {
        0 => Kind::Calm,
        1 => Kind::Hasty,
        2 => Kind::BeyondDrift,
        _ => Kind::Rough,
    };
    let board = Books::<Board>::default();
    board.open(|b| b.kind = kind);
    let hosts = nodes(sim, &board, kind);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 1_000);
        sim.run_for(apart);
    }
    settle(sim, &board, hosts.len());
    board.open(|b| b.has_begun = true);
    for _ in 0..2 + sim.random() % 5 {
        match (kind, sim.random() % 8) {
            (Kind::Calm, _) | (_, 0) => restart_in_order(sim, &hosts, &board),
            (Kind::Hasty, _) => restart_in_haste(sim, &hosts, &board),
            (_, 1) => {
                // it leaves while something else goes wrong
                let at = (sim.random() % hosts.len() as u64) as usize;
                board.open(|b| b.ask_to_leave(NAMES[at]));
                misfortune(sim, &hosts);
            }
            _ => misfortune(sim, &hosts),
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

fn nodes(sim: &mut Simulation, board: &Books<Board>, kind: Kind) -> Vec<HostId> {
    let cluster = Cluster::with_times(sim);
    let names = names(sim, 3..=5);
    let mut hosts = Vec::new();
    for name in &names {
        let start = Start { pass: cluster.node(name), names: names.clone() };
        let host = sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, start.clone(), board.clone())
        });
        match kind {
            Kind::Calm | Kind::Hasty => {}
            Kind::Rough => perhaps_drift(sim, host),
            Kind::BeyondDrift => perhaps_drift_beyond(sim, host),
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
    if board.open(|b| b.kind == Kind::Calm) {
        if !came_back {
            sim.violation(format!("{} has not left in order", NAMES[at]));
        }
        let count = hosts.len();
        sim.demand("whoever was restarted is a member again", JOINED_WITHIN, |_| {
            board.open(|b| b.are_joined(count))
        });
    }
}

/// One node gives its work away, leaves, comes back, and is asked to leave again while slots move to it. Another one stands
/// still meanwhile, for less than a lease.
fn restart_in_haste(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let (at, _, others) = choose(sim, hosts);
    for _ in 0..2 + sim.random() % 2 {
        board.open(|b| b.ask_to_leave(NAMES[at]));
        let moment = milliseconds(sim, 0, 300);
        sim.run_for(moment);
        let other = others[(sim.random() % others.len() as u64) as usize];
        pause_for(sim, other, 50..500);
        sim.resume(other);
        let left = sim.run_until(RESTARTED_WITHIN, |_| board.open(|b| !b.is_asked_to_leave(NAMES[at])));
        if !left {
            sim.violation(format!("{} has not left in order", NAMES[at]));
        }
        sim.demand("whoever was restarted is a member again", JOINED_WITHIN, |_| {
            board.open(|b| b.is_member(NAMES[at]))
        });
        let moment = milliseconds(sim, 0, 300);
        sim.run_for(moment);
    }
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId]) {
    let (_, one, others) = choose(sim, hosts);
    match sim.random() % 9 {
        0 => crash_for(sim, one, 0..8_000),
        1 => crash_all(sim, hosts),
        2 => cut_for(sim, one, &others, 100..15_000),
        3 => cut_off_for(sim, one, &others, 1_000..15_000),
        4 => {
            pause_for(sim, one, 100..8_000);
            sim.resume(one);
        }
        5 => hold_up_for(sim, one, 100..12_000),
        6 => part_for(sim, hosts, 500..15_000),
        7 => crash_within_write(sim, one, 0..5_000),
        _ => storm(sim, 8_000),
    }
    mostly_heal(sim, hosts);
}
