//! Nodes with links, as the scenarios start them: who lets them in, and what they begin with.

use super::books::Books;
use super::{DAY, today};
use crate::reach::reached;
use crate::{Machine, Simulation};
use odeon::core::membership::Times;
use odeon::core::{ClusterId, NodeName, TraceContext};
use odeon::directory::RawRequest;
use odeon::host::{Executor, Host, Inline};
use odeon::journal::OpenError;
use odeon::membership::{Membership, MembershipConfig, StartMembershipError};
use odeon::prelude::*;
use odeon::remote::trust::AuthorityError;
use odeon::remote::{Authority, Credentials, Links, LinksConfig, Transport, Trust};
use odeon::service::contract::{Arguments, Encoding};
use odeon::{Node, NodeConfig};
use std::collections::BTreeMap;
use std::iter::{Cycle, Rev};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::slice::Iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What nodes are called, in this order.
pub(super) const NAMES: [&str; 5] = ["north", "south", "west", "east", "centre"];

/// The names of some nodes: so many.
pub(super) fn names(sim: &mut Simulation, count: RangeInclusive<usize>) -> Vec<NodeName> {
    let spread = (count.end() - count.start() + 1) as u64;
    let count = count.start() + (sim.random() % spread) as usize;
    NAMES[..count].iter().map(|name| name.parse().expect("a name")).collect()
}

/// The cluster of one run.
pub(super) struct Cluster {
    authority: Authority,
    today: SystemTime,
    times: Times,
}

/// What lets a node or a client in.
#[derive(Clone)]
pub(super) struct Pass {
    credentials: Credentials,
    issued: SystemTime,
    times: Times,
}

impl Cluster {
    pub(super) fn new(sim: &mut Simulation) -> Self {
        let today = today();
        let cluster = ClusterId::new("simulated", sim.random()).expect("it is short");
        let authority = Authority::create(&cluster, 1_000 * DAY, today);
        let authority = authority.expect("chance comes from the simulation");
        Self { authority, today, times: Times::default() }
    }

    /// One whose nodes have other times than those by default.
    pub(super) fn with_times(sim: &mut Simulation) -> Self {
        let times = times(sim);
        Self { times, ..Self::new(sim) }
    }

    pub(super) fn node(&self, name: &NodeName) -> Pass {
        self.pass(self.authority.issue(name, DAY, self.today))
    }

    pub(super) fn client(&self, name: &NodeName) -> Pass {
        self.pass(self.authority.issue_client(name, DAY, self.today))
    }

    fn pass(&self, issued: Result<Credentials, AuthorityError>) -> Pass {
        let credentials = issued.expect("chance comes from the simulation");
        Pass { credentials, issued: self.today, times: self.times.clone() }
    }
}

/// Times that fit to each other, and leave a third of a second for round trips when a leader is lost.
fn times(sim: &mut Simulation) -> Times {
    let are_replaced = sim.random().is_multiple_of(2);
    let probes_missed = 2 + (sim.random() % 3) as u32;
    let mut part = |of: Duration, from: u64, to: u64| of * (from + sim.random() % (to - from)) as u32 / 100;
    let drift = Times::default().drift;
    let lease = part(Duration::from_secs(1), 240, 300);
    let holds = lease.mul_f64(1.0 - drift);
    let election_max = part(holds, 48, 58);
    let election_min = part(election_max, 65, 80);
    // long, or so short that voters are replaced
    let voter_away = part(Duration::from_secs(1), 400, 1_200);
    let voter_away = if are_replaced { voter_away } else { Times::default().voter_away };
    let times = Times {
        voter_away,
        probe: part(Duration::from_secs(1), 20, 40),
        probes_missed,
        lease,
        renew: part(holds, 20, 27),
        drift,
        heartbeat: part(election_min, 12, 20),
        election_min,
        election_max,
    };
    times.check().expect("they fit");
    times
}

impl Pass {
    pub(super) fn trust(&self) -> Trust {
        Trust::new(&self.credentials, self.issued).expect("it held when it was issued")
    }
}

/// Starts the node of a machine, with links that listen at this port. Where there are several executors the first one is the
/// control executor.
pub(super) async fn start(machine: &Machine, pass: &Pass, port: u16, app: App) -> (Node, Links) {
    start_so(machine, pass, port, false, app).await
}

/// The same, for a node whose entities and singletons are placed by the cluster group.
pub(super) async fn start_placed(machine: &Machine, pass: &Pass, port: u16, app: App) -> (Node, Links) {
    start_so(machine, pass, port, true, app).await
}

