//! A program outside of the cluster calls, through the one node that it is told of, what that node has and what another
//! one has, while packets are lost, paths are cut, and nodes and the program itself crash. Each call ends with a true
//! outcome: what was answered has run once, what was refused never runs, nothing runs twice. In the end both are called.

mod program;

use self::program::{Board, Caller, Start, call, serve};
use super::books::Books;
use super::linked::Cluster;
use super::weather::{choose, crash_for, cut_for, heal, milliseconds, mostly_heal, pause_for, storm};
use crate::{HostId, Simulation};
use odeon::core::NodeName;
use std::time::Duration;

/// The first is the one that the program is told of.
const NAMES: [&str; 2] = ["north", "south"];
/// After all faults are healed a call to each is answered within this time: a connection that is dead ends after ten
/// seconds, a dial fails after five, pauses are of two, and nodes find each other again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
/// A call that was refused would have run by then.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = hosts(sim, &board);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 2_000);
        sim.run_for(apart);
    }
    for _ in 0..1 + sim.random() % 6 {
        misfortune(sim, &hosts);
        let calm = milliseconds(sim, 0, 5_000);
        sim.run_for(calm);
    }
    heal(sim, &hosts);
    board.open(|b| b.answered.clear());
    let answered = sim.demand("what each node has is called from outside", ANSWERED_WITHIN, |_| {
        board.open(|b| b.answered.len() == NAMES.len())
    });
    if !answered {
        sim.violation(format!("only these were answered: {:?}", board.open(|b| b.answered.clone())));
    }
    board.open(|b| b.is_over = true);
    sim.run_for(SETTLED_AFTER);
    for broken in board.open(|b| b.untrue()) {
        sim.violation(broken);
    }
}

/// The nodes, and the host of the program.
fn hosts(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let mut hosts = Vec::new();
    for name in NAMES {
        let name: NodeName = name.parse().expect("a name");
        let start = Start { pass: cluster.node(&name), all: NAMES };
        let board = board.clone();
        let program = move |machine| serve(machine, start.clone(), board.clone());
        hosts.push(sim.host(name.as_str(), program));
    }
    let name = "reports".parse().expect("a name");
    let caller = Caller { pass: cluster.client(&name), node: NAMES[0], services: NAMES };
    let board = board.clone();
    hosts.push(sim.host("outside", move |machine| call(machine, caller.clone(), board.clone())));
    hosts
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId]) {
    let (_, one, others) = choose(sim, hosts);
    match sim.random() % 5 {
        0 => crash_for(sim, one, 0..15_000),
        1 | 2 => cut_for(sim, one, &others, 100..20_000),
        3 => pause_for(sim, one, 100..14_000),
        _ => storm(sim, 8_000),
    }
    mostly_heal(sim, hosts);
}
