//! The program of a node: a member with stateless services, entities and a singleton, which it calls wherever they are.

use super::board::{Board, KEYS, Receiver};
use crate::Machine;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::Node;
use odeon::core::NodeName;
use odeon::membership::Standing;
use odeon::prelude::*;
use tokio::time::sleep;

/// How often a node shows what it sees.
const SHOW_EVERY: Duration = Duration::from_millis(20);
/// Between two calls of one receiver.
const CALL_EVERY: Duration = Duration::from_millis(40);
/// A call is waited for so long.
const CALL_WITHIN: Duration = Duration::from_millis(500);
/// A node that stops has so long for each part of it.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) names: Vec<NodeName>,
}

/// Answers.
#[odeon::contract(name = "presence", version = "1.0")]
trait Presence {
    async fn ask(&self, cx: &Cx);
}

/// What is stateless may act whenever it is asked to; all else tells when it does.
#[derive(Clone)]
struct Present {
    board: Books<Board>,
    node: NodeName,
    volatile: bool,
}

#[odeon::service]
impl Presence for Present {
    async fn ask(&self, cx: &Cx) {
        if self.volatile {
            let receiver = match cx.key() {
                "" => Receiver::Singleton,
                key => Receiver::Key(key.into()),
            };
            self.board.open(|b| b.acts(&self.node, &receiver));
        }
    }
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    linked::live_again(machine, |machine| live(machine, &start, &board)).await;
}

fn only(name: &NodeName) -> String {
    format!("only-{name}")
}

/// One life of a node. True: it is a member no more.
async fn live(machine: Machine, start: &Start, board: &Books<Board>) -> bool {
    let name: NodeName = machine.name.parse().expect("a node name");
    let present = |volatile| {
        let present = Present { board: board.clone(), node: name.clone(), volatile };
        move || present.clone()
    };
    let app = App::new().service("presence", present(false)).service(&only(&name), present(false));
    let app = app.entity("tally", present(true)).singleton("clerk", present(true));
    let (node, links) = linked::start_placed(&machine, &start.pass, linked::port(&machine), app).await;
    board.open(|b| b.begins(&name, links.local_address()));
    let Some(membership) = linked::join(&machine, (&start.pass, &start.names), (&node, &links), |_| ()).await
    else {
        return false;
    };
    let mut tasks = Tasks::on(&machine);
    tasks.spawn(linked::keep_linked(links.clone(), start.names.clone(), board.clone(), |b| &b.addresses));
    let only = start.names.iter().cloned().map(Receiver::Only);
    let keys = (0..KEYS).map(|key| Receiver::Key(key.to_string()));
    for receiver in only.chain(keys).chain([Receiver::Presence, Receiver::Singleton]) {
        tasks.spawn(call(node.clone(), receiver, board.clone()));
    }
    while membership.standing() != Standing::Removed {
        let freshness = (membership.holds_lease(), membership.is_stale());
        board.open(|b| b.sees(&name, membership.view(), membership.standing(), freshness));
        sleep(SHOW_EVERY).await;
    }
    tasks.abort();
    node.stop(STOP_WITHIN).await;
    true
}

/// Calls one receiver, for ever.
async fn call(node: Node, receiver: Receiver, board: Books<Board>) {
    let name = |service: &str| node.service::<PresenceRef>(service).expect("a name");
    let presence = match &receiver {
        Receiver::Presence => name("presence"),
        Receiver::Only(other) => name(&only(other)),
        Receiver::Key(key) => node.entity("tally", key).expect("a name and a key"),
        Receiver::Singleton => name("clerk"),
    };
    loop {
        match presence.ask().within(CALL_WITHIN).await {
            Ok(()) => board.open(|b| b.answered(node.name(), &receiver)),
            Err(error) => tracing::debug!(%receiver, %error, "not answered"),
        }
        sleep(CALL_EVERY).await;
    }
}
