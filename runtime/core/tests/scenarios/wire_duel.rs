//! Two nodes that dial each other, in every order in which dials, messages, losses and restarts can come: in the end
//! one connection is left, and both nodes hold it.

use odeon_core::ClusterId;
use odeon_core::wire::admission::{Known, Ours, admit, confirm};
use odeon_core::wire::duel::{Dial, Held};
use odeon_core::wire::handshake::{Expected, Features, Turned, Welcome};
use odeon_core::wire::version::VersionRange;
use odeon_core::{NodeId, NodeName};
use std::collections::BTreeSet;

/// More dials of one node than any order should need.
const ATTEMPTS_MAX: u64 = 12;

/// Mars, whose name is the lower one, and Venus.
type Side = usize;
const MARS: Side = 0;
const VENUS: Side = 1;

fn name(side: Side) -> NodeName {
    ["mars", "venus"][side].parse().expect("a name")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Hello,
    /// With the incarnation of who says it.
    Welcome(u64),
    Duplicate,
    TurnedOtherwise,
    Closed,
}

/// A dial and the connection that comes of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    dialer: Side,
    dial: Dial,
    ended: Option<Dial>,
    /// What is on its way, by the side that it goes to; what was said first comes first.
    under_way: [Vec<Said>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    incarnation: u64,
    attempts: u64,
    known: Option<u64>,
    held: Option<(usize, Held)>,
    /// It was told that another connection is on its way.
    waits: bool,
    ended: Option<Dial>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Dial(Side),
    /// What was said on a connection comes to a side. A close may overtake what was said before it.
    Comes(usize, Side, usize),
    /// A side gives its connection up, and the other does not learn of it.
    Loses(Side),
    /// A side notices that nobody is at the other end any more.
    Notices(Side),
    /// A side ends and begins again as its next incarnation.
    Restarts(Side),
}

/// Two nodes and the network between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    nodes: [Node; 2],
    connections: Vec<Connection>,
    losses: u32,
    restarts: u32,
}

impl World {
    fn new(losses: u32, restarts: u32) -> Self {
        let node = Node { incarnation: 1, attempts: 0, known: None, held: None, waits: false, ended: None };
        Self { nodes: [node.clone(), node], connections: Vec::new(), losses, restarts }
    }

    fn ours(&self, side: Side) -> Ours {
        Ours {
            cluster: ClusterId::new("blue", 1).expect("a name"),
            node: NodeId { name: name(side), incarnation: self.nodes[side].incarnation },
            run: self.nodes[side].incarnation,
            is_client: false,
            versions: VersionRange::SPOKEN,
            artifact: None,
            address: String::new(),
            features: Features::default(),
            session_next: 1,
        }
    }

    fn known(&self, side: Side) -> Option<Known> {
        self.nodes[side].known.map(|incarnation| Known { incarnation, run: incarnation, sessions: None })
    }

    fn holds(&self, side: Side, connection: usize) -> bool {
        self.nodes[side].held.as_ref().is_some_and(|(held, _)| *held == connection)
    }

    /// What happens by itself sooner or later.
    fn due(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (at, connection) in self.connections.iter().enumerate() {
            for side in [MARS, VENUS] {
                let said = &connection.under_way[side];
                if !said.is_empty() {
                    events.push(Event::Comes(at, side, 0));
                }
                if let Some(close) = said.iter().position(|s| *s == Said::Closed).filter(|at| *at > 0) {
                    events.push(Event::Comes(at, side, close));
                }
            }
        }
        for side in [MARS, VENUS] {
            match &self.nodes[side].held {
                None if !self.nodes[side].waits => events.push(Event::Dial(side)),
                None => {}
                Some((at, _)) => {
                    let silent = self.connections[*at].under_way.iter().all(Vec::is_empty);
                    if silent && !self.holds(1 - side, *at) {
                        events.push(Event::Notices(side));
                    }
                }
            }
        }
        if events.is_empty() {
            // who waits is patient: by now the other would have noticed that the connection it keeps is dead
            let waits = |side: &Side| self.nodes[*side].held.is_none() && self.nodes[*side].waits;
            events.extend([MARS, VENUS].into_iter().filter(waits).map(Event::Dial));
        }
        events
    }

