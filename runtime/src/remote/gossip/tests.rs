//! Two nodes that gossip over a real link, seen from inside.

use super::super::{Authority, Links, LinksConfig, Transport, Trust};
use super::*;
use crate::host::{Executor, Host, Inline};
use crate::node::{App, Node, NodeConfig};
use chitchat::{ChitchatId, Serializable};
use odeon_core::{ClusterId, NodeName};
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

#[expect(clippy::disallowed_methods, reason = "certificates hold from today on")]
fn today() -> SystemTime {
    SystemTime::now()
}

async fn node(authority: &Authority, name: &str) -> (Node, Links) {
    let name: NodeName = name.parse().expect("a name");
    let executor = Executor::new(tokio::runtime::Handle::current(), 0);
    let host = Host { executors: vec![executor], blocking: Arc::new(Inline), seed: 7 };
    let node = Node::start(host, NodeConfig::named(name.clone()), App::new()).await.expect("it starts");
    let credentials = authority.issue(&name, Duration::from_secs(3_600), today()).expect("credentials");
    let config = LinksConfig {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        advertise: None,
        trust: Trust::new(&credentials, today()).expect("they are good"),
        incarnation: 1,
        artifact: None,
        transport: Transport::default(),
    };
    let links = Links::start(&node, config).await.expect("a port is free");
    (node, links)
}

/// Two nodes with a link, each of which has heard of the other.
async fn two() -> [Arc<Core>; 2] {
    let id = ClusterId::new("test", 7).expect("a name");
    let authority = Authority::create(&id, Duration::from_secs(3_600), today()).expect("an authority");
    let ((mars, links), (venus, others)) = (node(&authority, "mars").await, node(&authority, "venus").await);
    links.connect(others.local_address()).await.expect("a link");
    let cores = [mars, venus].map(|node| node.inner().links.get().expect("it has links").clone());
    for (core, other) in [(&cores[0], "venus"), (&cores[1], "mars")] {
        eventually("it is heard of", || known(core, other).is_some_and(|member| member.services == 1)).await;
    }
    cores
}

fn known(core: &Core, name: &str) -> Option<super::members::Member> {
    core.gossip.members().of(&name.parse().expect("a name")).filter(|member| member.is_alive).cloned()
}

fn peer(core: &Core, name: &str) -> Arc<Peer> {
    let name: NodeName = name.parse().expect("a name");
    core.peers.lock()[&name].peer.clone().expect("there is a link")
}

/// Waits for a fact, with a generous limit.
async fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(30);
    while !fact() {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_has_missed_a_list_of_services_asks_for_it() {
    let [mars, venus] = two().await;
    mars.offers.grow();
    eventually("it has the list that it was not told", || peer(&venus, "mars").services().number == 2).await;
    assert_eq!(peer(&mars, "venus").services().number, 1);
}

#[tokio::test]
async fn nonsense_is_counted_and_gossip_goes_on() {
    let [mars, venus] = two().await;
    for nonsense in [&b"x"[..], b"yy", &[0x55; 300]] {
        peer(&mars, "venus").outbox.push(Bytes::copy_from_slice(nonsense));
    }
    eventually("it is counted", || peer(&venus, "mars").outbox.counted()[2] == 3).await;
    venus.offers.grow();
    eventually("news come", || known(&mars, "venus").is_some_and(|member| member.services == 2)).await;
}

/// What chitchat 0.11.2 trips over: a change of a node that is later than the latest one.
fn poison(of: &Core, name: &str) -> Bytes {
    let known = known(of, name).expect("it is alive");
    let mut changes = vec![0];
    ChitchatId::new(name, known.incarnation, known.address).serialize(&mut changes);
    [0_u64, 0].iter().for_each(|version| version.serialize(&mut changes));
    changes.push(1);
    ["a", "b"].iter().for_each(|text| text.serialize(&mut changes));
    1_000_u64.serialize(&mut changes);
    changes.extend([0, 2]);
    999_u64.serialize(&mut changes);
    let mut message = 45_139_u16.to_le_bytes().to_vec();
    // version 0, an Ack, one block that is not compressed
    message.extend([0, 2, 2]);
    (changes.len() as u16).serialize(&mut message);
    message.extend(changes);
    message.push(0);
    message.into()
}

#[tokio::test]
async fn gossip_that_has_failed_begins_anew_where_it_was() {
    let [mars, venus] = two().await;
    peer(&mars, "venus").outbox.push(poison(&venus, "mars"));
    // what it had learned is gone for a moment
    eventually("it has begun anew", || known(&venus, "mars").is_none()).await;
    venus.offers.grow();
    eventually("news come", || known(&mars, "venus").is_some_and(|member| member.services == 2)).await;
    eventually("and go", || known(&venus, "mars").is_some_and(|member| member.services == 1)).await;
}

#[tokio::test]
async fn who_begins_anew_says_more_than_it_has_said_before() {
    let [mars, _venus] = two().await;
    let (_seeds, watched) = tokio::sync::watch::channel(Default::default());
    let config = rounds::config(&mars, mars.address());
    let mut chitchat = chitchat::Chitchat::with_chitchat_id_and_seeds(config, watched, Vec::new());
    let heartbeat = serde_json::from_str("5000").expect("it is a number");
    rounds::announce(&mut chitchat, Some((heartbeat, 70)), 9);
    let own = chitchat.self_node_state();
    assert!(own.heartbeat() >= heartbeat);
    assert!(own.key_values_including_deleted().all(|(_, value)| value.version > 70));
    assert_eq!((own.get("services"), own.get("odeon")), (Some("9"), Some(env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_node_that_has_no_replicas_yet_says_so_to_whoever_asks() {
    let [mars, venus] = two().await;
    let long = Duration::from_secs(3_600);
    let exchange = venus.exchange();
    let asked = exchange.hand(&mars.us().name, bytes::Bytes::new(), long);
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.expect("it is answered");
    assert_eq!(answer, Err("nothing is taken here".into()));
}
