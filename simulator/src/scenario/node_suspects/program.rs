//! The program of a node: a service that all but one offer, and that one calls it.

use super::board::Board;
use crate::Machine;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass};
use odeon::Node;
use odeon::core::{NodeId, NodeName};
use odeon::prelude::*;
use odeon::remote::Links;
use tokio::time::sleep;

/// Where a node listens in its first incarnation; in each later one at the next port.
const PORT: u16 = 7_000;
/// How often a node shows its links.
const SHOW_EVERY: Duration = Duration::from_millis(50);
/// How often a node looks whether there is a link to each other one.
const DIAL_EVERY: Duration = Duration::from_millis(500);
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
    let port = PORT + machine.incarnation as u16;
    let (node, links) = linked::start(&machine, &start.pass, port, app).await;
    board.open(|b| b.begins(&me, links.local_address()));
    let mut spread = machine.executors.iter().cycle();
    let mut spawn = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        spread.next().expect("a machine has an executor").spawn(task);
    };
    spawn(Box::pin(keep_linked(links.clone(), start.names.clone(), board.clone())));
    if start.calls {
        spawn(Box::pin(call(node.clone(), board.clone())));
    }
    loop {
        let shown = links.status();
        board.open(|b| b.shows(&me, shown));
        sleep(SHOW_EVERY).await;
    }
}

async fn keep_linked(links: Links, names: Vec<NodeName>, board: Books<Board>) {
    loop {
        linked::dial_all(&links, &names, |name| board.open(|b| b.addresses.get(name).copied())).await;
        sleep(DIAL_EVERY).await;
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
