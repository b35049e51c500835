//! The program of a node: members of several kinds, who publishes to them, and who makes them come and go.

use super::board::{Board, Life, Who};
use crate::Machine;
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::Contract;
use odeon::core::{NodeId, NodeName, Random};
use odeon::directory::ServiceKind;
use odeon::membership::{Membership, MembershipConfig, Standing};
use odeon::prelude::*;
use tokio::time::sleep;

/// How often a node shows what it knows.
const SHOW_EVERY: Duration = Duration::from_millis(50);
/// An entity that hears nothing for so long is passivated.
const IDLE: Duration = Duration::from_millis(400);
/// A handler that runs for so long past its deadline is ended, and its activation with it.
const GRACE: Duration = Duration::from_millis(50);
/// Entities that are members from their start, those that join and leave, and those that never join.
const KEYS: [std::ops::Range<u64>; 3] = [0..3, 3..6, 6..8];
/// What is published to.
const TOPIC: &str = "news";
/// A node that stops has so long for each part of it.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) names: Vec<NodeName>,
    pub(super) is_placed: bool,
}

/// Is told.
#[odeon::contract(name = "reader", version = "1.0")]
trait Reader {
    #[cast]
    async fn hear(&self, cx: &Cx, publisher: NodeText, number: u64);
    async fn ping(&self, cx: &Cx);
    async fn join(&self, cx: &Cx);
    async fn leave(&self, cx: &Cx);
    /// Does not end before it is ended.
    async fn overrun(&self, cx: &Cx);
    async fn end(&self, cx: &Cx);
}

/// A node as it travels: name and incarnation.
type NodeText = (String, u64);

struct Reading {
    board: Books<Board>,
    who: Who,
    on: NodeId,
    life: Life,
}

impl Reading {
    fn begin(cx: &Cx, board: &Books<Board>, on: &NodeId, is_placed: bool) -> Result<Self, StartError> {
        let (service, key) = (cx.service_name().to_string(), cx.key().to_owned());
        let moves = is_placed && service != "cache";
        let who = Who { service, key, node: (!moves).then(|| on.clone()) };
        let life = board.open(Board::lives);
        let this = Self { board: board.clone(), who, on: on.clone(), life };
        // singletons, and the first of the entities
        if this.who.service == "clerk" || this.key().is_some_and(|key| KEYS[0].contains(&key)) {
            this.become_member(cx)?;
        }
        Ok(this)
    }

    fn key(&self) -> Option<u64> {
        self.who.key.parse().ok()
    }

    fn become_member(&self, cx: &Cx) -> Result<(), JoinError> {
        self.board.open(|b| b.joins(self.life, &self.who, &self.on));
        cx.join::<ReaderRef>(TOPIC)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.board.open(|b| b.leaves(self.life));
    }
}

#[odeon::service]
impl Reader for Reading {
    async fn hear(&self, _: &Cx, publisher: NodeText, number: u64) {
        let (name, incarnation) = publisher;
        let publisher = NodeId { name: name.parse().expect("it was one when it was sent"), incarnation };
        self.board.open(|b| b.hears(self.life, &self.who, &publisher, number));
    }
    async fn ping(&self, _: &Cx) {}
    async fn join(&self, cx: &Cx) {
        self.become_member(cx).expect("there is room");
    }
    async fn leave(&self, cx: &Cx) {
        cx.leave(TOPIC).expect("a name");
        self.board.open(|b| b.leaves(self.life));
    }
    async fn overrun(&self, _: &Cx) {
        std::future::pending::<()>().await;
    }
    async fn end(&self, cx: &Cx) {
        cx.stop();
    }
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    linked::live_again(machine, |machine| live(machine, &start, &board)).await;
}

