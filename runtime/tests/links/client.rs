//! A program outside of the cluster calls its services, and is no member.

use super::calls::{Broken, CounterRef, Counting, Seen};
use super::stage::{Cluster, Linked, at_last, eventually};
use odeon::core::wire::handshake::{Expected, Features, Hello, Party, Reply, Turned};
use odeon::core::wire::version::VersionRange;
use odeon::core::{NodeId, UnknownCause};
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::remote::{
    ConnectClientError, ConnectError, Endpoint, Links, LinksConfig, StartLinksError, Subject, Transport,
    Trust,
};
use odeon::{Client, ClientConfig, Node, NodeConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Who has called.
#[odeon::contract(name = "door", version = "1.0")]
pub trait Door {
    async fn who(&self, cx: &Cx) -> (Option<String>, Option<String>);
}

#[derive(Default)]
struct Porter;

#[odeon::service]
impl Door for Porter {
    async fn who(&self, cx: &Cx) -> (Option<String>, Option<String>) {
        let caller = cx.caller();
        (caller.principal.map(|name| name.to_string()), caller.node.map(|node| node.to_string()))
    }
}

fn counters(seen: &Seen) -> App {
    let seen = seen.clone();
    App::new().entity("counter", move || Counting::of(&seen)).service("door", Porter::default)
}

/// A node with counters, and a client of it.
async fn one(seen: &Seen) -> (Cluster, Linked, Client) {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", counters(seen)).await;
    let ada = cluster.client("ada", &[&mars]).await;
    (cluster, mars, ada)
}

#[tokio::test]
async fn a_call_of_a_client_ends_as_one_of_a_node_does() {
    let seen = Seen::default();
    let (_cluster, mars, ada) = one(&seen).await;
    assert_eq!(ada.node(), Some(mars.links.node().clone()));
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(3).await, Ok(3), "the first call finds what there is");
    assert_eq!(counter.add(4).await, Ok(7));
    assert_eq!(counter.fail().await, Err(CallError::Failed(Broken { why: "it is broken".into() })));
    assert_eq!(counter.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    let other: Result<u64, _> = ada.entity::<CounterRef>("elsewhere", "a").expect("a name").add(1).await;
    assert!(matches!(&other, Err(CallError::NotExecuted(Refusal::UnknownService { .. }))), "{other:?}");
    let late = counter.linger().within(Duration::from_millis(50)).await;
    assert_eq!(late, Err(CallError::Unknown(UnknownCause::TimedOut)));
    eventually("the handler has learned that its caller left", || seen.left.load(SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_works_on_a_runtime_of_many_threads() {
    let (_cluster, _mars, ada) = one(&Seen::default()).await;
    let adding = (0..8).map(|task| {
        let counter: CounterRef = ada.entity("counter", &format!("{}", task % 2)).expect("a name");
        tokio::spawn(async move {
            for _ in 0..200 {
                counter.add(1).await.expect("it is there");
            }
        })
    });
    for task in adding.collect::<Vec<_>>() {
        task.await.expect("it does not panic");
    }
    for key in ["0", "1"] {
        assert_eq!(ada.entity::<CounterRef>("counter", key).expect("a name").total().await, Ok(800));
    }
}

#[tokio::test]
async fn casts_of_a_client_arrive_in_order_and_the_books_balance() {
    let (_cluster, mars, ada) = one(&Seen::default()).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    for number in 1..=5_000 {
        counter.note(number).await.expect("there is room in time");
    }
    while counter.total().await != Ok(5_000) {
        tokio::task::yield_now().await;
    }
    eventually("all is accounted for", || ada.links()[0].open == 0 && ada.links()[0].queued == 0).await;
    let books = &ada.links()[0];
    assert_eq!((books.sent, &books.lost), (books.handled, &Default::default()), "{books:?}");
    assert!(mars.links.clients()[0].connected);
}

#[tokio::test]
async fn a_service_sees_a_client_by_its_name_and_never_as_a_node() {
    let (cluster, mars, ada) = one(&Seen::default()).await;
    // called as the node is
    let namesake = cluster.client("mars", &[&mars]).await;
    // a second run of the same program
    let again = cluster.client("ada", &[&mars]).await;
    for (client, name) in [(&ada, "ada"), (&namesake, "mars"), (&again, "ada"), (&ada, "ada")] {
        let door: DoorRef = client.service("door").expect("a name");
        assert_eq!(door.who().await, Ok((Some(name.into()), None)));
    }
    assert!(mars.links.status().is_empty(), "no client is a peer");
    let clients: Vec<_> = mars.links.clients().iter().map(|link| link.node.name.to_string()).collect();
    assert_eq!(clients, ["ada", "ada", "mars"]);
}

#[tokio::test]
async fn nobody_hears_of_a_client_by_gossip() {
    let (cluster, mars, ada) = one(&Seen::default()).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    eventually("the nodes have gossiped", || {
        [&mars, &venus].iter().all(|node| node.links.status().iter().all(|link| link.gossip_sent > 3))
    })
    .await;
    assert!(counter.add(1).await.is_ok());
    for node in [&mars, &venus] {
        let links: Vec<_> = node.links.status().iter().map(|link| link.node.name.to_string()).collect();
        assert_eq!(links.len(), 1, "{links:?}");
        assert_eq!(node.links.gossip_to_strangers(), 0);
    }
    assert_eq!(ada.links()[0].gossip_sent, 0);
    assert_eq!(mars.links.clients()[0].gossip_sent, 0);
}

#[tokio::test]
async fn a_client_finds_back_when_its_node_comes_back() {
    let (cluster, mars, ada) = one(&Seen::default()).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(1).await, Ok(1));
    let address = mars.links.local_address();
    mars.node.stop(Duration::from_secs(5)).await;
    drop(mars);
    let begin_anew = async || cluster.bound(address, "mars", 2, counters(&Seen::default())).await;
    let mars = at_last("the port is free again", begin_anew).await;
    eventually("there is a link", || ada.node().as_ref() == Some(mars.links.node())).await;
    assert_eq!(counter.add(1).await, Ok(1), "it is another incarnation, which has counted nothing");
}

#[tokio::test]
async fn a_client_whose_connection_breaks_goes_on_and_loses_nothing() {
    let (_cluster, mars, ada) = one(&Seen::default()).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    for round in 0..5 {
        for number in 1..=200 {
            counter.note(round * 200 + number).await.expect("there is room in time");
        }
        mars.links.drop_connections();
        assert!(counter.total().await.is_ok(), "round {round}");
    }
    while counter.total().await != Ok(1_000) {
        tokio::task::yield_now().await;
    }
    eventually("all is accounted for", || ada.links()[0].open == 0).await;
    assert_eq!(ada.links()[0].lost.values().sum::<u64>(), 0);
}

#[tokio::test]
async fn a_client_that_was_closed_or_dropped_is_gone_and_what_is_left_of_it_refuses() {
    let (cluster, mars, ada) = one(&Seen::default()).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(1).await, Ok(1));
    ada.close(Duration::from_secs(5)).await;
    eventually("the node knows", || !mars.links.clients()[0].connected).await;
    assert_eq!(counter.add(1).await, Err(CallError::NotExecuted(Refusal::Stopped)));
    let bob = cluster.client("bob", &[&mars]).await;
    let counter: CounterRef = bob.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(1).await, Ok(2));
    drop(bob);
    eventually("the node knows", || mars.links.clients().iter().all(|link| !link.connected)).await;
    assert!(matches!(counter.add(1).await, Err(CallError::NotExecuted(_))));
}

#[tokio::test]
async fn a_client_goes_to_another_node_when_the_first_is_gone() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", counters(&Seen::default())).await;
    let venus = cluster.node("venus", counters(&Seen::default())).await;
    let ada = cluster.client("ada", &[&mars, &venus]).await;
    let (gone, other) = match ada.node() == Some(mars.links.node().clone()) {
        true => (mars, venus),
        false => (venus, mars),
    };
    let door: DoorRef = ada.service("door").expect("a name");
    assert_eq!(door.who().await, Ok((Some("ada".into()), None)));
    gone.node.stop(Duration::from_secs(5)).await;
    eventually("there is another link", || ada.node().as_ref() == Some(other.links.node())).await;
    assert_eq!(door.who().await, Ok((Some("ada".into()), None)));
}

