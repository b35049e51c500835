//! What another node brings, where handlers work for a millisecond each. Programs outside call entities without pause
//! through the gateways of three real nodes; a fourth one joins, and takes its part of them and of the work. Then they call
//! a stateless service, through all gateways, and through one of them alone: its work is shared by the instances of all.

use super::books::Books;
use super::http_client::Client;
use super::linked::{self, Cluster, NAMES, Pass, Tasks};
use crate::reach::reached;
use crate::{HostId, Machine, MachineOptions, Options, Simulation, work};
use odeon::core::NodeName;
use odeon::membership::Standing;
use odeon::prelude::*;
use odeon_actors::gateway::{Gateway, GatewayConfig};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::time::sleep;

const NODES: usize = 4;
/// For so long a handler works.
const WORK: Duration = Duration::from_millis(1);
/// Each calls an entity of its own, or the stateless service.
const CALLERS: usize = 400;
const HTTP_PORT: u16 = 8_080;
/// All are members, and have work, within this time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// From then on it takes so long until slots have moved and queues are what they will be.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
/// The work of so long is counted.
const COUNTED_FOR: Duration = Duration::from_secs(3);
/// With four nodes instead of three it is 4/3; turns of the nodes themselves take their time, too.
const GAIN_MIN: f64 = 1.2;
/// The node with most work has so many times the mean.
const UNEVEN_MAX: f64 = 1.2;

/// What is called, and through which gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Entities, through those of the first three nodes.
    #[default]
    Keys,
    /// The stateless service, through all.
    All,
    /// The same, through the first one.
    One,
}

/// What the nodes write down.
#[derive(Default)]
struct Board {
    addresses: BTreeMap<NodeName, SocketAddr>,
    members: BTreeMap<NodeName, usize>,
    stage: Stage,
    /// How many handlers have run on each node.
    done: BTreeMap<NodeName, u64>,
    broken: Vec<String>,
}

#[derive(Clone)]
struct Start {
    pass: Pass,
    names: Vec<NodeName>,
}

/// Works.
#[odeon::contract(name = "press", version = "1.0")]
trait Press {
    async fn turn(&self, cx: &Cx);
}

#[derive(Clone)]
struct Working {
    node: NodeName,
    board: Books<Board>,
}

#[odeon::service]
impl Press for Working {
    async fn turn(&self, _: &Cx) {
        work(WORK);
        self.board.open(|b| *b.done.entry(self.node.clone()).or_default() += 1);
    }
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = hosts(sim, &board);
    hosts[..NODES - 1].iter().for_each(|host| sim.start(*host));
    sim.start(hosts[NODES]);
    let three = count(sim, &board, Stage::Keys, NODES - 1);
    sim.start(hosts[NODES - 1]);
    let four = count(sim, &board, Stage::Keys, NODES);
    let gain = sum(&four) / sum(&three).max(1.0);
    tracing::info!(?three, ?four, gain, "a node has joined");
    if gain < GAIN_MIN {
        sim.violation(format!(
            "a fourth node brings {gain:.2} of the work of three: {three:?}, then {four:?}"
        ));
    }
    for stage in [Stage::All, Stage::One] {
        let shares = count(sim, &board, stage, NODES);
        let most = shares.values().max().copied().unwrap_or(0) as f64;
        let uneven = most / (sum(&shares) / NODES as f64).max(1.0);
        tracing::info!(?stage, ?shares, uneven, "a stateless service was called");
        if uneven > UNEVEN_MAX || shares.len() < NODES {
            sim.violation(format!("{stage:?}: one node has {uneven:.2} of the mean: {shares:?}"));
        }
    }
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

/// The nodes, and somebody outside.
fn hosts(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let calm = Options::calm(sim.options().seed);
    sim.set_network(calm.network);
    // one for control, one for handlers
    sim.set_machines(MachineOptions { executors_min: 2, executors_max: 2, ..calm.machines });
    let cluster = Cluster::new(sim);
    let names: Vec<NodeName> = NAMES[..NODES].iter().map(|name| name.parse().expect("a name")).collect();
    let mut hosts = Vec::new();
    for name in &names {
        let start = Start { pass: cluster.node(name), names: names.clone() };
        let board = board.clone();
        let host = sim.host(name.as_str(), move |machine| serve(machine, start.clone(), board.clone()));
        sim.set_disk(host, &calm.disks);
        hosts.push(host);
    }
    let gateways: Vec<_> =
        hosts.iter().map(|host| SocketAddr::from((sim.address(*host), HTTP_PORT))).collect();
    let board = board.clone();
    hosts.push(sim.host("outside", move |machine| ask(machine, gateways.clone(), board.clone())));
    hosts
}

fn sum(done: &BTreeMap<NodeName, u64>) -> f64 {
    done.values().sum::<u64>() as f64
}

/// What each of so many nodes does in a while, once all take part.
fn count(sim: &mut Simulation, board: &Books<Board>, stage: Stage, nodes: usize) -> BTreeMap<NodeName, u64> {
    board.open(|b| (b.stage, b.done) = (stage, BTreeMap::new()));
    let at_work = |board: &Board| {
        board.done.len() == nodes
            && board.members.len() == nodes
            && board.members.values().all(|members| *members == nodes)
    };
    let ready =
        sim.demand("each node has its part of the work", READY_WITHIN, |_| board.open(|b| at_work(b)));
    if !ready {
        let (members, done) = board.open(|b| (b.members.clone(), b.done.clone()));
        sim.violation(format!("members: {members:?}, work: {done:?}"));
    }
    sim.run_for(SETTLED_AFTER);
    board.open(|b| b.done.clear());
    sim.run_for(COUNTED_FOR);
    board.open(|b| b.done.clone())
}

/// The node's program.
async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let working = Working { node: name.clone(), board: board.clone() };
    let [press, mill] = [working.clone(), working];
    let app = App::new().service("press", move || press.clone()).entity("mill", move || mill.clone());
    let (node, links) = linked::start_placed(&machine, &start.pass, linked::port(&machine), app).await;
    board.open(|b| b.addresses.insert(name.clone(), links.local_address()));
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, HTTP_PORT));
    let config = GatewayConfig { address, ..GatewayConfig::default() };
    let _gateway = Gateway::start(&node, config).await.expect("nobody else listens there");
    let joined = linked::join(&machine, (&start.pass, &start.names), (&node, &links), |_| ()).await;
    let membership = joined.expect("nothing happens to it");
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    while membership.standing() != Standing::Removed {
        board.open(|b| b.members.insert(name.clone(), membership.view().members.len()));
        sleep(Duration::from_millis(100)).await;
    }
    board.open(|b| b.broken.push(format!("{name} was removed")));
}

/// Calls without pause, whatever is to be called.
async fn ask(machine: Machine, gateways: Vec<SocketAddr>, board: Books<Board>) {
    let mut tasks = Tasks::on(&machine);
    for caller in 0..CALLERS {
        let mut clients: Vec<_> = gateways.iter().map(|at| Client::new(machine.clone(), *at)).collect();
        let board = board.clone();
        tasks.spawn(async move {
            loop {
                let (path, of) = match board.open(|b| b.stage) {
                    Stage::Keys => (format!("/v1/mill/{caller}/turn"), NODES - 1),
                    Stage::All => ("/v1/press/turn".into(), NODES),
                    Stage::One => ("/v1/press/turn".into(), 1),
                };
                let reply = clients[caller % of].post_for_all(&path, "{}").await;
                if reply.is_none_or(|reply| !reply.status().is_success()) {
                    reached("scale: a call was not answered");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }
    std::future::pending::<()>().await;
}
