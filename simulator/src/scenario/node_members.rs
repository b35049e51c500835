//! Three to five real nodes form a cluster, while packets are lost, paths are cut, machines stand still for longer than a
//! lease, clocks drift, machines crash and one loses its disk. A view of one epoch is the same everywhere, epochs never
//! fall, and no node acts as a member whose lease was passed on. In the end all are members, and see the same; and when
//! the leader of their group is silent from one moment to the next, the others keep their leases.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::{Cluster, FOUNDERS, NAMES, names};
use super::weather::{
    choose, crash_all, crash_for, crash_within_write, cut_for, cut_off, cut_off_for, heal, milliseconds,
    mostly_heal, part_for, pause_for, perhaps_drift, storm,
};
use crate::reach::reached;
use crate::{Crash, HostId, Simulation};
use std::time::Duration;

/// After all faults are healed all nodes are members within this time: dead connections end after ten seconds, dials
/// fail after five, elections take two, and a replica that is far behind is given a snapshot.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// Any lease has ended after this time.
const LEASES: Duration = Duration::from_secs(5);
/// Connections of which one side knows nothing any more are gone after this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(12);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = nodes(sim, &board);
    // one may come that was never there
    let late = usize::from(hosts.len() > FOUNDERS && sim.random().is_multiple_of(2));
    let mut there = hosts.len() - late;
    for host in &hosts[..there] {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 2_000);
        sim.run_for(apart);
    }
    all_join(sim, &board, there);
    for _ in 0..2 + sim.random() % 6 {
        misfortune(sim, &hosts[..there], &board);
        if there < hosts.len() && sim.random().is_multiple_of(2) {
            reached("members: a node came that was never there");
            sim.start(hosts[there]);
            there = hosts.len();
        }
        let calm = milliseconds(sim, 0, 6_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    all_join(sim, &board, hosts.len());
    lose_leader(sim, &hosts, &board);
    heal(sim, &hosts);
    all_join(sim, &board, hosts.len());
    tell(sim, &board);
}

/// All is well but that the leader of the group is heard of no more: whoever has a lease keeps it, unless the first
/// election elects nobody.
fn lose_leader(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let settled = SETTLED_WITHIN + milliseconds(sim, 0, 1_000);
    sim.run_for(settled);
    let Some((name, term)) = board.open(Board::leader) else { return };
    let at = NAMES.iter().position(|known| *known == name.as_str()).expect("it has one of these names");
    let others: Vec<HostId> = hosts.iter().copied().filter(|host| *host != hosts[at]).collect();
    if sim.random().is_multiple_of(2) {
        cut_off(sim, hosts[at], &others);
    } else {
        sim.crash(hosts[at], Crash::Power);
    }
    sim.run_for(LEASES);
    let (lapsed, now) = board.open(|b| b.lapsed_without(&name));
    if now == term + 1 {
        reached("members: the leader was silent, and the first election gave another one");
        if !lapsed.is_empty() {
            sim.violation(format!(
                "the leader {name} was lost in term {term}, and with it the leases of {lapsed:?}"
            ));
        }
    }
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
    let cluster = Cluster::with_times(sim);
    let names = names(sim, 3..=5);
    let mut hosts = Vec::new();
    for name in &names {
        let start = Start { pass: cluster.node(name), names: names.clone() };
        let host = sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, start.clone(), board.clone())
        });
        perhaps_drift(sim, host);
        hosts.push(host);
    }
    hosts
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let (_, one, others) = choose(sim, hosts);
    match sim.random() % 10 {
        0 => crash_for(sim, one, 0..10_000),
        1 => crash_within_write(sim, one, 0..5_000),
        2 => crash_all(sim, hosts),
        3 => cut_for(sim, one, &others, 100..20_000),
        4 => cut_off_for(sim, one, &others, 1_000..20_000),
        5 => {
            // longer than a lease, or not
            pause_for(sim, one, 100..8_000);
            sim.resume(one);
        }
        6 => {
            if !board.open(|b| std::mem::replace(&mut b.disk_lost, true)) {
                reached("members: a disk was replaced by an empty one");
                sim.crash(one, Crash::Power);
                sim.wipe_disk(one);
                sim.start(one);
            }
        }
        7 | 8 => part_for(sim, hosts, 1_000..20_000),
        _ => storm(sim, 10_000),
    }
    mostly_heal(sim, hosts);
}
