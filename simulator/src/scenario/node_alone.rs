//! What goes on without the cluster group, and what stops. Three to five real nodes have stateless services, entities and
//! a singleton, a topic, and a gateway each, which somebody outside asks. Then some lose contact to the group: one is cut
//! off from all others, or a majority of the voters is lost to all. Those go on with what is stateless, topics and
//! gateways, by the last view, and say that it may be out of date; nothing is placed; and as soon as a lease ends, nothing
//! volatile acts there any more. Before that an instance of a stateless service may fail for good at one node: it is
//! answered everywhere all the same. Where the group lives on, entities of the lost node
//! answer again within five seconds. In the end everything answers everywhere.

mod board;
mod program;

use self::board::{Board, Receiver};
use self::program::{HTTP_PORT, Start, ask_over_http, has_presence, serve};
use super::books::Books;
use super::linked::{Cluster, FOUNDERS, names};
use super::weather::{crash, cut_off, heal, milliseconds};
use crate::{HostId, Simulation};
use odeon::core::NodeName;
use odeon::core::membership::{MOVED_WITHIN, Times};
use std::net::SocketAddr;
use std::time::Duration;

/// Without faults all nodes are members within this time.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// From then on everything answers within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// A stateless service that can be reached answers within this time, a connection that is silent included.
const GOES_ON_WITHIN: Duration = Duration::from_secs(12);
/// An instance that fails has failed by then, and others know.
const FOUND_OUT: Duration = Duration::from_secs(1);
/// Whoever is asked by a message that is in its hands already may finish it.
const IN_HAND: Duration = Duration::from_millis(500);

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let names = names(sim, 3..=5);
    let hosts = nodes(sim, &names, &board);
    outside(sim, &names, &hosts, &board);
    heal(sim, &hosts);
    for _ in 0..1 + sim.random() % 2 {
        settle(sim, &board, names.len());
        if sim.random().is_multiple_of(3) {
            fail(sim, &names, &board);
        }
        let calm = milliseconds(sim, 0, 2_000);
        sim.run_for(calm);
        lose_contact(sim, &hosts, &names, &board);
        board.open(Board::end_alone);
        heal(sim, &hosts);
        tell(sim, &board);
    }
    settle(sim, &board, names.len());
    tell(sim, &board);
}

