//! Two to five real nodes watch each other's activations, which end, while paths are cut, packets
//! are lost, and nodes crash and come back. No watch is told twice, none is told what has not happened, none reaches a
//! later incarnation of its watcher, and in the end, when all that was watched has ended, each has been told.

use super::books::Books;
use super::crash_and_return;
use super::linked::{self, Cluster, NAMES, Pass, names};
use super::weather::{choose, cut_for, cut_pair_for, heal, mostly_heal, pause_for, storm};
use crate::reach::reached;
use crate::{HostId, Machine, Simulation};
use odeon::Node;
use odeon::core::{NodeId, NodeName, Random};
use odeon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::time::sleep;

const PORT: u16 = 7_000;
/// Mortals of each node.
const KEYS: u64 = 3;
/// Once nothing is wrong any more and all that was watched ends, each watch is told within this time: see `node-links`.
const TOLD_WITHIN: Duration = Duration::from_secs(40);

/// How a watch says that something has ended.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
enum Ending {
    Stopped,
    /// An incarnation of a node.
    NodeDown(String),
    Otherwise(String),
}

impl Ending {
    fn of(exit: &Exit) -> Self {
        match exit {
            Exit::Stopped { .. } => Self::Stopped,
            Exit::NodeDown { node, .. } => Self::NodeDown(node.clone()),
            other => Self::Otherwise(other.to_string()),
        }
    }
}

/// Nothing was seen of it.
const UNSEEN: (u64, u64) = (0, u64::MAX);

/// One watch.
#[derive(Debug)]
struct Watch {
    by: NodeId,
    of: NodeName,
    key: u64,
    /// What was seen of it before it was known to live.
    before: (u64, u64),
    /// What it was told.
    told: Vec<Ending>,
}

#[derive(Default)]
struct Board {
    addresses: BTreeMap<NodeName, SocketAddr>,
    living: BTreeMap<NodeName, u64>,
    watches: BTreeMap<u64, Watch>,
    begun: u64,
    /// How often a mortal of each node and key has ended.
    ended: BTreeMap<(NodeName, u64), u64>,
    /// Nobody begins another watch, and mortals end as soon as they live.
    is_over: bool,
    /// Nodes that could not reach each other for so long that they may have given their session up, both ways.
    given_up: BTreeSet<(NodeName, NodeName)>,
    broken: Vec<String>,
}

impl Board {
    /// What is known of a mortal: the incarnation of its node, and how many have ended.
    fn seen(&self, of: &NodeName, key: u64) -> (u64, u64) {
        let ended = self.ended.get(&(of.clone(), key)).copied().unwrap_or(0);
        (self.living.get(of).copied().unwrap_or(0), ended)
    }

    fn watch(&mut self, by: &NodeId, of: &NodeName, key: u64, before: (u64, u64)) -> u64 {
        let number = self.begun;
        self.begun += 1;
        let watch = Watch { by: by.clone(), of: of.clone(), key, before, told: Vec::new() };
        self.watches.insert(number, watch);
        number
    }

    /// What goes wrong may add up to so long that any two nodes give their session up.
    fn give_up_any(&mut self) {
        let pairs = NAMES.iter().flat_map(|one| NAMES.map(|other| (*one, other)));
        let name = |name: &str| name.parse().expect("a name");
        self.given_up.extend(pairs.map(|(one, other)| (name(one), name(other))));
    }

    /// A watch is told, in some node.
    fn told(&mut self, number: u64, me: &NodeId, ending: &Ending) {
        let Some(watch) = self.watches.get_mut(&number) else {
            return self.broken.push(format!("watch {number} was told, which nobody began"));
        };
        watch.told.push(ending.clone());
        let (of, key) = (watch.of.clone(), watch.key);
        let seen = self.seen(&of, key);
        let latest = seen.0;
        let watch = &self.watches[&number];
        let problem = match ending {
            _ if watch.told.len() > 1 => Some("it was told before"),
            _ if watch.by != *me => Some("its watcher is of an earlier incarnation"),
            Ending::Stopped if watch.before == seen => Some("none has ended since"),
            Ending::NodeDown(node) if *node == format!("{}@{latest}", watch.of) => {
                reached("watches: told that a node is down which was out of reach for too long");
                (!self.given_up.contains(&(watch.by.name.clone(), watch.of.clone())))
                    .then_some("the node is up, and was never away for long")
            }
            Ending::NodeDown(_) | Ending::Stopped => None,
            Ending::Otherwise(_) => Some("nothing ends so here"),
        };
        if let Some(problem) = problem {
            self.broken.push(format!("watch {number} was told in {me}: {problem}. {watch:?}"));
        }
    }

