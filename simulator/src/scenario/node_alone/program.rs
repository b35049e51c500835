//! The program of a node: a member with stateless services, entities and a singleton, which it calls wherever they are, a
//! topic, to which it publishes, and a gateway. And that of somebody outside, who asks each gateway.

use super::board::{Board, KEYS, Receiver};
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::http_client::Client;
use crate::scenario::linked::{self, Pass, Tasks};
use crate::{Machine, panic_on_purpose};
use odeon::Node;
use odeon::core::NodeName;
use odeon::membership::Standing;
use odeon::prelude::*;
use odeon::topics::Topic;
use odeon_actors::gateway::{Gateway, GatewayConfig};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::time::sleep;

/// How often a node shows what it sees.
const SHOW_EVERY: Duration = Duration::from_millis(20);
/// Between two calls of one receiver.
const CALL_EVERY: Duration = Duration::from_millis(40);
/// A call is waited for so long.
const CALL_WITHIN: Duration = Duration::from_millis(500);
/// Where each node has its gateway.
pub(super) const HTTP_PORT: u16 = 8_080;
/// What all nodes publish to.
const TOPIC: &str = "news";
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
    #[cast]
    async fn hear(&self, cx: &Cx, publisher: String);
}

/// What is stateless may act whenever it is asked to; all else tells when it does.
#[derive(Clone)]
struct Present {
    board: Books<Board>,
    node: NodeName,
    volatile: bool,
}

impl Present {
    /// One that every node has, and that may be broken.
    fn begin(self) -> Result<Self, StartError> {
        match self.board.open(|b| b.is_broken(&self.node)) {
            true => Err(StartError::new("it is broken")),
            false => Ok(self),
        }
    }
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
        } else if cx.service_name().to_string() == "presence" && self.board.open(|b| b.is_broken(&self.node))
        {
            reached("alone: the instance of a stateless service failed, and could not begin again");
            panic_on_purpose();
        }
    }
    async fn hear(&self, _: &Cx, publisher: String) {
        let publisher = publisher.parse().expect("it was one when it was sent");
        self.board.open(|b| b.answered(&self.node, &Receiver::News(publisher)));
    }
}

/// The node's program.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    linked::live_again(machine, |machine| live(machine, &start, &board)).await;
}

/// Of more than three nodes the last one has no instance of the service that all others have.
pub(super) fn has_presence(names: &[NodeName], name: &NodeName) -> bool {
    names.len() <= 3 || names.last() != Some(name)
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
    let member = {
        let make = present(false);
        move |cx: Cx| {
            let joined = cx.join::<PresenceRef>(TOPIC).map_err(StartError::new);
            std::future::ready(joined.map(|()| make()))
        }
    };
    let everywhere = {
        let make = present(false);
        move |_: Cx| std::future::ready(make().begin())
    };
    let mut app = App::new().service(&only(&name), member);
    if has_presence(&start.names, &name) {
        app = app.service("presence", everywhere);
    }
    let app = app.entity("tally", present(true)).singleton("clerk", present(true));
    let (node, links) = linked::start_placed(&machine, &start.pass, linked::port(&machine), app).await;
    board.open(|b| b.begins(&name, links.local_address()));
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, HTTP_PORT));
    let config = GatewayConfig { address, ..GatewayConfig::default() };
    let _gateway = Gateway::start(&node, config).await.expect("who was there before has ended");
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
    tasks.spawn(publish(node.clone()));
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
        Receiver::Web | Receiver::News(_) => unreachable!("they are not called by nodes"),
    };
    loop {
        match presence.ask().within(CALL_WITHIN).await {
            Ok(()) => board.open(|b| b.answered(node.name(), &receiver)),
            Err(error) => tracing::debug!(%receiver, %error, "not answered"),
        }
        sleep(CALL_EVERY).await;
    }
}

/// Tells its name to all members of the topic, for ever.
async fn publish(node: Node) {
    let topic: Topic<PresenceRef> = node.topic(TOPIC).expect("a name");
    loop {
        let published = topic.publish(|one| one.hear(node.name().to_string()).within(CALL_WITHIN)).await;
        for refused in published.refused {
            tracing::debug!(?refused, "not told");
        }
        sleep(CALL_EVERY).await;
    }
}

/// Asks each gateway, for ever.
pub(super) async fn ask_over_http(
    machine: Machine,
    gateways: Vec<(NodeName, SocketAddr)>,
    board: Books<Board>,
) {
    let mut tasks = Tasks::on(&machine);
    for (name, address) in gateways {
        let (mut client, board) = (Client::new(machine.clone(), address), board.clone());
        tasks.spawn(async move {
            loop {
                let asked = board.open(|b| b.asks_over_http(&name));
                match client.post_for_all("/v1/presence/ask", "{}").await {
                    Some(reply) if reply.status().is_success() => {
                        let is_stale = reply.headers().contains_key("odeon-stale");
                        board.open(|b| b.answered_over_http(&name, asked, is_stale));
                    }
                    other => tracing::debug!(%name, ?other, "not answered"),
                }
                sleep(CALL_EVERY).await;
            }
        });
    }
    std::future::pending::<()>().await;
}
