//! Topics on one node: who is a member, and who is told.

use super::{Lab, eventually};
use odeon::core::NodeName;
use odeon::directory::ServiceKind;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::topics::Member;
use odeon::{Node, NodeConfig};
use std::sync::Arc;

/// Hears of prices.
#[odeon::contract(name = "prices", version = "1.1")]
pub trait Prices {
    /// It has changed.
    #[cast]
    async fn changed(&self, cx: &Cx, price: u32);
    /// Becomes a member; empty if that went well.
    async fn join(&self, cx: &Cx, topic: String) -> String;
    /// Is one no more.
    async fn leave(&self, cx: &Cx, topic: String);
    /// Publishes to its own kind; how many were told.
    async fn publish(&self, cx: &Cx, topic: String, price: u32) -> usize;
    /// Waits at the gate.
    #[cast]
    async fn hold(&self, cx: &Cx);
    /// Ends in some way.
    #[cast]
    async fn end(&self, cx: &Cx, how: String);
    /// Does nothing.
    async fn ping(&self, cx: &Cx);
}

/// The same name in versions that do not fit.
mod other {
    #[odeon::contract(name = "prices", version = "1.2")]
    pub trait Later {
        #[cast]
        async fn changed(&self, cx: &super::Cx, price: u32);
    }
    #[odeon::contract(name = "orders", version = "1.0")]
    pub trait Orders {
        #[cast]
        async fn changed(&self, cx: &super::Cx, price: u32);
    }
}

struct Board {
    lab: Lab,
    name: String,
}

impl Board {
    /// One that is a member from its start, of this topic.
    fn joining(
        lab: &Lab,
        topic: &'static str,
    ) -> impl Fn(Cx) -> std::future::Ready<Result<Board, StartError>> + Clone + Send + Sync + 'static {
        let lab = lab.clone();
        move |cx| {
            let board = Board::new(&lab, &cx);
            std::future::ready(match topic {
                "" => Ok(board),
                topic => cx.join::<PricesRef>(topic).map(|()| board).map_err(StartError::from),
            })
        }
    }

    fn new(lab: &Lab, cx: &Cx) -> Self {
        let name = if cx.key().is_empty() { cx.service_name().to_string() } else { cx.key().into() };
        lab.say(format!("{name} made"));
        Self { lab: lab.clone(), name }
    }
}

#[odeon::service]
impl Prices for Board {
    async fn changed(&self, _: &Cx, price: u32) {
        self.lab.say(format!("{}: {price}", self.name));
    }
    async fn join(&self, cx: &Cx, topic: String) -> String {
        let joined = match topic.as_str() {
            "later" => cx.join::<other::LaterRef>("prices"),
            "orders" => cx.join::<other::OrdersRef>("prices"),
            topic => cx.join::<PricesRef>(topic),
        };
        joined.err().map(|error| error.to_string()).unwrap_or_default()
    }
    async fn leave(&self, cx: &Cx, topic: String) {
        cx.leave(&topic).expect("a name");
    }
    async fn publish(&self, cx: &Cx, topic: String, price: u32) -> usize {
        cx.topic::<PricesRef>(&topic).expect("a name").publish(|one| one.changed(price)).await.told
    }
    async fn hold(&self, _: &Cx) {
        self.lab.say(format!("{} holds", self.name));
        self.lab.wait_at_gate().await;
    }
    async fn end(&self, cx: &Cx, how: String) {
        match how.as_str() {
            "stop" => cx.stop(),
            "overrun" => std::future::pending().await,
            _ => panic!("on purpose"),
        }
    }
    async fn ping(&self, _: &Cx) {}
}

/// Boards that are members of `prices` from their start, as entities, a singleton, and on three executors.
async fn node(lab: &Lab, options: ServiceOptions) -> Node {
    let name: NodeName = "test".parse().expect("a name");
    let runtime = tokio::runtime::Handle::current();
    let executors = (0..3).map(|at| Executor::new(runtime.clone(), at)).collect();
    let host = Host { executors, blocking: Arc::new(Inline), seed: 7 };
    let app = App::new()
        .entity_with("board", options.clone(), Board::joining(lab, "prices"))
        .entity_with("quiet", options, Board::joining(lab, ""))
        .singleton("clerk", Board::joining(lab, "prices"))
        .service("cache", Board::joining(lab, "prices"));
    Node::start(host, NodeConfig::named(name), app).await.expect("the node starts")
}

fn entities() -> ServiceOptions {
    ServiceOptions::of(ServiceKind::Entity)
}