#[tokio::test]
async fn roles_are_not_exchanged() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", counters(&Seen::default())).await;
    let addresses = vec![mars.links.local_address()];
    let transport = Transport::default();
    let as_client =
        ClientConfig { addresses, trust: cluster.node_trust("venus"), transport: transport.clone() };
    let refused = Client::connect(as_client).await.expect_err("it is a node's");
    assert!(
        matches!(&refused, ConnectClientError::Role { certificate: Subject::Node(name) } if name.as_str() == "venus"),
        "{refused}"
    );
    let executor = Executor::new(tokio::runtime::Handle::current(), 0);
    let host = Host { executors: vec![executor], blocking: Arc::new(Inline), seed: 7 };
    let venus = NodeConfig::named("venus".parse().expect("a name"));
    let venus = Node::start(host, venus, App::new()).await.expect("the node starts");
    let config = LinksConfig {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        advertise: None,
        trust: cluster.client_trust("venus"),
        incarnation: 1,
        artifact: None,
        transport,
    };
    let refused = Links::start(&venus, config).await.err().expect("it is a client's");
    assert!(matches!(&refused, StartLinksError::Name { .. }), "{refused}");
    assert!(refused.to_string().contains("the client venus"), "{refused}");
}

/// Says hello to a node with a client's certificate, as somebody.
async fn hello(trust: Trust, to: &Linked, name: &str, is_client: bool) -> Reply {
    let here = Executor::new(tokio::runtime::Handle::current(), 0);
    let cluster = trust.cluster().clone();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let endpoint = Endpoint::bind(any, trust, &Transport::default(), &here).expect("a port is free");
    let met = endpoint.connect(to.links.local_address()).await.expect("it may dial");
    let from = Party {
        cluster,
        node: NodeId { name: name.parse().expect("a name"), incarnation: 9 },
        run: 0,
        is_client,
        artifact: None,
        address: endpoint.local_address().to_string(),
        features: Features::default(),
        session: 1,
        received: None,
    };
    let versions = VersionRange::SPOKEN;
    let hello = Hello { versions, from, expects: Expected::default(), attempt: 1, ended: None };
    let said = rmp_serde::to_vec_named(&hello).expect("it can be written");
    let (mut out, mut back) = met.connection.open_bi().await.expect("it is open");
    out.write_all(&(said.len() as u32).to_be_bytes()).await.expect("it is open");
    out.write_all(&said).await.expect("it is open");
    let mut length = [0; 4];
    back.read_exact(&mut length).await.expect("an answer");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    back.read_exact(&mut answer).await.expect("an answer");
    rmp_serde::from_slice(&answer).expect("an answer")
}