/// All are members, and everything answers everywhere.
fn settle(sim: &mut Simulation, board: &Books<Board>, count: usize) {
    let joined =
        sim.demand("all nodes are members with a lease, and all slots have owners", JOINED_WITHIN, |_| {
            board.open(|b| b.are_joined(count))
        });
    if !joined {
        let seen = board.open(|b| b.describe());
        sim.violation(format!("they see: {seen:#?}"));
    }
    board.open(Board::forget_answers);
    let all = board.open(|b| b.names());
    let answered = sim.demand("everything answers everywhere", ANSWERS_WITHIN, |_| {
        board.open(|b| b.missing(&all, |_| true).is_empty())
    });
    if !answered {
        let silent = board.open(|b| b.missing(&all, |_| true));
        sim.violation(format!("no answers: {silent:#?}"));
    }
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn nodes(sim: &mut Simulation, names: &[NodeName], board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let program = |name: &NodeName| {
        let start = Start { pass: cluster.node(name), names: names.to_vec() };
        let board = board.clone();
        (name.to_string(), move |machine| serve(machine, start.clone(), board.clone()))
    };
    let programs: Vec<_> = names.iter().map(program).collect();
    programs.into_iter().map(|(name, program)| sim.host(&name, program)).collect()
}

/// The instance of a stateless service fails at one node, and cannot begin again: whoever calls it there is answered by
/// those of others.
fn fail(sim: &mut Simulation, names: &[NodeName], board: &Books<Board>) {
    let one = names[(sim.random() % names.len() as u64) as usize].clone();
    board.open(|b| b.fails_at(Some(one.clone())));
    // until somebody has called it, and others have heard
    sim.run_for(FOUND_OUT);
    board.open(Board::forget_answers);
    let wanted = |receiver: &Receiver| matches!(receiver, Receiver::Presence | Receiver::Web);
    let all = board.open(|b| b.names());
    let answered = sim.demand("instances of other nodes are called", ANSWERS_WITHIN, |_| {
        board.open(|b| b.missing(&all, wanted).is_empty())
    });
    if !answered {
        let silent = board.open(|b| b.missing(&all, wanted));
        sim.violation(format!("no answers while {one} has no instance: {silent:#?}"));
    }
    board.open(|b| b.fails_at(None));
}

/// Somebody who can reach each node, whatever becomes of the network between nodes.
fn outside(sim: &mut Simulation, names: &[NodeName], hosts: &[HostId], board: &Books<Board>) {
    let address = |host: &HostId| SocketAddr::from((sim.address(*host), HTTP_PORT));
    let gateways: Vec<_> = names.iter().cloned().zip(hosts.iter().map(address)).collect();
    let board = board.clone();
    let host = sim.host("outside", move |machine| ask_over_http(machine, gateways.clone(), board.clone()));
    sim.start(host);
}

/// Some nodes lose contact to the group, and go on.
fn lose_contact(sim: &mut Simulation, hosts: &[HostId], names: &[NodeName], board: &Books<Board>) {
    let lease = Times::default().lease;
    // those that go on without the group, and those that have it
    let (alone, rest): (Vec<usize>, Vec<usize>) = if sim.random().is_multiple_of(2) {
        let one = (sim.random() % hosts.len() as u64) as usize;
        let others: Vec<usize> = (0..hosts.len()).filter(|at| *at != one).collect();
        cut_off(sim, hosts[one], &others.iter().map(|at| hosts[*at]).collect::<Vec<_>>());
        (vec![one], others)
    } else {
        let voter = (sim.random() % FOUNDERS as u64) as usize;
        for lost in (0..FOUNDERS).filter(|at| *at != voter) {
            crash(sim, hosts[lost]);
        }
        let stay = (0..hosts.len()).filter(|at| *at == voter || *at >= FOUNDERS);
        (stay.collect(), Vec::new())
    };
    let named = |them: &[usize]| -> Vec<NodeName> { them.iter().map(|at| names[*at].clone()).collect() };
    let (alone, rest) = (named(&alone), named(&rest));
    sim.run_for(lease + IN_HAND);
    // from here on nothing volatile acts there; whoever was called before is not asked for an answer
    board.open(|b| b.begin_alone(&alone));
    if !rest.is_empty() {
        // a service that only a lost node has is lost with it
        let wanted = |receiver: &Receiver| match receiver {
            Receiver::Only(node) | Receiver::News(node) => !alone.contains(node),
            _ => true,
        };
        let moved = sim.demand("what a lost node had answers again", MOVED_WITHIN - lease - IN_HAND, |_| {
            board.open(|b| b.missing(&rest, wanted).is_empty())
        });
        if !moved {
            let (silent, seen) = board.open(|b| (b.missing(&rest, wanted), b.describe()));
            sim.violation(format!("no answers: {silent:#?}; {seen:#?}"));
        }
    }
    let wanted = |receiver: &Receiver| match receiver {
        Receiver::Presence | Receiver::Web => alone.iter().any(|node| has_presence(names, node)),
        Receiver::Only(node) | Receiver::News(node) => alone.contains(node),
        Receiver::Key(_) | Receiver::Singleton => false,
    };
    let goes_on = sim.demand("stateless services go on", GOES_ON_WITHIN, |_| {
        board.open(|b| b.missing(&alone, wanted).is_empty())
    });
    if !goes_on {
        let silent = board.open(|b| b.missing(&alone, wanted));
        sim.violation(format!("no answers: {silent:#?}"));
    }
    let long = milliseconds(sim, 0, 10_000);
    sim.run_for(long);
}