fn board(node: &Node, key: &str) -> PricesRef {
    node.entity("board", key).expect("a board")
}

fn names(members: &[Member]) -> Vec<String> {
    let name = |member: &Member| match &member.key {
        Some(key) => format!("{}#{key}", member.service),
        None => member.service.to_string(),
    };
    members.iter().map(name).collect()
}

fn members(node: &Node) -> Vec<String> {
    names(&node.topic::<PricesRef>("prices").expect("a name").members())
}

#[tokio::test]
async fn what_is_published_reaches_each_member_once_in_its_order() {
    let lab = Lab::default();
    let node = node(&lab, entities()).await;
    for key in ["a", "b"] {
        board(&node, key).ping().await.expect("it is there");
    }
    let quiet: PricesRef = node.entity("quiet", "q").expect("a board");
    quiet.ping().await.expect("it is there");
    eventually("all have started", || members(&node).len() == 4).await;
    assert_eq!(members(&node), ["board#a", "board#b", "cache", "clerk"]);
    let topic = node.topic::<PricesRef>("prices").expect("a name");
    for price in 0..100 {
        let published = topic.publish(|one| one.changed(price)).await;
        assert_eq!((published.told, published.refused.len()), (4, 0), "three instances are one member");
    }
    eventually("all is told", || lab.said().iter().filter(|said| said.contains(": ")).count() == 400).await;
    let mut own = 0;
    for said in lab.said().iter().filter_map(|said| said.strip_prefix("a: ")) {
        assert_eq!(said, own.to_string());
        own += 1;
    }
    assert_eq!(own, 100);
    // who is a member is told by others as well, and by itself
    assert_eq!(board(&node, "a").publish("prices".into(), 107).await, Ok(4));
    assert_eq!(quiet.publish("prices".into(), 108).await, Ok(4));
    assert_eq!(quiet.publish("nobody".into(), 109).await, Ok(0));
    lab.until_said("a: 108").await;
    assert_eq!((lab.times("a: 107"), lab.times("q: 108")), (1, 0));
}

#[tokio::test]
async fn who_has_ended_in_whatever_way_is_no_member_and_a_restarted_one_joins_anew() {
    let lab = Lab::default();
    let options = ServiceOptions { grace: Duration::from_millis(10), ..entities() };
    let node = node(&lab, options).await;
    eventually("two are there", || members(&node) == ["cache", "clerk"]).await;
    let quiet: PricesRef = node.entity("quiet", "q").expect("a board");
    for how in ["stop", "panic", "overrun"] {
        // one that joins once, in a handler
        assert_eq!(quiet.join("prices".into()).await, Ok(String::new()));
        assert_eq!(quiet.join("prices".into()).await, Ok(String::new()), "twice is once");
        assert_eq!(members(&node), ["cache", "clerk", "quiet#q"]);
        quiet.end(how.into()).within(Duration::from_millis(10)).await.expect("room");
        eventually(how, || members(&node) == ["cache", "clerk"]).await;
    }
    assert_eq!(quiet.join("prices".into()).await, Ok(String::new()));
    quiet.leave("prices".into()).await.expect("it runs");
    assert_eq!(members(&node), ["cache", "clerk"]);
    // one that joins in its start
    let clerk: PricesRef = node.service("clerk").expect("a clerk");
    clerk.end("panic".into()).await.expect("room");
    eventually("it has begun again", || lab.times("clerk made") == 2).await;
    eventually("it has joined again", || members(&node) == ["cache", "clerk"]).await;
    node.stop(Duration::from_secs(20)).await;
    assert_eq!(members(&node), Vec::<String>::new());
    assert!(node.topics().is_empty());
}

#[tokio::test]
async fn an_entity_that_was_passivated_is_not_activated_to_be_told() {
    let lab = Lab::default();
    let options = ServiceOptions { passivate_after: Some(Duration::from_millis(20)), ..entities() };
    let node = node(&lab, options).await;
    board(&node, "a").ping().await.expect("it is there");
    eventually("it is idle", || members(&node) == ["cache", "clerk"]).await;
    let topic = node.topic::<PricesRef>("prices").expect("a name");
    assert_eq!(topic.publish(|one| one.changed(1)).await.told, 2);
    lab.until_said("clerk: 1").await;
    assert_eq!((lab.times("a made"), lab.times("a: 1")), (1, 0));
}