#[tokio::test]
async fn a_client_cannot_be_a_node_whatever_it_says() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new()).await;
    let ada = || cluster.client_trust("ada");
    let role = Reply::Turned(Turned::RoleMismatch { client: true });
    assert_eq!(hello(ada(), &mars, "ada", false).await, role, "no node of its own name");
    assert_eq!(hello(ada(), &mars, "venus", false).await, role, "nor of another");
    let claimed = hello(ada(), &mars, "bob", true).await;
    assert!(matches!(&claimed, Reply::Turned(Turned::NameMismatch { .. })), "{claimed:?}");
    let node = hello(cluster.node_trust("venus"), &mars, "venus", true).await;
    assert_eq!(node, Reply::Turned(Turned::RoleMismatch { client: false }), "nor the other way round");
    assert!(mars.links.status().is_empty() && mars.links.clients().is_empty(), "nothing is left of it");
    assert!(matches!(hello(ada(), &mars, "ada", true).await, Reply::Welcome(_)), "as itself it is let in");
}

#[tokio::test]
async fn nobody_dials_a_client() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new()).await;
    let here = Executor::new(tokio::runtime::Handle::current(), 0);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // one that listens all the same, and has the key of its certificate
    let trap =
        Endpoint::bind(any, cluster.client_trust("ada"), &Transport::default(), &here).expect("a port");
    let dialed = trap.local_address();
    let trapped = tokio::spawn(async move {
        let Some(incoming) = trap.accept().await else { return };
        let _ = incoming.handshake().await;
        std::future::pending::<()>().await;
    });
    let refused = mars.links.connect(dialed).await.expect_err("it is no node");
    assert!(matches!(&refused, ConnectError::Handshake(_)), "{refused}");
    assert!(mars.links.status().is_empty());
    trapped.abort();
}

