//! The program of a node: what it offers from its beginning, what it offers later, and who calls all others.

use super::board::Board;
use crate::Machine;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::Node;
use odeon::core::{NodeId, NodeName};
use odeon::prelude::*;
use odeon::remote::Links;
use tokio::time::sleep;

/// How often a node shows its links.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// How often a node looks whether there is a link to its seed.
const SEED_EVERY: Duration = Duration::from_secs(1);
/// Keys that are called.
const KEYS: u64 = 4;

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    /// The only one that it is told of.
    pub(super) seed: NodeName,
    /// Those whom it calls once it has found them.
    pub(super) others: Vec<NodeName>,
    /// After this time it offers one more service.
    pub(super) late: Duration,
    /// Whether it has the entities that another one has, too.
    pub(super) shares: bool,
}

/// Who answers.
#[odeon::contract(name = "presence", version = "1.0")]
pub(super) trait Presence {
    async fn who(&self, cx: &Cx) -> (String, u64);
}

#[derive(Clone)]
struct Present(NodeId);

#[odeon::service]
impl Presence for Present {
    async fn who(&self, _: &Cx) -> (String, u64) {
        (self.0.name.to_string(), self.0.incarnation)
    }
}

const SHARED: &str = "shared";
const KINDS: [&str; 2] = ["early", "late"];

fn service(kind: &str, node: &NodeName) -> String {
    format!("{kind}-{node}")
}

fn node_of((name, incarnation): (String, u64)) -> NodeId {
    NodeId { name: name.parse().expect("it was one when it was sent"), incarnation }
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name: name.clone(), incarnation: machine.incarnation };
    let present = Present(me.clone());
    let app = |kind| {
        let present = present.clone();
        App::new().service(&service(kind, &name), move || present.clone())
    };
    let mut early = app(KINDS[0]);
    if start.shares {
        let present = present.clone();
        early = early.entity(SHARED, move || present.clone());
    }
    let (node, links) = linked::start(&machine, &start.pass, linked::port(&machine), early).await;
    board.open(|b| b.begins(&me, links.local_address()));
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(seed(links.clone(), start.seed.clone(), board.clone()));
    for other in &start.others {
        tasks.spawn(call(node.clone(), other.clone(), board.clone()));
    }
    if !start.shares {
        tasks.spawn(call_shared(node.clone(), board.clone()));
    }
    let late = app(KINDS[1]);
    tasks.spawn({
        let (node, after) = (node.clone(), start.late);
        async move {
            sleep(after).await;
            node.add_services(late).await.expect("it is of another name");
        }
    });
    loop {
        let shown = links.status();
        board.open(|b| b.shows(&me, shown));
        sleep(SHOW_EVERY).await;
    }
}

/// Dials the seed, wherever it is by now, whenever there is no link to it.
async fn seed(links: Links, seed: NodeName, board: Books<Board>) {
    loop {
        if !links.status().iter().any(|link| link.connected && link.node.name == seed)
            && let Some(address) = board.open(|b| b.addresses.get(&seed).copied())
            && let Err(error) = links.connect(address).await
        {
            tracing::debug!(%error, "the seed is not reached");
        }
        sleep(SEED_EVERY).await;
    }
}

/// Calls what only one other node has, for ever.
async fn call(node: Node, other: NodeName, board: Books<Board>) {
    let references = KINDS.map(|kind| node.service::<PresenceRef>(&service(kind, &other)).expect("a name"));
    loop {
        for (kind, reference) in KINDS.iter().zip(&references) {
            match reference.who().within(Duration::from_secs(1)).await {
                Ok(by) => board.open(|b| {
                    b.answered(node.name(), service(kind, &other), &other, &node_of(by));
                }),
                Err(error) => tracing::debug!(%other, %error, "not answered"),
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Calls what two other nodes have, by its keys, for ever.
async fn call_shared(node: Node, board: Books<Board>) {
    let entity = |key: u64| node.entity::<PresenceRef>(SHARED, &key.to_string()).expect("a name and a key");
    let references: Vec<PresenceRef> = (0..KEYS).map(entity).collect();
    loop {
        for (key, reference) in (0..).zip(&references) {
            if let Ok(by) = reference.who().within(Duration::from_secs(1)).await {
                board.open(|b| b.keys.entry(key).or_default().insert((node_of(by), node.name().clone())));
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}