#[tokio::test]
async fn a_member_without_room_holds_no_other_up() {
    let lab = Lab::default();
    let mut options = entities();
    (options.mailbox.count_max, options.mailbox.overflow) = (1, odeon::core::outcome::Overflow::Wait);
    let node = node(&lab, options).await;
    let full = board(&node, "full");
    for key in ["a", "z"] {
        board(&node, key).ping().await.expect("it is there");
    }
    full.hold().await.expect("room");
    lab.until_said("full holds").await;
    full.changed(0).send().expect("there is room for one");
    let topic = node.topic::<PricesRef>("prices").expect("a name");
    eventually("all are members", || topic.members().len() == 5).await;
    let publishing = tokio::spawn(async move { topic.publish(|one| one.changed(1)).await });
    for name in ["a", "z", "clerk", "cache"] {
        lab.until_said(&format!("{name}: 1")).await;
    }
    assert!(!publishing.is_finished(), "it waits for room");
    lab.open_gate(1);
    let published = publishing.await.expect("no panic");
    assert_eq!((published.told, published.refused.len()), (5, 0));
    lab.until_said("full: 1").await;
}

#[tokio::test]
async fn who_will_not_handle_it_is_told_of_with_the_reason() {
    let lab = Lab::default();
    let mut options = entities();
    options.mailbox.count_max = 1;
    let node = node(&lab, options).await;
    let full = board(&node, "full");
    full.hold().await.expect("room");
    lab.until_said("full holds").await;
    full.changed(0).send().expect("there is room for one");
    let topic = node.topic::<PricesRef>("prices").expect("a name");
    eventually("all are members", || topic.members().len() == 3).await;
    let published = topic.publish(|one| one.changed(1)).await;
    assert_eq!(published.told, 2);
    let [(member, refusal)] = &published.refused[..] else { panic!("{published:?}") };
    assert_eq!(
        (names(std::slice::from_ref(member)), refusal),
        (vec!["board#full".to_owned()], &Refusal::MailboxFull)
    );
    // who speaks something else than those who publish is refused as such
    let later = node.topic::<other::LaterRef>("prices").expect("a name");
    let published = later.publish(|one| one.changed(2)).await;
    assert_eq!((published.told, published.refused.len()), (0, 3));
    let reason = published.refused[0].1.to_string();
    assert!(reason.contains("speaks prices 1.1, the caller wants prices 1.2"), "{reason}");
    lab.open_gate(1);
}

#[tokio::test]
async fn who_does_not_speak_what_is_published_cannot_join_and_is_told_why() {
    let lab = Lab::default();
    let node = node(&lab, entities()).await;
    let quiet: PricesRef = node.entity("quiet", "q").expect("a board");
    for (topic, part) in [
        ("later", "quiet speaks prices 1.1, but what is published to prices is prices 1.2"),
        ("orders", "quiet speaks prices 1.1, but what is published to prices is orders 1.0"),
        ("No Name", "a topic is named as a service is"),
    ] {
        let problem = quiet.join(topic.into()).await.expect("it runs");
        assert!(problem.contains(part), "{problem}");
    }
    assert!(node.topic::<PricesRef>("No Name").is_err());
}

#[tokio::test]
async fn whoever_watches_a_topic_is_told_its_members_whenever_they_have_changed() {
    let lab = Lab::default();
    let node = node(&lab, entities()).await;
    eventually("two are there", || members(&node) == ["cache", "clerk"]).await;
    let mut changes = node.topic::<PricesRef>("prices").expect("a name").changes();
    assert_eq!(names(&changes.next().await), ["cache", "clerk"]);
    let quiet: PricesRef = node.entity("quiet", "q").expect("a board");
    quiet.join("other".into()).await.expect("it runs");
    quiet.join("prices".into()).await.expect("it runs");
    assert_eq!(names(&changes.next().await), ["cache", "clerk", "quiet#q"]);
    quiet.leave("prices".into()).await.expect("it runs");
    quiet.join("prices".into()).await.expect("it runs");
    quiet.leave("prices".into()).await.expect("it runs");
    assert_eq!(names(&changes.next().await), ["cache", "clerk"], "what came and went is not told");
    quiet.leave("prices".into()).await.expect("it runs");
    let more = tokio::time::timeout(Duration::from_millis(20), changes.next()).await;
    assert!(more.is_err(), "nothing has changed: {more:?}");
    let groups = node.topics();
    assert_eq!(groups.iter().map(|group| group.topic.to_string()).collect::<Vec<_>>(), ["other", "prices"]);
    assert_eq!(groups[1].contract.to_string(), "prices 1.1");
}