    /// Watches of living watchers that were told nothing.
    fn untold(&self) -> Vec<u64> {
        let lives = |node: &NodeId| self.living.get(&node.name) == Some(&node.incarnation);
        let untold = self.watches.iter().filter(|(_, watch)| lives(&watch.by) && watch.told.is_empty());
        untold.map(|(number, _)| *number).collect()
    }
}

/// Ends when it is told to.
#[odeon::contract(name = "mortal", version = "1.0")]
trait Mortal {
    async fn live(&mut self, cx: &Cx);
    async fn leave(&mut self, cx: &Cx);
}

/// Watches mortals of other nodes.
#[odeon::contract(name = "watcher", version = "1.0")]
trait Watcher {
    async fn begin(&mut self, cx: &Cx, number: u64, of: String, key: u64);
    /// Takes one of its watches back.
    async fn cancel(&mut self, cx: &Cx);
    #[cast]
    async fn told(&mut self, cx: &Cx, number: u64, ending: Ending);
}

struct Short {
    name: NodeName,
    board: Books<Board>,
}

#[odeon::service]
impl Mortal for Short {
    async fn live(&mut self, _: &Cx) {}
    async fn leave(&mut self, cx: &Cx) {
        let key = cx.key().parse().expect("keys are numbers");
        self.board.open(|b| *b.ended.entry((self.name.clone(), key)).or_default() += 1);
        cx.stop();
    }
}

struct Sentry {
    me: NodeId,
    board: Books<Board>,
    watches: BTreeMap<u64, odeon::service::context::Task>,
}

#[odeon::service]
impl Watcher for Sentry {
    async fn begin(&mut self, cx: &Cx, number: u64, of: String, key: u64) {
        let me: WatcherRef = cx.me().expect("its own contract");
        let other: MortalRef = cx.entity(&format!("mortal-{of}"), &key.to_string()).expect("a name");
        let watch = cx.watch(&other, me, move |me, exit| me.told(number, Ending::of(&exit)));
        self.watches.insert(number, watch);
    }
    async fn cancel(&mut self, cx: &Cx) {
        let Some(number) = cx.random(|r| pick(r, self.watches.keys())) else { return };
        let watch = self.watches.remove(&number).expect("it is one of them");
        if self.board.open(|b| b.watches.get(&number).is_some_and(|watch| watch.told.is_empty())) {
            watch.cancel();
            self.board.open(|b| b.watches.remove(&number));
        }
    }
    async fn told(&mut self, _: &Cx, number: u64, ending: Ending) {
        // one that was taken back as it was told
        if self.watches.remove(&number).is_some() {
            self.board.open(|b| b.told(number, &self.me, &ending));
        } else if self.board.open(|b| b.watches.contains_key(&number)) {
            self.board.open(|b| b.told(number, &self.me, &ending));
        }
    }
}

fn pick<'a>(random: &mut Random, numbers: impl ExactSizeIterator<Item = &'a u64>) -> Option<u64> {
    let count = numbers.len() as u64;
    if count == 0 {
        return None;
    }
    let at = random.below(count) as usize;
    let mut numbers = numbers;
    numbers.nth(at).copied()
}

async fn serve(machine: Machine, pass: Pass, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name: name.clone(), incarnation: machine.incarnation };
    let mortal = {
        let (name, board) = (name.clone(), board.clone());
        move || Short { name: name.clone(), board: board.clone() }
    };
    let sentry = {
        let (me, board) = (me.clone(), board.clone());
        move || Sentry { me: me.clone(), board: board.clone(), watches: BTreeMap::new() }
    };
    let app = App::new().entity(&format!("mortal-{name}"), mortal).entity("watcher", sentry);
    let (node, links) = linked::start(&machine, &pass, PORT, app).await;
    let others: Vec<_> = board.open(|b| {
        b.living.insert(name.clone(), machine.incarnation);
        b.addresses.iter().filter(|(other, _)| **other != name).map(|(n, a)| (n.clone(), *a)).collect()
    });
    for (other, address) in &others {
        while let Err(error) = links.connect(*address).await {
            tracing::debug!(%error, %other, "not connected");
            if links.status().iter().any(|link| link.node.name == *other) {
                break;
            }
            sleep(Duration::from_millis(300)).await;
        }
    }
    live(&node, &me, &others, &board).await;
}

