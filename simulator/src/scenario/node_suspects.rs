//! Three to five real nodes with links to each other, all but one of which offer the same service. One of them falls
//! silent: it crashes, is stopped, or is cut off, from all or from one other, in both directions or in one. Whoever hears
//! nothing from it suspects it within two seconds, and from then on the service is called at the others; those who hear
//! it do not suspect it, but learn who does. While nothing is wrong nobody suspects anybody.

mod board;
mod program;

use self::board::Board;
use self::program::{Start, serve};
use super::books::Books;
use super::linked::{Cluster, names};
use super::weather::{crash, cut_off, heal, milliseconds};
use crate::{HostId, Simulation};
use odeon::core::NodeName;
use std::time::Duration;

/// After all faults are healed each node has a link to each other one within this time.
const LINKED_WITHIN: Duration = Duration::from_secs(40);
/// A node that falls silent is suspect within this time.
const SUSPECT_WITHIN: Duration = Duration::from_secs(2);
/// Who suspects whom is known to all that can be reached within this time.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let names = names(sim, 3..=5);
    let hosts = nodes(sim, &names, &board);
    heal(sim, &hosts);
    for _ in 0..1 + sim.random() % 3 {
        let linked =
            sim.demand("each node has a link to each other one and suspects nobody", LINKED_WITHIN, |_| {
                board.open(|b| b.is_calm(names.len()))
            });
        if !linked {
            let links = board.open(|b| b.describe());
            sim.violation(format!("no calm: {links}"));
            return;
        }
        board.open(Board::watch_calm);
        let calm = milliseconds(sim, 500, 8_000);
        sim.run_for(calm);
        board.open(Board::end_calm);
        silence(sim, &hosts, &names, &board);
        heal(sim, &hosts);
        tell(sim, &board);
    }
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

/// The nodes of the cluster. The first one offers nothing, and calls the others.
fn nodes(sim: &mut Simulation, names: &[NodeName], board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let host = |(at, name): (usize, &NodeName)| {
        let start = Start { pass: cluster.node(name), names: names.to_vec(), calls: at == 0 };
        let board = board.clone();
        (name.to_string(), move |machine| serve(machine, start.clone(), board.clone()))
    };
    let programs: Vec<_> = names.iter().enumerate().map(host).collect();
    programs.into_iter().map(|(name, program)| sim.host(&name, program)).collect()
}

/// One that offers the service falls silent for a while.
fn silence(sim: &mut Simulation, hosts: &[HostId], names: &[NodeName], board: &Books<Board>) {
    let silent = 1 + (sim.random() % (hosts.len() as u64 - 1)) as usize;
    let others: Vec<usize> = (0..hosts.len()).filter(|at| *at != silent).collect();
    // who hears nothing any more, of whom
    let mut deaf: Vec<(usize, usize)> = others.iter().map(|other| (*other, silent)).collect();
    let what = sim.random() % 5;
    match what {
        0 => crash(sim, hosts[silent]),
        1 => sim.pause(hosts[silent]),
        2 => {
            let rest: Vec<HostId> = others.iter().map(|at| hosts[*at]).collect();
            cut_off(sim, hosts[silent], &rest);
            deaf.extend(others.iter().map(|other| (silent, *other)));
        }
        3 => {
            let other = others[(sim.random() % others.len() as u64) as usize];
            cut_off(sim, hosts[silent], &[hosts[other]]);
            deaf = vec![(other, silent), (silent, other)];
        }
        _ => {
            let other = others[(sim.random() % others.len() as u64) as usize];
            let way = [(other, silent), (silent, other)][(sim.random() % 2) as usize];
            sim.cut(hosts[way.1], hosts[way.0]);
            deaf = vec![way];
        }
    }
    let named: Vec<(NodeName, NodeName)> =
        deaf.iter().map(|(by, of)| (names[*by].clone(), names[*of].clone())).collect();
    let suspected = sim.demand("whoever hears nothing of a node suspects it", SUSPECT_WITHIN, |_| {
        board.open(|b| named.iter().all(|(by, of)| b.has_lost(by, of)))
    });
    if !suspected {
        let links = board.open(|b| b.describe());
        sim.violation(format!("not suspect in time; silent: {named:?}; {links}"));
    }
    if what > 2 {
        // both live, and the others hear both
        let third: Vec<&NodeName> =
            names.iter().filter(|name| named.iter().all(|(by, of)| by != *name && of != *name)).collect();
        let told = sim.demand("all others learn who suspects whom", TOLD_WITHIN, |_| {
            board.open(|b| {
                named.iter().all(|(by, of)| {
                    b.is_deaf(of, by) && third.iter().all(|node| b.has_heard_of(node, by, of))
                })
            })
        });
        if !told {
            let links = board.open(|b| b.describe());
            sim.violation(format!("not all know that {named:?}; {links}"));
        }
    }
    // the one that calls has learned all it needs: calls that begin now are answered by those that can
    board.open(Board::watch_calls);
    let while_silent = milliseconds(sim, 1_000, 6_000);
    sim.run_for(while_silent);
    board.open(Board::end_calls);
}
