//! Three to five real nodes with a replica each of one group, which commands are proposed to on all of them, while
//! packets are lost, paths are cut, machines stand still, crash within writes, lose a disk, disks fail to sync, the
//! lead is passed on and voters are replaced. All replicas apply the same commands in the same order, those that were
//! confirmed among them and none that was refused; what is applied is durable with a majority; a term has one leader;
//! what is read behind a barrier is up to date.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::{Cluster, names};
use super::weather::{
    choose, crash_all, crash_for, crash_within_write, cut_for, cut_off_for, fail_syncs_for, heal,
    milliseconds, mostly_heal, part_for, pause_for, storm,
};
use crate::{Crash, HostId, Simulation};
use std::time::Duration;

/// After all faults are healed a command that is proposed on any node is applied within this time: a connection that is
/// dead ends after ten seconds, a dial fails after five, an election takes two, and a replica that is far behind is
/// given a snapshot.
const AGREED_WITHIN: Duration = Duration::from_secs(60);
/// From then on nothing is proposed, and all replicas are alike within this time.
const ALIKE_WITHIN: Duration = Duration::from_secs(20);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = nodes(sim, &board);
    for host in &hosts {
        sim.start(*host);
        let apart = milliseconds(sim, 0, 1_000);
        sim.run_for(apart);
    }
    let formed = sim.demand("the group is formed", AGREED_WITHIN, |_| board.open(|b| b.confirmed.len() > 2));
    board.open(|b| b.is_formed = formed);
    for _ in 0..2 + sim.random() % 6 {
        misfortune(sim, &hosts, &board);
        let calm = milliseconds(sim, 0, 5_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    board.open(|b| b.since.clear());
    let count = hosts.len();
    let agreed = sim.demand("what is proposed on each node is applied", AGREED_WITHIN, |_| {
        board.open(|b| b.since.len() == count && b.is_seated(count))
    });
    if !agreed {
        let (since, seats) = board.open(|b| (b.since.clone(), b.seats()));
        sim.violation(format!("only on these it is: {since:?}; the replicas: {seats:?}"));
    }
    board.open(|b| b.is_over = true);
    let alike = sim.demand("all replicas are alike", ALIKE_WITHIN, |_| board.open(|b| b.are_alike(count)));
    if !alike {
        let applied = board.open(|b| b.applied());
        sim.violation(format!("they have applied: {applied:?}"));
    }
    tell(sim, &board);
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn nodes(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let names = names(sim, 3..=5);
    let seed = sim.random();
    let mut hosts = Vec::new();
    for name in &names {
        let start = Start { pass: cluster.node(name), names: names.clone(), seed };
        hosts.push(sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, start.clone(), board.clone())
        }));
    }
    hosts
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let (_, one, others) = choose(sim, hosts);
    match sim.random() % 10 {
        0 => crash_for(sim, one, 0..15_000),
        1 => crash_within_write(sim, one, 0..5_000),
        2 => crash_all(sim, hosts),
        3 => cut_for(sim, one, &others, 100..20_000),
        4 => cut_off_for(sim, one, &others, 1_000..20_000),
        5 => pause_for(sim, one, 100..14_000),
        6 => lose_disk(sim, one, board),
        7 => part_for(sim, hosts, 1_000..20_000),
        8 => fail_syncs_for(sim, one, 100..5_000),
        _ => storm(sim, 10_000),
    }
    mostly_heal(sim, hosts);
}

/// A disk is replaced by an empty one, once: of what was confirmed a majority of the others may have lost one more.
fn lose_disk(sim: &mut Simulation, host: HostId, board: &Books<Board>) {
    if board.open(|b| std::mem::replace(&mut b.disk_lost, true)) {
        return;
    }
    crate::reach::reached("group: a disk was replaced by an empty one");
    sim.crash(host, Crash::Power);
    sim.wipe_disk(host);
    sim.start(host);
}
