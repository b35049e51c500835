//! Three to five real nodes, each told of one other, find each other by gossip, while packets are lost, paths are cut,
//! and nodes crash and come back at other addresses. In the end each has a link to each, and what only one of them
//! offers is called from everywhere, whenever it was registered.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::{Cluster, names};
use super::weather::{
    choose, crash_for, cut_for, cut_off_for, heal, milliseconds, mostly_heal, pause_for, storm,
};
use crate::{HostId, Simulation};
use std::time::Duration;

/// After all faults are healed each node has a link to each other one within this time: a connection that is dead
/// ends after ten seconds, a dial fails after five, pauses are of five at the most, and a node that has forgotten the
/// others is reached by its seed.
const LINKED_WITHIN: Duration = Duration::from_secs(40);
/// From then on all are called within this time. A service is registered up to ten seconds after its node has begun.
const CALLED_WITHIN: Duration = Duration::from_secs(20);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = nodes(sim, &board);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 4_000);
        sim.run_for(apart);
    }
    for _ in 0..1 + sim.random() % 5 {
        misfortune(sim, &hosts);
        let calm = milliseconds(sim, 0, 6_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    let count = hosts.len();
    let linked =
        sim.demand("each node has a link to each other one, and hears that it lives", LINKED_WITHIN, |_| {
            board.open(|b| b.living.len() == count && b.strangers().is_empty())
        });
    if !linked {
        let strangers = board.open(|b| b.strangers());
        sim.violation(format!("no link, or not known to live: {strangers:?}"));
    }
    board.open(|b| b.answered.clear());
    let wanted = 2 * count * (count - 1);
    let called = sim.demand("what one node offers is called from each other one", CALLED_WITHIN, |_| {
        board.open(|b| b.answered.len() == wanted)
    });
    if !called {
        let answered = board.open(|b| b.answered.clone());
        sim.violation(format!("only these were answered: {answered:?}"));
    }
    board.open(|b| b.keys.clear());
    sim.run_for(Duration::from_secs(3));
    let disputed = board.open(|b| b.disputed());
    if !disputed.is_empty() {
        sim.violation(format!("nodes that see the same members call a key in several places: {disputed:?}"));
    }
    tell(sim, &board);
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

/// The nodes of the cluster. The first one knows the second, each other one knows one before it.
fn nodes(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let names = names(sim, 3..=5);
    let mut hosts = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let seed = if at == 0 { 1 } else { (sim.random() % at as u64) as usize };
        let others = names.iter().filter(|other| *other != name).cloned().collect();
        let start = Start {
            pass: cluster.node(name),
            seed: names[seed].clone(),
            others,
            late: milliseconds(sim, 0, 10_000),
            // two of them have the same entities
            shares: at < 2,
        };
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
    match sim.random() % 6 {
        0 | 1 => crash_for(sim, one, 0..20_000),
        2 => cut_for(sim, one, &others, 100..30_000),
        3 => {
            // now and then for so long that all have forgotten it
            let long = sim.random().is_multiple_of(4);
            cut_off_for(sim, one, &others, if long { 300_000..400_000 } else { 1_000..40_000 });
        }
        4 => pause_for(sim, one, 100..14_000),
        _ => storm(sim, 10_000),
    }
    mostly_heal(sim, hosts);
}