    /// What may happen besides, a limited number of times.
    fn mishaps(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for side in [MARS, VENUS] {
            if self.losses > 0 && self.nodes[side].held.is_some() {
                events.push(Event::Loses(side));
            }
            if self.restarts > 0 {
                events.push(Event::Restarts(side));
            }
        }
        events
    }

    fn step(&mut self, event: Event) {
        self.happen(event);
        self.sweep();
    }

    /// Leaves out connections that nobody has and on which nothing is under way.
    fn sweep(&mut self) {
        for at in (0..self.connections.len()).rev() {
            let silent = self.connections[at].under_way.iter().all(Vec::is_empty);
            if !silent || self.holds(MARS, at) || self.holds(VENUS, at) {
                continue;
            }
            self.connections.remove(at);
            for (held, _) in self.nodes.iter_mut().filter_map(|node| node.held.as_mut()) {
                *held -= usize::from(*held > at);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dial(side) => self.dial(side),
            Event::Comes(at, side, place) => {
                let said = &mut self.connections[at].under_way[side];
                let what = said[place];
                said.drain(..=place);
                self.comes(at, side, what);
            }
            Event::Loses(side) => {
                self.losses -= 1;
                self.forget(side);
            }
            Event::Notices(side) => self.forget(side),
            Event::Restarts(side) => {
                self.restarts -= 1;
                let incarnation = self.nodes[side].incarnation + 1;
                self.nodes[side] = Node { incarnation, ..World::new(0, 0).nodes[0].clone() };
                self.connections.iter_mut().for_each(|c| c.under_way[side].clear());
            }
        }
    }

    fn dial(&mut self, side: Side) {
        let known = self.known(side);
        let ours = self.ours(side);
        let node = &mut self.nodes[side];
        node.attempts += 1;
        node.waits = false;
        assert!(node.attempts <= ATTEMPTS_MAX, "they dial for ever");
        let expects = Expected { name: Some(name(1 - side)), incarnation: None };
        let hello = ours.hello(known.as_ref(), expects, node.attempts, node.ended.clone());
        let dial = hello.dial();
        node.held = Some((self.connections.len(), Held { dial: dial.clone(), peer: None }));
        let mut under_way = [Vec::new(), Vec::new()];
        under_way[1 - side].push(Said::Hello);
        self.connections.push(Connection { dialer: side, dial, ended: hello.ended, under_way });
    }

    /// A side has a connection no more.
    fn forget(&mut self, side: Side) {
        let Some((at, _)) = self.nodes[side].held.take() else { return };
        let connection = &self.connections[at];
        if connection.dialer != side {
            let latest = |dial: &Dial| (dial.dialer.incarnation, dial.attempt);
            let ended = &mut self.nodes[side].ended;
            if ended.as_ref().is_none_or(|ended| latest(ended) < latest(&connection.dial)) {
                *ended = Some(connection.dial.clone());
            }
        }
    }

    fn close(&mut self, side: Side) {
        if let Some((at, _)) = self.nodes[side].held {
            self.connections[at].under_way[1 - side].push(Said::Closed);
            self.forget(side);
        }
    }

    fn comes(&mut self, at: usize, side: Side, what: Said) {
        match what {
            Said::Hello => self.hello(at, side),
            // what comes on a connection that was given up is not heard
            _ if !self.holds(side, at) => {}
            Said::Welcome(incarnation) => self.welcome(at, side, incarnation),
            Said::Duplicate => {
                self.forget(side);
                self.nodes[side].waits = true;
            }
            Said::TurnedOtherwise | Said::Closed => self.forget(side),
        }
    }

    fn hello(&mut self, at: usize, side: Side) {
        let connection = &self.connections[at];
        // who has dialed says the same as long as it lives: all that matters here came with the dial
        let mut dialer = self.ours(1 - side);
        dialer.node = connection.dial.dialer.clone();
        let expects = Expected { name: Some(name(side)), incarnation: None };
        let hello = dialer.hello(None, expects, connection.dial.attempt, connection.ended.clone());
        let held = self.nodes[side].held.as_ref().map(|(_, held)| held);
        let known = self.known(side);
        let answer = match admit(&self.ours(side), &hello, &name(1 - side), known.as_ref(), held) {
            Ok(admitted) => {
                let replaced = self.nodes[side].held.as_ref().map(|(_, held)| held.dial.clone());
                assert_eq!(admitted.replaces, replaced, "no connection stays beside the new one");
                self.close(side);
                let node = &mut self.nodes[side];
                let peer = hello.from.node.incarnation;
                node.held = Some((at, Held { dial: hello.dial(), peer: Some(peer) }));
                node.known = Some(peer);
                node.waits = false;
                Said::Welcome(node.incarnation)
            }
            Err(Turned::Duplicate { .. }) => Said::Duplicate,
            Err(_) => Said::TurnedOtherwise,
        };
        self.connections[at].under_way[1 - side].push(answer);
    }

    fn welcome(&mut self, at: usize, side: Side, incarnation: u64) {
        let connection = &self.connections[at];
        let us = self.ours(side);
        let expects = Expected { name: Some(name(1 - side)), incarnation: None };
        let known = self.known(side);
        let hello = us.hello(known.as_ref(), expects, connection.dial.attempt, connection.ended.clone());
        let mut them = self.ours(1 - side);
        them.node.incarnation = incarnation;
        let from = them.hello(None, Expected::default(), 0, None).from;
        let welcome = Welcome { version: us.versions.newest, from };
        match confirm(&us, &hello, &welcome, &name(1 - side), known.as_ref()) {
            Ok(_) => {
                let node = &mut self.nodes[side];
                node.known = Some(incarnation);
                node.held.as_mut().expect("it holds what it is welcomed on").1.peer = Some(incarnation);
            }
            Err(_) => self.close(side),
        }
    }

    /// What must hold where nothing more happens: both have the same connection, and have been welcomed on it.
    fn check(&self) -> Side {
        let held = [MARS, VENUS].map(|side| self.nodes[side].held.clone().expect("each has a connection"));
        assert_eq!(held[MARS].0, held[VENUS].0, "both have the same");
        for side in [MARS, VENUS] {
            assert_eq!(held[side].1.peer, Some(self.nodes[1 - side].incarnation), "they know each other");
        }
        self.connections[held[MARS].0].dialer
    }
}

/// What was found in all orders of events.
#[derive(Default)]
struct Seen {
    worlds: usize,
    /// How many ends there are, by who dialed the connection that was left.
    ends: [usize; 2],
    /// Ends to which both had dialed, and nothing was lost on the way, by the same.
    duels: [usize; 2],
}

fn explore(losses: u32, restarts: u32) -> Seen {
    let mut seen = Seen::default();
    let mut worlds = BTreeSet::new();
    let mut todo = vec![World::new(losses, restarts)];
    while let Some(world) = todo.pop() {
        if !worlds.insert(world.clone()) {
            continue;
        }
        let due = world.due();
        if due.is_empty() {
            let left = world.check();
            seen.ends[left] += 1;
            let untouched = world.losses == losses && world.restarts == restarts;
            if untouched && world.nodes.iter().all(|node| node.attempts == 1) {
                seen.duels[left] += 1;
            }
        }
        for event in due.into_iter().chain(world.mishaps()) {
            let mut next = world.clone();
            next.step(event);
            todo.push(next);
        }
    }
    seen.worlds = worlds.len();
    seen
}

#[test]
fn two_nodes_that_dial_each_other_keep_the_dial_of_the_lower_name_in_every_order() {
    let seen = explore(0, 0);
    assert!(seen.worlds > 20, "{} worlds", seen.worlds);
    assert!(seen.ends.iter().all(|ends| *ends > 0), "either may be the only one that dials");
    assert!(seen.duels[MARS] > 0, "both may dial");
    assert_eq!(seen.duels[VENUS], 0, "the lower name stays");
}

#[test]
fn two_nodes_find_one_connection_again_whatever_either_loses() {
    let seen = explore(2, 0);
    assert!(seen.worlds > 1_000, "{} worlds", seen.worlds);
}

#[test]
fn two_nodes_find_one_connection_again_when_they_restart_and_lose_it() {
    let seen = explore(1, 1);
    assert!(seen.worlds > 1_000, "{} worlds", seen.worlds);
}
