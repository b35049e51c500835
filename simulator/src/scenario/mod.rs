//! Named scenarios: what `odeon-sim` can run. Each is a script over the world, as a test's is.
//!
//! A scenario tells its own invariants with [`Simulation::violation`] and its own liveness with
//! [`Simulation::demand`]; leaks and panics are watched for all of them.

mod books;
mod group_write;
mod http_client;
mod http_hello;
mod journal;
mod linked;
mod node_alone;
mod node_client;
mod node_counter;
mod node_gossip;
mod node_group;
mod node_links;
mod node_members;
mod node_places;
mod node_scale;
mod node_shop;
mod node_suspects;
mod node_topics;
mod node_watches;
mod quic_overtaking;
mod quic_trust;
mod udp_ping;
mod weather;

use crate::{Crash, HostId, Simulation};
use std::time::{Duration, SystemTime};

/// A script with a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As it is typed: lower case, with dashes.
    pub name: &'static str,
    /// One line on what happens and what must hold.
    pub about: &'static str,
    /// The script.
    pub run: fn(&mut Simulation),
}

/// The scenarios of this package.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "udp-ping",
        about: "Three hosts ping each other over UDP; one crashes, one link is cut; all hear each other again",
        run: udp_ping::run,
    },
    Scenario {
        name: "http-hello",
        about: "A client posts bodies to an HTTP server that crashes meanwhile; what comes back is what was sent",
        run: http_hello::run,
    },
    Scenario {
        name: "node-counter",
        about: "A real node serves a counter over HTTP and crashes twice; what was answered was counted, once",
        run: node_counter::run,
    },
    Scenario {
        name: "node-shop",
        about: "A real node runs the shop and its shoppers and crashes twice; nobody is charged twice",
        run: node_shop::run,
    },
    Scenario {
        name: "node-links",
        about: "Real nodes call each other through every misfortune; nothing runs twice, and all books are true",
        run: node_links::run,
    },
    Scenario {
        name: "node-gossip",
        about: "Real nodes that know one other each find all by gossip; what one offers is called from everywhere",
        run: node_gossip::run,
    },
    Scenario {
        name: "node-suspects",
        about: "A real node falls silent; whoever hears nothing from it suspects it, and calls go to others",
        run: node_suspects::run,
    },
    Scenario {
        name: "node-watches",
        about: "Real nodes watch each other's activations through crashes and cuts; each watch is told once, truly",
        run: node_watches::run,
    },
    Scenario {
        name: "node-client",
        about: "A program outside the cluster calls, through one node, what two have; each outcome is true",
        run: node_client::run,
    },
    Scenario {
        name: "journal",
        about: "A journal is appended to while its machine crashes inside writes; what it confirmed is there, in order",
        run: journal::run,
    },
    Scenario {
        name: "node-group",
        about: "Replicas on real nodes agree on one log through crashes, cuts, lost disks and changes of who votes",
        run: node_group::run,
    },
    Scenario {
        name: "node-members",
        about: "Real nodes form a cluster and stay members through every misfortune; who acts has its lease",
        run: node_members::run,
    },
    Scenario {
        name: "node-places",
        about: "Entities and a singleton are at one node each, through restarts in order and every misfortune",
        run: node_places::run,
    },
    Scenario {
        name: "node-alone",
        about: "Nodes lose contact to the cluster group: what is stateless goes on, what is volatile stops in time",
        run: node_alone::run,
    },
    Scenario {
        name: "node-scale",
        about: "A node joins and takes its part of the work; calls at one node alone are shared by the instances of all",
        run: node_scale::run,
    },
    Scenario {
        name: "node-topics",
        about: "Real nodes publish to members that come, go and fail on all of them; each is told once, in order",
        run: node_topics::run,
    },
    Scenario {
        name: "group-write",
        about: "Three replicas ten milliseconds apart: a lone write takes one round trip",
        run: group_write::run,
    },
    Scenario {
        name: "quic-trust",
        about: "Three members talk over QUIC with mutual TLS; one crashes; an impostor and an expired node get nothing",
        run: quic_trust::run,
    },
    Scenario {
        name: "quic-overtaking",
        about: "Packets of a path without loss overtake each other, and are not taken for lost: it carries what it can",
        run: quic_overtaking::run,
    },
];

const DAY: Duration = Duration::from_secs(86_400);

#[expect(clippy::disallowed_methods, reason = "the simulated day, which certificates must cover")]
fn today() -> SystemTime {
    SystemTime::now()
}

/// A host goes on for a while, crashes in one of the ways there are, and comes back after another while.
fn crash_and_return(sim: &mut Simulation, host: HostId) {
    let while_up = Duration::from_millis(sim.random() % 2_000);
    sim.run_for(while_up);
    let how = if sim.random().is_multiple_of(2) { Crash::Process } else { Crash::Power };
    sim.crash(host, how);
    let while_down = Duration::from_millis(sim.random() % 3_000);
    sim.run_for(while_down);
    sim.start(host);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_typeable_and_unique() {
        for (at, scenario) in SCENARIOS.iter().enumerate() {
            let plain = scenario.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(plain, "{}", scenario.name);
            assert!(SCENARIOS[..at].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
        }
    }
}
