//! Two to five real nodes call each other over links, while packets are lost, doubled and late, paths are cut, and
//! nodes stand still, crash and come back. No call runs twice or ends falsely, casts keep their order, and in the end
//! the books of every link tell what really happened.

mod board;
mod by_name;
mod invariants;
mod program;

use self::board::{Board, Phase};
use self::program::{PORT, Start, serve};
use super::books::Books;
use super::linked::Cluster;
use super::weather::{cut, heal, milliseconds, storm};
use crate::{Crash, HostId, Simulation};
use odeon::ServiceOptions;
use odeon::core::NodeName;
use odeon::directory::ServiceKind;
use std::net::SocketAddr;
use std::time::Duration;

const NAMES: [&str; 5] = ["north", "south", "west", "east", "centre"];
/// After all faults are healed each node is answered by each other one within this time: a connection that nobody has
/// heard of for ten seconds ends, a dial may take ten, and then come pauses of two at the most.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
/// Once nobody sends any more, all is accounted for within this time: a lane keeps 4 MiB, and a poor link (4 % lost, 5 %
/// held back) was seen to carry 180 KB/s for three peers.
const CLOSED_WITHIN: Duration = Duration::from_secs(120);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = nodes(sim, &board);
    for host in &hosts {
        sim.start(*host);
    }
    sim.run_for(Duration::from_secs(2));
    for _ in 0..2 + sim.random() % 4 {
        misfortune(sim, &hosts, &board);
        let calm = Duration::from_millis(sim.random() % 3_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    board.open(|b| b.phase = Phase::Healed);
    // the world is as it was once those who come back have dialed
    board.open(|b| b.answered.clear());
    let pairs = hosts.len() * (hosts.len() - 1);
    sim.demand("each node is answered by each other one", ANSWERED_WITHIN, |_| {
        board.open(|b| b.answered.len() == pairs)
    });
    board.open(|b| b.phase = Phase::Quiet);
    sim.demand("every call ends", Duration::from_secs(10), |_| {
        board.open(|b| b.open.values().all(|n| *n == 0))
    });
    let closed = sim.demand("the books of all links close", CLOSED_WITHIN, |_| {
        board.open(|b| b.living_links().all(|(_, link)| invariants::closed(link)))
    });
    sim.run_for(Duration::from_secs(1));
    if !closed {
        let open = board.open(|b| {
            let open = b.living_links().filter(|(_, link)| !invariants::closed(link));
            open.map(|(node, link)| format!("{node}: {link:?}")).collect::<Vec<_>>()
        });
        sim.violation(format!("open: {open:?}"));
    }
    board.open(|b| {
        let living = b.living_links().map(|(node, link)| (node.clone(), link.clone())).collect::<Vec<_>>();
        for (node, link) in living {
            let truth = *b.truth(&(node.clone(), link.node.clone()));
            b.broken.extend(invariants::books_are_true(&node, &link, &truth));
        }
    });
    tell(sim, &board);
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

/// The nodes of the cluster. Each dials those behind it, some dial all.
fn nodes(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let names: Vec<NodeName> =
        NAMES[..2 + (sim.random() % 4) as usize].iter().map(|name| name.parse().expect("a name")).collect();
    let ballast_max = [0, 100, 100, 2_000, 60_000][(sim.random() % 5) as usize];
    let work_max = Duration::from_millis([0, 5, 50][(sim.random() % 3) as usize]);
    let mut options = ServiceOptions::of(ServiceKind::Entity);
    options.mailbox.count_max = [1_024, 1_024, 30, 4][(sim.random() % 4) as usize];
    options.passivate_after = Some(Duration::from_secs([120, 1][(sim.random() % 2) as usize]));
    let mut hosts = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let dials = if sim.random().is_multiple_of(3) { names.clone() } else { names[at..].to_vec() };
        let dials = dials.into_iter().filter(|other| other != name).collect();
        let start =
            Start { pass: cluster.node(name), dials, ballast_max, work_max, options: options.clone() };
        let host = sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, start.clone(), board.clone())
        });
        let address = SocketAddr::from((sim.address(host), PORT));
        board.open(|b| b.addresses.insert(name.clone(), address));
        hosts.push(host);
    }
    hosts
}

/// One thing that goes wrong, for a while.
fn misfortune(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) {
    let at = (sim.random() % hosts.len() as u64) as usize;
    let (one, other) =
        (hosts[at], hosts[(at + 1 + (sim.random() % (hosts.len() as u64 - 1)) as usize) % hosts.len()]);
    let how = if sim.random().is_multiple_of(2) { Crash::Process } else { Crash::Power };
    let away = milliseconds(sim, 0, 4_000);
    match sim.random() % 9 {
        0 => {
            sim.crash(one, how);
            sim.run_for(away);
        }
        1 => {
            let sends = sim.random() % 300;
            sim.crash_at_send(one, sends, how, None);
            sim.run_until(Duration::from_secs(10), |sim| !sim.is_up(one));
            sim.crash(one, how);
            sim.run_for(away);
        }
        2 | 3 => {
            cut(sim, one, other);
            // now and then for so long that sessions are given up
            let long = sim.random().is_multiple_of(6);
            let cut = if long { milliseconds(sim, 30_000, 50_000) } else { milliseconds(sim, 100, 15_000) };
            sim.run_for(cut);
        }
        4 => {
            sim.pause(one);
            let pause = milliseconds(sim, 100, 14_000);
            sim.run_for(pause);
        }
        5 | 6 => {
            storm(sim, 6_000);
        }
        7 => {
            // who stands still learns of the crash from nothing but silence, and its answers come very late
            sim.pause(one);
            let pause = milliseconds(sim, 3_000, 30_000);
            sim.run_for(pause);
            sim.crash(other, how);
            sim.start(other);
            sim.resume(one);
        }
        _ => {
            let name = board.open(|b| b.living.keys().nth(at).cloned());
            board.open(|b| b.dropping.extend(name));
            sim.run_for(Duration::from_millis(300));
        }
    }
    // most are over before the next one begins
    if !sim.random().is_multiple_of(4) {
        heal(sim, hosts);
    }
}
