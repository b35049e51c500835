//! Two to five real nodes publish to one topic, whose members are entities, a singleton and a stateless service of all of
//! them: they join and leave, are passivated, fail and end, while packets are lost, paths are cut, machines stand still
//! and crash. In some runs the cluster group says where entities and the singleton are. Nobody is told who never joined,
//! nobody is told twice or out of order, and each publication says of each member what became of it. In the end all nodes
//! know the same members, those that there are, and what is published reaches each of them.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::{Cluster, names};
use super::weather::{
    choose, crash_for, cut_for, cut_off_for, heal, milliseconds, mostly_heal, part_for, pause_for, storm,
};
use crate::{HostId, Simulation};
use std::time::Duration;

/// After all faults are healed each node has a link to each other one within this time, and all are members if there is a
/// group.
const LINKED_WITHIN: Duration = Duration::from_secs(60);
/// What was begun before nobody joined, left or failed any more is over within this time.
const STIRRED_WITHIN: Duration = Duration::from_secs(1);
/// From then on all know the same members within this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
/// What was published has come within this time.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let is_placed = sim.random().is_multiple_of(2);
    board.open(|b| b.is_placed = is_placed);
    let hosts = nodes(sim, &board, is_placed);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 2_000);
        sim.run_for(apart);
    }
    for _ in 0..1 + sim.random() % 6 {
        misfortune(sim, &hosts);
        let calm = milliseconds(sim, 0, 4_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    settle(sim, &board, hosts.len());
    tell(sim, &board);
}

/// Nobody joins or leaves any more: all nodes know who has joined, and what is published reaches all of them.
fn settle(sim: &mut Simulation, board: &Books<Board>, count: usize) {
    board.open(|b| b.is_calm = true);
    sim.run_for(STIRRED_WITHIN);
    let linked = sim.demand("each node has a link to each other one, and its place", LINKED_WITHIN, |_| {
        board.open(|b| b.living.len() == count && b.strangers().is_empty() && b.are_placed())
    });
    if !linked {
        let strangers = board.open(|b| b.strangers());
        sim.violation(format!("no link, or no place: {strangers:?}"));
    }
    let known = sim.demand("each node knows all members, and no other ones", KNOWN_WITHIN, |_| {
        board.open(|b| b.unknown().is_empty())
    });
    if !known {
        let unknown = board.open(|b| b.unknown());
        sim.violation(format!("other members are known than there are: {unknown:#?}"));
    }
    board.open(Board::mark);
    sim.run_for(Duration::from_secs(2));
    board.open(|b| b.is_silent = true);
    let heard = sim.demand("each member has heard all that was published", HEARD_WITHIN, |_| {
        board.open(|b| b.unheard().is_empty())
    });
    if !heard {
        let unheard = board.open(|b| b.unheard());
        sim.violation(format!("not heard: {unheard:#?}"));
    }
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn nodes(sim: &mut Simulation, board: &Books<Board>, is_placed: bool) -> Vec<HostId> {
    let cluster = Cluster::with_times(sim);
    let names = names(sim, if is_placed { 3..=5 } else { 2..=5 });
    let mut hosts = Vec::new();
    for name in &names {
        let start = Start { pass: cluster.node(name), names: names.clone(), is_placed };
        hosts.push(sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, start.clone(), board.clone())
        }));
    }
    hosts
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId]) {
    let (_, one, others) = choose(sim, hosts);
    match sim.random() % 7 {
        0 | 1 => crash_for(sim, one, 0..8_000),
        2 => cut_for(sim, one, &others, 100..15_000),
        3 => cut_off_for(sim, one, &others, 1_000..45_000),
        4 => pause_for(sim, one, 100..14_000),
        5 => part_for(sim, hosts, 500..15_000),
        _ => storm(sim, 8_000),
    }
    mostly_heal(sim, hosts);
}