/// Three: a client that has a link to mars only, and venus, which has the counters.
async fn beyond(seen: &Seen) -> (Cluster, Linked, Linked, Client) {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new()).await;
    let venus = cluster.node("venus", counters(seen)).await;
    let ada = cluster.client("ada", &[&mars]).await;
    // the client learns of it after it has come
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let door: DoorRef = ada.service("door").expect("a name");
    at_last("it is reached", async || door.who().await).await;
    (cluster, mars, venus, ada)
}

#[tokio::test]
async fn a_node_passes_on_what_it_has_not_itself_and_what_becomes_of_it() {
    let seen = Seen::default();
    let (_cluster, mars, _venus, ada) = beyond(&seen).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(3).await, Ok(3));
    assert_eq!(counter.fail().await, Err(CallError::Failed(Broken { why: "it is broken".into() })));
    assert_eq!(counter.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    let late = counter.linger().within(Duration::from_millis(50)).await;
    assert_eq!(late, Err(CallError::Unknown(UnknownCause::TimedOut)));
    eventually("the handler has learned that its caller left", || seen.left.load(SeqCst) == 1).await;
    let gone = tokio::time::timeout(Duration::from_millis(50), counter.linger()).await;
    assert!(gone.is_err());
    eventually("and that another one did", || seen.left.load(SeqCst) == 2).await;
    let door: DoorRef = ada.service("door").expect("a name");
    assert_eq!(door.who().await, Ok((Some("ada".into()), Some("mars@1".into()))));
    assert_eq!(ada.links().len(), 1, "there is one link");
    eventually("nothing is left open", || {
        [ada.links(), mars.links.status()].iter().flatten().all(|link| (link.open, link.calls) == (0, 0))
    })
    .await;
}

#[tokio::test]
async fn casts_that_are_passed_on_keep_their_order_and_go_no_faster_than_they_are_taken() {
    let seen = Seen::default();
    let (_cluster, mars, _venus, ada) = beyond(&seen).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    for number in 1..=3_000 {
        counter.note(number).await.expect("there is room in time");
        if number % 500 == 0 {
            mars.links.drop_connections();
        }
    }
    eventually("all have come, each after the one before", || seen.noted.load(SeqCst) == 3_000).await;
    eventually("all is accounted for", || ada.links()[0].open == 0).await;
    let books = &ada.links()[0];
    assert_eq!((books.sent, books.refused.len(), books.lost.len()), (books.handled, 0, 0), "{books:?}");
}

#[tokio::test]
async fn what_is_passed_on_to_a_node_that_has_gone_ends_as_what_it_is() {
    let (_cluster, mars, venus, ada) = beyond(&Seen::default()).await;
    let counter: CounterRef = ada.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(1).await, Ok(1));
    let lingering = async { counter.linger().await };
    let stopping = async {
        eventually("venus has it", || {
            let link = &mars.links.status()[0];
            link.calls == 1 && link.queued == 0
        })
        .await;
        venus.node.stop(Duration::from_millis(50)).await
    };
    let (outcome, _) = tokio::join!(lingering, stopping);
    assert!(matches!(outcome, Err(CallError::Unknown(_))), "it has run: {outcome:?}");
    let never = counter.add(1).within(Duration::from_millis(300)).await;
    assert!(matches!(never, Err(CallError::NotExecuted(_) | CallError::Unknown(_))), "{never:?}");
}

#[tokio::test]
async fn a_service_that_comes_to_the_node_itself_is_called_there_from_then_on() {
    let (_cluster, mars, _venus, ada) = beyond(&Seen::default()).await;
    let door: DoorRef = ada.service("door").expect("a name");
    assert_eq!(door.who().await, Ok((Some("ada".into()), Some("mars@1".into()))));
    mars.node
        .add_services(App::new().service("door", Porter::default))
        .await
        .expect("it is of a new name here");
    let mut answers = Vec::new();
    while answers.last() != Some(&None) {
        let again: DoorRef = ada.service("door").expect("a name");
        answers.push(again.who().await.expect("it is there").1);
    }
}
