//! Three real nodes with a replica each, ten milliseconds apart, with disks that take no time. What is written alone, on
//! the leader, is confirmed after one round trip: what the replicas say to each other waits for nothing else. One that
//! comes back after a while has soon what was written meanwhile.

use super::books::Books;
use super::linked::{self, Cluster, Pass};
use crate::{Crash, Machine, Simulation};
use bytes::Bytes;
use odeon::core::journal::GroupId;
use odeon::core::{EntryId, NodeName, ReplicaId};
use odeon::host::Inline;
use odeon::journal::{Journal, JournalConfig};
use odeon::prelude::*;
use odeon::replication::{Freeze, Group, GroupConfig, Role, StateMachine};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{Instant, sleep};

const NAMES: [&str; 3] = ["north", "south", "west"];
const PORT: u16 = 7_000;
/// From one host to another.
const LATENCY: Duration = Duration::from_millis(10);
const WRITES: usize = 50;

/// So long one of them is away,
const AWAY_FOR: Duration = Duration::from_secs(6);
/// and so long after its start it has all that was written until then.
const CAUGHT_UP_WITHIN: Duration = Duration::from_millis(500);
/// Between two writes meanwhile.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// What they write down.
#[derive(Default)]
struct Seen {
    /// How long each write took.
    times: Vec<Duration>,
    leader: String,
    /// The last entry that was confirmed.
    confirmed: u64,
    /// The last one that each has applied since it was started.
    applied: BTreeMap<String, u64>,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let mut options = sim.options().clone();
    (options.network.latency_min, options.network.latency_max) = (LATENCY, LATENCY);
    (options.network.loss, options.network.reordering) = (0.0, 0.0);
    options.network.bandwidth = None;
    (options.disks.sync_min, options.disks.sync_max) = (Duration::ZERO, Duration::ZERO);
    sim.set_network(options.network);
    let (seen, cluster) = (Books::<Seen>::default(), Cluster::new(sim));
    let hosts = NAMES.map(|name| {
        let pass = cluster.node(&name.parse().expect("a name"));
        let seen = seen.clone();
        let host = sim.host(name, move |machine| serve(machine, pass.clone(), seen.clone()));
        sim.set_disk(host, &options.disks);
        (host, name)
    });
    for (host, _) in hosts {
        sim.start(host);
    }
    let written = || seen.open(|seen| seen.times.len() == WRITES);
    if !sim.demand("all is written", Duration::from_secs(60), |_| written()) {
        return;
    }
    let (mut times, leader) = seen.open(|seen| (seen.times.clone(), seen.leader.clone()));
    times.sort_unstable();
    let median = times[WRITES / 2];
    // turns take their time, too
    if median > 2 * LATENCY * 11 / 10 {
        sim.violation(format!("a lone write takes {median:?}: a round trip is {:?}", 2 * LATENCY));
    }
    let (host, name) = hosts.into_iter().rfind(|(_, name)| *name != leader).expect("there are three");
    sim.crash(host, Crash::Process);
    sim.run_for(AWAY_FOR);
    let wanted = seen.open(|seen| seen.confirmed);
    sim.start(host);
    let has_all = |seen: &mut Seen| seen.applied.get(name).is_some_and(|applied| *applied >= wanted);
    sim.demand("who was away has what was written", CAUGHT_UP_WITHIN, |_| seen.open(has_all));
}

/// Keeps nothing.
struct Nothing {
    name: String,
    seen: Books<Seen>,
}

impl StateMachine for Nothing {
    fn apply(&mut self, at: EntryId, _: &[u8]) -> Result<Bytes, String> {
        self.seen.open(|seen| seen.applied.insert(self.name.clone(), at.index));
        Ok(Bytes::new())
    }

    fn freeze(&self) -> Freeze {
        Box::new(Vec::new)
    }

    fn restore(&mut self, _: EntryId, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

async fn serve(machine: Machine, pass: Pass, seen: Books<Seen>) {
    seen.open(|seen| seen.applied.remove(&machine.name));
    let name: NodeName = machine.name.parse().expect("a node name");
    let at = NAMES.iter().position(|each| *each == machine.name).expect("it is one of them");
    let (_node, links) = linked::start(&machine, &pass, PORT, App::new()).await;
    let journal = JournalConfig::in_directory(machine.directory.join("journal"));
    let journal = Journal::open(journal, Arc::new(Inline)).await.expect("nothing is torn");
    let replica = |at: usize| ReplicaId(1 + at as u64);
    let config = GroupConfig::new(GroupId(1), replica(at), name, machine.directory.join("snapshots"));
    let nothing = Box::new(Nothing { name: machine.name.clone(), seen: seen.clone() });
    let group = Group::start(config, &journal, Arc::new(Inline), &links.exchange(), nothing).await;
    let group = group.expect("nothing is torn");
    // the addresses of hosts follow each other, in the order in which they were made
    let first = u32::from(machine.address) - at as u32;
    for other in (0..NAMES.len()).filter(|other| *other < at) {
        let address = SocketAddr::from((std::net::Ipv4Addr::from(first + other as u32), PORT));
        while links.connect(address).await.is_err() {
            sleep(LATENCY).await;
        }
    }
    if at == 0 {
        while links.status().iter().filter(|link| link.connected).count() < NAMES.len() - 1 {
            sleep(LATENCY).await;
        }
        let voters = NAMES.iter().enumerate().map(|(at, name)| (replica(at), name.parse().expect("a name")));
        group.form(voters.collect()).await.expect("it is the first");
    }
    let status = group.until(|status| status.role == Role::Leader || status.leader.is_some()).await;
    if status.role == Role::Leader {
        seen.open(|seen| seen.leader = machine.name.clone());
        // the first one opens streams
        for measured in [false, true] {
            for _ in 0..WRITES {
                let began = Instant::now();
                let within = Duration::from_secs(5);
                group.propose(Bytes::from_static(b"alone"), within).await.expect("all is well");
                if measured {
                    seen.open(|seen| seen.times.push(began.elapsed()));
                }
            }
        }
        loop {
            sleep(WRITE_EVERY).await;
            let within = Duration::from_secs(5);
            let done = group.propose(Bytes::from_static(b"alone"), within).await.expect("two are there");
            seen.open(|seen| seen.confirmed = done.at.index);
        }
    }
    std::future::pending::<()>().await;
}
