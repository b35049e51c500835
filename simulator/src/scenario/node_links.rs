//! Two to five real nodes call each other over links, while packets are lost, doubled and late, paths are cut, and
//! nodes stand still, crash, stop in order and come back. No call runs twice or ends falsely, casts keep their order,
//! who stops is noticed, and in the end the books of every link tell what really happened.

mod board;
mod by_name;
mod invariants;
mod program;

use self::board::{Board, Phase};
use self::program::{PORT, Start, serve};
use super::books::Books;
use super::linked::{Cluster, NAMES, names};
use super::weather::{choose, cut_for, heal, milliseconds, mostly_heal, pause_for, storm};
use crate::reach::reached;
use crate::{Crash, HostId, Simulation};
use odeon::ServiceOptions;
use odeon::core::NodeName;
use odeon::directory::ServiceKind;
use std::net::SocketAddr;
use std::time::Duration;

/// After all faults are healed each node is answered by each other one within this time: a connection that nobody has
/// heard of for ten seconds ends, a dial may take ten, and then come pauses of two at the most. A call waits for what was
/// sent before it, so the time comes on top that a poor link takes for what had gathered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
/// Bytes a second that a poor link carries at the least. Where packets of 1,200 bytes take ten times as long as others, one
/// was seen to carry 280,000.
const CARRIED_MIN: f64 = 150_000.0;
/// Once nobody sends any more, all is accounted for within this time: a lane keeps 4 MiB, and a poor link (4 % lost, 5 %
/// held back) was seen to carry 180 KB/s for three peers.
const CLOSED_WITHIN: Duration = Duration::from_secs(120);
/// A node that is told to stop does so within this time.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// Where no packet is lost, all have noticed within this time that a node has stopped; its silence takes ten seconds to
/// be noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(3);

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
    let gathered = board.open(|b| b.living_links().map(|(_, link)| link.queued_bytes).max().unwrap_or(0));
    let within = ANSWERED_WITHIN + Duration::from_secs_f64(gathered as f64 / CARRIED_MIN);
    sim.demand("each node is answered by each other one", within, |_| {
        board.open(|b| b.answered.len() == pairs)
    });
    board.open(|b| b.phase = Phase::Quiet);
    sim.demand("every call ends", Duration::from_secs(10), |_| board.open(|b| b.have_all_ended()));
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
            let pair = (node, link.node.clone());
            let (truth, before) = (b.truth(&pair).clone(), b.truth_before(&pair));
            if link.earlier.lost().values().sum::<u64>() > 0 {
                reached("links: what was lost with an earlier incarnation is in the books");
            }
            b.broken.extend(invariants::books_are_true(&pair.0, &link, &truth));
            b.broken.extend(invariants::earlier_books_are_true(&pair.0, &link, &before));
        }
        let all = b.truth.iter().filter_map(|(pair, truth)| invariants::no_cast_from_nowhere(pair, truth));
        let all: Vec<String> = all.collect();
        b.broken.extend(all);
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
    let names = names(sim, 2..=5);
    let ballast_max = [0, 100, 100, 2_000, 60_000][(sim.random() % 5) as usize];
    let work_max = Duration::from_millis([0, 5, 50][(sim.random() % 3) as usize]);
    let panics = [0.0, 0.0, 0.01, 0.1][(sim.random() % 4) as usize];
    let mut options = ServiceOptions::of(ServiceKind::Entity);
    options.mailbox.count_max = [1_024, 1_024, 30, 4][(sim.random() % 4) as usize];
    options.passivate_after = Some(Duration::from_secs([120, 1][(sim.random() % 2) as usize]));
    let mut hosts = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let dials = if sim.random().is_multiple_of(3) { names.clone() } else { names[at..].to_vec() };
        let dials = dials.into_iter().filter(|other| other != name).collect();
        let start = Start {
            pass: cluster.node(name),
            dials,
            ballast_max,
            work_max,
            panics,
            options: options.clone(),
        };
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
    let (at, one, others) = choose(sim, hosts);
    let how = if sim.random().is_multiple_of(2) { Crash::Process } else { Crash::Power };
    let away = milliseconds(sim, 0, 4_000);
    match sim.random() % 11 {
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
            // now and then for so long that sessions are given up
            let long = sim.random().is_multiple_of(6);
            cut_for(sim, one, &others, if long { 30_000..50_000 } else { 100..15_000 });
        }
        4 => pause_for(sim, one, 100..14_000),
        5 | 6 => storm(sim, 6_000),
        7 => {
            // who stands still learns of the crash from nothing but silence, and its answers come very late
            pause_for(sim, one, 3_000..30_000);
            let (_, other, _) = choose(sim, &others);
            sim.crash(other, how);
            sim.start(other);
            sim.resume(one);
        }
        10 => {
            // in the middle of a large body, if there is one
            let within = Duration::from_secs(5);
            if sim.run_until(within, |_| board.open(|b| b.is_large_under_way(NAMES[at]))) {
                reached("links: a crash struck while a large body was on its way");
            }
            sim.crash(one, how);
            sim.run_for(away);
        }
        8 => {
            stop(sim, hosts, at, board);
            sim.run_for(away);
        }
        _ => {
            board.open(|b| b.dropping.insert(NAMES[at].parse().expect("a name")));
            sim.run_for(Duration::from_millis(300));
        }
    }
    mostly_heal(sim, hosts);
}

/// A node stops in order, whatever it is doing, and all others notice.
fn stop(sim: &mut Simulation, hosts: &[HostId], at: usize, board: &Books<Board>) {
    heal(sim, hosts);
    let mut network = sim.options().network.clone();
    network.loss = 0.0;
    sim.set_network(network);
    let up = milliseconds(sim, 0, 3_000);
    sim.run_for(up);
    let name: NodeName = NAMES[at].parse().expect("a name");
    board.open(|b| b.stopping.insert(name.clone()));
    let stopped = sim.demand("a node stops when it is told to", STOPPED_WITHIN, |_| {
        board.open(|b| b.stopped.contains(&name))
    });
    if stopped {
        let noticed = sim.demand("all notice that a node has stopped", NOTICED_WITHIN, |_| {
            board.open(|b| b.linked_to(&name).is_empty())
        });
        if !noticed {
            let linked = board.open(|b| b.linked_to(&name));
            sim.violation(format!("{name} has stopped, and these have a connection: {linked:?}"));
        }
    }
    sim.crash(hosts[at], Crash::Process);
}