async fn start_so(machine: &Machine, pass: &Pass, port: u16, placed: bool, app: App) -> (Node, Links) {
    let executors = machine.executors.iter().enumerate();
    let mut executors: Vec<_> = executors.map(|(i, handle)| Executor::new(handle.clone(), i)).collect();
    let name: NodeName = machine.name.parse().expect("a node name");
    let config = NodeConfig { placed, ..NodeConfig::named(name) };
    let host = |executors| Host { executors, blocking: Arc::new(Inline), seed: machine.incarnation };
    let node = if executors.len() == 1 {
        Node::start(host(executors), config, app).await
    } else {
        // as the daemon does: this one runs no handler
        let control = executors.remove(0);
        Node::start_controlled(host(executors), control, config, app).await
    };
    let node = node.expect("the node starts");
    let config = LinksConfig {
        address: SocketAddr::from((machine.address, port)),
        advertise: None,
        trust: pass.trust(),
        incarnation: machine.incarnation,
        artifact: Some([7; 32]),
        transport: Transport {
            probe: pass.times.probe,
            probes_missed: pass.times.probes_missed,
            ..Transport::default()
        },
    };
    let links = Links::start(&node, config).await.expect("a fresh host has the port free");
    (node, links)
}

/// Those who form the cluster group, and vote at first.
pub(super) const FOUNDERS: usize = 3;

/// Makes the node a member of the cluster that its names' first ones form. None: it was cut off while it started, and
/// its machine goes down.
pub(super) async fn join(
    machine: &Machine,
    (pass, names): (&Pass, &[NodeName]),
    (node, links): (&Node, &Links),
    tune: impl FnOnce(&mut MembershipConfig),
) -> Option<Membership> {
    let founders = names[..FOUNDERS].iter().cloned();
    let mut config = MembershipConfig::new(machine.directory.join("cluster"), founders);
    config.times = pass.times.clone();
    tune(&mut config);
    loop {
        match Membership::start(node, links, config.clone()).await {
            Ok(membership) => return Some(membership),
            // its last life here was ended in the middle of its stop
            Err(StartMembershipError::Journal(OpenError::Locked(_))) => {
                reached("members: a node waited for the end of its last life");
                sleep(LOCKED_FOR).await;
            }
            Err(error) => {
                tracing::info!(%error, "the node cannot be a member: its machine goes down");
                reached("members: a node was cut off while it started");
                return None;
            }
        }
    }
}

/// A node looks again after this time whether it can have its journal.
const LOCKED_FOR: Duration = Duration::from_millis(50);

/// Lives one life after the other, each as a later incarnation, as long as they end because the node was a member no
/// more: so whoever looks after it would do.
pub(super) async fn live_again<F: Future<Output = bool>>(mut machine: Machine, life: impl Fn(Machine) -> F) {
    machine.incarnation *= 1_000;
    while life(machine.clone()).await {
        machine.incarnation += 1;
    }
}

/// A call by name, with arguments in JSON and nothing else said of it.
pub(super) fn request(method: &str, key: Option<&str>, arguments: String, within: Duration) -> RawRequest {
    RawRequest {
        method: method.into(),
        key: key.map(Into::into),
        arguments: Arguments { body: arguments.into(), encoding: Encoding::Json },
        within,
        criticality: Criticality::Normal,
        trace: TraceContext::default(),
        request: Default::default(),
        principal: None,
        tenant: None,
    }
}

/// Where a node listens: in each incarnation at another port.
pub(super) fn port(machine: &Machine) -> u16 {
    const PORT: u16 = 7_000;
    PORT + (machine.incarnation % 10_000) as u16
}

/// The tasks of a program, on all executors of its machine in turn, the last one first.
pub(super) struct Tasks<'a> {
    executors: Cycle<Rev<Iter<'a, Handle>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl<'a> Tasks<'a> {
    pub(super) fn on(machine: &'a Machine) -> Self {
        Self { executors: machine.executors.iter().rev().cycle(), tasks: Vec::new() }
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(self.executors.next().expect("a machine has an executor").spawn(task));
    }

    /// Ends them where they stand.
    pub(super) fn abort(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A dial is waited for so long; it goes on if it takes longer.
const DIAL_WITHIN: Duration = Duration::from_millis(100);
/// Those to whom there is no link are dialed so often.
const DIAL_EVERY: Duration = Duration::from_millis(200);

/// Dials each of these nodes whenever there is no link to it, wherever the board says that it is by then.
pub(super) async fn keep_linked<B>(
    links: Links,
    names: Vec<NodeName>,
    board: Books<B>,
    addresses: fn(&B) -> &BTreeMap<NodeName, SocketAddr>,
) {
    loop {
        let status = links.status();
        let is_linked = |name: &NodeName| status.iter().any(|link| link.connected && link.node.name == *name);
        for name in names.iter().filter(|name| **name != links.node().name && !is_linked(name)) {
            let Some(address) = board.open(|b| addresses(b).get(name).copied()) else { continue };
            if let Ok(Err(error)) = timeout(DIAL_WITHIN, links.connect(address)).await {
                tracing::debug!(%name, %error, "a node is not reached");
            }
        }
        sleep(DIAL_EVERY).await;
    }
}