/// One life of a node. True: it is a member no more.
async fn live(machine: Machine, start: &Start, board: &Books<Board>) -> bool {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name, incarnation: machine.incarnation };
    let make = {
        let (board, me, is_placed) = (board.clone(), me.clone(), start.is_placed);
        move |cx: Cx| std::future::ready(Reading::begin(&cx, &board, &me, is_placed))
    };
    let options = |kind| {
        let passivate_after = (kind == ServiceKind::Entity).then_some(IDLE);
        ServiceOptions { passivate_after, grace: GRACE, ..ServiceOptions::of(kind) }
    };
    let app = App::new()
        .entity_with("board", options(ServiceKind::Entity), make.clone())
        .singleton_with("clerk", options(ServiceKind::Singleton), make.clone())
        .service_with("cache", options(ServiceKind::Stateless), make);
    let (node, links) = match start.is_placed {
        true => linked::start_placed(&machine, &start.pass, linked::port(&machine), app).await,
        false => linked::start(&machine, &start.pass, linked::port(&machine), app).await,
    };
    board.open(|b| b.begins(&me, links.local_address()));
    let membership = match start.is_placed {
        true => {
            let tune =
                |config: &mut MembershipConfig| config.eligible = start.names.iter().cloned().collect();
            let joined = linked::join(&machine, (&start.pass, &start.names), (&node, &links), tune).await;
            if joined.is_none() {
                return false;
            }
            joined
        }
        false => None,
    };
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    tasks.spawn(publish(node.clone(), me.clone(), board.clone()));
    tasks.spawn(stir(node.clone(), board.clone()));
    let topic: Topic<ReaderRef> = node.topic(TOPIC).expect("a name");
    loop {
        if let Some(membership) = &membership {
            if membership.standing() == Standing::Removed {
                tasks.abort();
                node.stop(STOP_WITHIN).await;
                return true;
            }
            show_place(membership, &me, start.names.len(), board);
        }
        board.open(|b| b.shows(&me, links.status(), topic.members()));
        sleep(SHOW_EVERY).await;
    }
}

/// Whether the node is a member with a lease, and sees so many of them, and slots with an owner that is to keep each.
fn show_place(membership: &Membership, me: &NodeId, count: usize, board: &Books<Board>) {
    let view = membership.view();
    let mut slots = view.tables.values().flat_map(|table| table.slots().map(|(_, slot)| slot));
    let settled = view.members.len() == count
        && view.tables.len() == 2
        && slots.all(|slot| slot.owner.is_some() && slot.to.is_none())
        && membership.standing() == Standing::Member
        && membership.holds_lease();
    board.open(|b| {
        if settled {
            b.places.insert(me.clone());
        } else {
            b.places.remove(me);
        }
    });
}

/// Publishes, one after another.
async fn publish(node: Node, me: NodeId, board: Books<Board>) {
    let mut random = Random::seeded(node.draw_seed());
    while !board.open(|b| b.is_silent) {
        // one for each publication: what is known of members is not kept in it
        let topic: Topic<ReaderRef> = node.topic(TOPIC).expect("a name");
        let number = board.open(|b| b.publishes(&me));
        let members = topic.members();
        let publisher = (me.name.to_string(), me.incarnation);
        let publishing =
            topic.publish(|one| one.hear(publisher.clone(), number).within(Duration::from_secs(3)));
        let published = publishing.await;
        board.open(|b| b.has_published(&me, &members, &published));
        sleep(Duration::from_millis(random.below(100))).await;
    }
}

/// Makes members come and go.
async fn stir(node: Node, board: Books<Board>) {
    let mut random = Random::seeded(node.draw_seed());
    while !board.open(|b| b.is_calm) {
        let key = random.below(KEYS[2].end);
        let reader: ReaderRef = match random.below(8) {
            0 => node.service("cache").expect("a name"),
            1 => node.service("clerk").expect("a name"),
            _ => node.entity("board", &key.to_string()).expect("a name and a key"),
        };
        let is_entity = reader.address().locator().key.is_some();
        let within = Duration::from_millis(500);
        let done = match random.below(8) {
            0 | 1 if !is_entity || KEYS[1].contains(&key) => reader.join().within(within).await,
            2 | 3 if !is_entity || !KEYS[2].contains(&key) => reader.leave().within(within).await,
            4 if is_entity => reader.end().within(within).await,
            // not so often that it is given up
            5 if random.below(8) == 0 => reader.overrun().within(GRACE).await,
            _ => reader.ping().within(within).await,
        };
        if done.is_err() {
            reached("topics: a member did not answer");
        }
        sleep(Duration::from_millis(random.below(200))).await;
    }
}
