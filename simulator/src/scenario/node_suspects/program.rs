//! The program of a node: a service that all but one offer, and that one calls it.

use super::board::Board;
use crate::Machine;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::Node;
use odeon::core::{NodeId, NodeName};
use odeon::prelude::*;
use tokio::time::sleep;

/// How often a node shows its links.
const SHOW_EVERY: Duration = Duration::from_millis(50);
/// A call is made so often.
const CALL_EVERY: Duration = Duration::from_millis(50);
/// What is not answered within this time was sent to nobody who could.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    /// All nodes.
    pub(super) names: Vec<NodeName>,
    /// Whether it calls what the others offer.
    pub(super) calls: bool,
}

/// Who answers.
#[odeon::contract(name = "presence", version = "1.0")]
trait Presence {
    async fn who(&self, cx: &Cx) -> String;
}

#[derive(Clone)]
struct Present(String);

#[odeon::service]
impl Presence for Present {
    async fn who(&self, _: &Cx) -> String {
        self.0.clone()
    }
}

const SERVICE: &str = "presence";

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let me = NodeId { name, incarnation: machine.incarnation };
    let present = Present(me.to_string());
    let app = match start.calls {
        true => App::new(),
        false => App::new().service(SERVICE, move || present.clone()),
    };
    let (node, links) = linked::start(&machine, &start.pass, linked::port(&machine), app).await;
    board.open(|b| b.begins(&me, links.local_address()));
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    if start.calls {
        tasks.spawn(call(node.clone(), board.clone()));
    }
    loop {
        let shown = links.status();
        board.open(|b| b.shows(&me, shown));
        sleep(SHOW_EVERY).await;
    }
}

/// Calls the service wherever it is, for ever, several at the same time.
async fn call(node: Node, board: Books<Board>) {
    let presence = node.service::<PresenceRef>(SERVICE).expect("a name");
    loop {
        let began = board.open(|b| b.call_begins());
        let one = || async { presence.who().within(ANSWERED_WITHIN).await };
        let (first, second, third) = tokio::join!(one(), one(), one());
        for ended in [first, second, third] {
            if let Err(error) = ended {
                board.open(|b| b.call_failed(began, &error.to_string()));
            }
        }
        sleep(CALL_EVERY).await;
    }
}
