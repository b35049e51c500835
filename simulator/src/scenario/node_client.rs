//! A program outside of the cluster calls, many calls at a time and large ones among them, through the one node that it
//! is told of, what that node has and what another one has, while packets are lost, paths are cut, and nodes and the
//! program itself crash. Each call ends with a true outcome: what was answered has run once, what was refused never
//! runs, nothing runs twice; casts keep their order, and the books balance. In the end both are called and nothing is
//! open.

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
/// Once nothing but small payments is sent, a poor link has carried what had gathered within this time, and once nobody
/// sends any more, all is accounted for: see `node-links`. Where packets take ten times as long as others a link carries a
/// third of a megabyte each second, so that large notes may keep it busy for half a minute.
const CLOSED_WITHIN: Duration = Duration::from_secs(120);
/// All is as if nothing had ever been wrong this time after what had gathered is carried,
const CALM_AFTER: Duration = Duration::from_secs(20);
/// and stays so for longer than a node waits for a client that has lost its connection.
const CALM: Duration = Duration::from_secs(35);
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
    // what was lost before may take its time, and must not come to light later
    board.open(|b| b.is_calm = true);
    let carried = sim.demand("what had gathered is carried", CLOSED_WITHIN, |_| {
        board.open(|b| b.link.as_ref().is_some_and(|link| link.open == 0))
    });
    if !carried {
        sim.violation(format!("gathered: {:?}", board.open(|b| b.link.clone())));
    }
    sim.run_for(CALM_AFTER);
    board.open(|b| b.is_safe = true);
    sim.run_for(CALM);
    board.open(|b| b.is_over = true);
    sim.run_for(SETTLED_AFTER);
    let closed = sim.demand("the books of the program close", CLOSED_WITHIN, |_| {
        board.open(|b| b.link.as_ref().is_some_and(|link| link.open == 0 && link.calls == 0))
    });
    if !closed {
        sim.violation(format!("open: {:?}", board.open(|b| b.link.clone())));
    }
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
    let caller = Caller { pass: cluster.client(&name), node: NAMES[0], services: NAMES, seed: sim.random() };
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