/// Lets mortals live and end, and watches those of others.
async fn live(node: &Node, me: &NodeId, others: &[(NodeName, SocketAddr)], board: &Books<Board>) {
    let mut random = Random::seeded(node.draw_seed());
    let mortal = |of: &NodeName, key: u64| -> MortalRef {
        node.entity(&format!("mortal-{of}"), &key.to_string()).expect("a name and a key")
    };
    let watcher: WatcherRef = node.entity("watcher", "one").expect("a name");
    loop {
        let key = random.below(KEYS);
        if board.open(|b| b.is_over) {
            for key in 0..KEYS {
                let _ = mortal(&me.name, key).leave().await;
            }
        } else {
            match random.below(10) {
                0 | 1 => drop(mortal(&me.name, key).leave().await),
                2 => drop(watcher.cancel().await),
                3 | 4 => drop(mortal(&me.name, key).live().await),
                _ => {
                    let of = &others[random.below(others.len() as u64) as usize].0;
                    let mut seen = board.open(|b| b.seen(of, key));
                    let within = Duration::from_millis(300);
                    let lives = if random.chance(0.4) {
                        // nobody knows: it may not even be reached
                        seen = UNSEEN;
                        true
                    } else {
                        mortal(of, key).live().within(within).await.is_ok()
                    };
                    // one that nobody has heard of is none
                    if lives {
                        let number = board.open(|b| b.watch(me, of, key, seen));
                        watcher.begin(number, of.to_string(), key).await.expect("it is on this node");
                    }
                }
            }
        }
        sleep(Duration::from_millis(20 + random.below(100))).await;
    }
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let board = Books::<Board>::default();
    let hosts = nodes(sim, &board);
    for host in &hosts {
        sim.start(*host);
    }
    sim.run_for(Duration::from_secs(2));
    for _ in 0..2 + sim.random() % 5 {
        if !misfortune(sim, &hosts, &board) {
            reached("watches: a misfortune began before the last one was over");
            board.open(Board::give_up_any);
        }
        let calm = Duration::from_millis(sim.random() % 3_000);
        sim.run_for(calm);
        tell(sim, &board);
    }
    heal(sim, &hosts);
    board.open(|b| b.is_over = true);
    let told = sim.demand("each watch is told", TOLD_WITHIN, |_| board.open(|b| b.untold().is_empty()));
    if !told {
        let untold = board.open(|b| {
            b.untold().iter().map(|number| format!("{number}: {:?}", b.watches[number])).collect::<Vec<_>>()
        });
        sim.violation(format!("watches were told nothing: {untold:?}"));
    }
    sim.run_for(Duration::from_secs(1));
    tell(sim, &board);
}

fn tell(sim: &mut Simulation, board: &Books<Board>) {
    for broken in board.open(|b| std::mem::take(&mut b.broken)) {
        sim.violation(broken);
    }
}

fn nodes(sim: &mut Simulation, board: &Books<Board>) -> Vec<HostId> {
    let cluster = Cluster::new(sim);
    let mut hosts = Vec::new();
    for name in names(sim, 2..=5) {
        let pass = cluster.node(&name);
        let host = sim.host(name.as_str(), {
            let board = board.clone();
            move |machine| serve(machine, pass.clone(), board.clone())
        });
        let address = SocketAddr::from((sim.address(host), PORT));
        board.open(|b| b.addresses.insert(name.clone(), address));
        hosts.push(host);
    }
    hosts
}

/// One thing that goes wrong, now and then for longer than it takes to give a session up. Answers whether it is over.
fn misfortune(sim: &mut Simulation, hosts: &[HostId], board: &Books<Board>) -> bool {
    let (at, one, others) = choose(sim, hosts);
    if sim.random().is_multiple_of(8) {
        let next = (at + 1) % hosts.len();
        let [one_name, next_name] = [at, next].map(|at| NAMES[at].parse::<NodeName>().expect("a name"));
        board.open(|b| {
            b.given_up.insert((one_name.clone(), next_name.clone()));
            b.given_up.insert((next_name, one_name));
        });
        cut_pair_for(sim, one, hosts[next], 25_000..50_000);
        heal(sim, hosts);
        return true;
    }
    match sim.random() % 4 {
        0 => crash_and_return(sim, one),
        1 => cut_for(sim, one, &others, 100..9_000),
        2 => pause_for(sim, one, 100..9_000),
        _ => storm(sim, 4_500),
    }
    mostly_heal(sim, hosts)
}
