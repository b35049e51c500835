//! Nodes that find each other, and what they offer, because one peer of theirs knows.

use super::calls::{CounterRef, Counting};
use super::stage::{Cluster, Linked, at_last, eventually};
use odeon::core::NodeName;
use odeon::core::rendezvous;
use odeon::prelude::*;
use odeon::remote::Liveness;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// Which node has answered.
#[odeon::contract(name = "place", version = "1.0")]
pub trait Place {
    async fn name(&self, cx: &Cx) -> String;
    async fn held_at_mars(&self, cx: &Cx);
}

#[derive(Clone)]
struct Here(&'static str);

#[odeon::service]
impl Place for Here {
    async fn name(&self, _: &Cx) -> String {
        self.0.into()
    }

    async fn held_at_mars(&self, cx: &Cx) {
        if self.0 == "mars" {
            cx.cancelled().await;
        }
    }
}

fn offers(service: &str, node: &'static str) -> App {
    App::new().service(service, move || Here(node))
}

/// What a node says of its links, by the name of the peer.
fn seen(node: &Linked) -> BTreeMap<String, (bool, Liveness)> {
    let links = node.links.status().into_iter();
    links.map(|link| (link.node.to_string(), (link.connected, link.liveness))).collect()
}

fn knows(node: &Linked, others: &[&str]) -> bool {
    let seen = seen(node);
    others.iter().all(|other| seen.get(*other) == Some(&(true, Liveness::Alive)))
}

/// Calls until it is answered.
async fn answered(place: &PlaceRef) -> String {
    at_last("an answer", async || place.name().await).await
}

/// Three nodes that offer `place`: each of the others was told of mars only.
async fn three() -> [Linked; 3] {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", offers("place", "mars")).await;
    let venus = cluster.node("venus", offers("place", "venus")).await;
    let pluto = cluster.node("pluto", App::new()).await;
    for node in [&venus, &pluto] {
        node.links.connect(mars.links.local_address()).await.expect("a link");
    }
    [mars, venus, pluto]
}

#[tokio::test]
async fn a_node_that_only_one_peer_knows_is_found_by_all() {
    let [mars, venus, pluto] = three().await;
    eventually("all have links to all", || {
        knows(&mars, &["venus@1", "pluto@1"])
            && knows(&venus, &["mars@1", "pluto@1"])
            && knows(&pluto, &["mars@1", "venus@1"])
    })
    .await;
    let gossiped = mars.links.status().iter().all(|link| link.gossip_sent > 0 && link.gossip_bad == 0);
    assert!(gossiped, "{:?}", mars.links.status());
}

#[tokio::test]
async fn nodes_that_listen_on_all_interfaces_find_each_other_by_the_address_of_their_first_link() {
    let cluster = Cluster::new();
    let all = Ipv4Addr::UNSPECIFIED;
    let mars = cluster.listening(all, "mars", 1, App::new()).await;
    let venus = cluster.listening(all, "venus", 1, App::new()).await;
    let pluto = cluster.listening(all, "pluto", 1, App::new()).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mars.links.local_address().port()));
    for node in [&venus, &pluto] {
        node.links.connect(address).await.expect("a link");
    }
    eventually("all have links to all", || {
        knows(&venus, &["mars@1", "pluto@1"]) && knows(&pluto, &["mars@1", "venus@1"])
    })
    .await;
}

#[tokio::test]
async fn a_node_is_found_where_it_says_that_it_is() {
    let cluster = Cluster::new();
    let free = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let said = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port));
    let mars = cluster.advertised(all, Some(said), "mars", 1, App::new()).await.expect("the port is free");
    let venus = cluster.node("venus", App::new()).await;
    let pluto = cluster.node("pluto", App::new()).await;
    venus.links.connect((Ipv4Addr::LOCALHOST, port).into()).await.expect("a link");
    pluto.links.connect(venus.links.local_address()).await.expect("a link");
    eventually("pluto has a link to mars", || knows(&pluto, &["mars@1"])).await;
    let address = |node: &Linked| {
        let links = node.links.status();
        links.into_iter().find(|link| link.node.name.as_str() == "mars").and_then(|link| link.address)
    };
    assert_eq!(address(&pluto), Some(said));
    assert_eq!((mars.links.local_address(), mars.links.advertised()), (all, said));
}

#[tokio::test]
async fn a_service_that_is_registered_later_is_called_from_everywhere() {
    let [mars, venus, pluto] = three().await;
    let references = [&mars, &venus].map(|node| node.node.service::<PlaceRef>("late").expect("a name"));
    pluto.node.add_services(offers("late", "pluto")).await.expect("it starts");
    for reference in &references {
        assert_eq!(answered(reference).await, "pluto");
    }
    let twice = pluto.node.add_services(offers("late", "pluto")).await.expect_err("it is there");
    assert!(twice.to_string().contains("two services are registered as late"), "{twice}");
}

#[tokio::test]
async fn the_instances_of_a_service_on_several_nodes_are_called_in_turn_and_the_dead_one_is_left_out() {
    let [mars, venus, pluto] = three().await;
    let place: PlaceRef = pluto.node.service("place").expect("a name");
    eventually("both are known", || knows(&pluto, &["mars@1", "venus@1"])).await;
    answered(&place).await;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    while counts.len() < 2 {
        *counts.entry(answered(&place).await).or_default() += 1;
    }
    counts.clear();
    for _ in 0..100 {
        *counts.entry(answered(&place).await).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [50, 50]);
    venus.node.stop(Duration::from_secs(5)).await;
    eventually("the connection is gone", || !seen(&pluto)["venus@1"].0).await;
    for _ in 0..10 {
        assert_eq!(place.name().await, Ok("mars".into()), "the same reference, and no call fails");
    }
    assert!(knows(&mars, &["pluto@1"]));
}

#[tokio::test]
async fn a_node_to_which_more_is_under_way_loses_its_turn() {
    let [_mars, _venus, pluto] = three().await;
    let place: PlaceRef = pluto.node.service("place").expect("a name");
    eventually("both are known", || knows(&pluto, &["mars@1", "venus@1"])).await;
    let held: Vec<_> = (0..4)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move { place.held_at_mars().within(Duration::from_secs(60)).await })
        })
        .collect();
    let under_way = || -> Vec<usize> { pluto.links.status().iter().map(|link| link.calls).collect() };
    eventually("only mars holds calls", || {
        let calls = under_way();
        calls[0] > 0 && calls[1] == 0
    })
    .await;
    for _ in 0..20 {
        assert_eq!(place.name().await, Ok("venus".into()));
    }
    held.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("nothing is under way", || under_way() == [0, 0]).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(place.name().await.expect("an answer"));
    }
    assert_eq!(answers.iter().filter(|name| *name == "mars").count(), 10, "{answers:?}");
}

#[tokio::test]
async fn a_key_is_where_rendezvous_hashing_puts_it_whoever_calls() {
    let cluster = Cluster::new();
    let app = || App::new().entity("counter", Counting::default);
    let [mars, venus] = [cluster.node("mars", app()).await, cluster.node("venus", app()).await];
    let [earth, pluto] = [cluster.node("earth", App::new()).await, cluster.node("pluto", App::new()).await];
    for node in [&venus, &earth, &pluto] {
        node.links.connect(mars.links.local_address()).await.expect("a link");
    }
    eventually("all are known", || {
        [&earth, &pluto].into_iter().all(|node| knows(node, &["mars@1", "venus@1"]))
    })
    .await;
    let names: Vec<NodeName> = ["mars", "venus"].map(|name| name.parse().expect("a name")).into();
    let service = "counter".parse().expect("a name");
    for key in 0..20 {
        let key = key.to_string();
        let [here, there] =
            [&earth, &pluto].map(|node| node.node.entity::<CounterRef>("counter", &key).expect("a name"));
        for counter in [&here, &there] {
            at_last("it is reached", async || counter.total().await).await;
        }
        let owner = rendezvous::highest(&names, &service, &key).expect("there are two");
        let owner = if owner.as_str() == "mars" { &mars } else { &venus };
        let on_owner: CounterRef = owner.node.entity("counter", &key).expect("a name");
        let counted = [here.add(1).await, there.add(1).await, on_owner.add(1).await];
        assert_eq!(counted, [Ok(1), Ok(2), Ok(3)], "key {key} is in one place");
    }
}

#[tokio::test]
async fn a_node_that_comes_back_elsewhere_is_found_again() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new()).await;
    let venus = cluster.node("venus", App::new()).await;
    let pluto = cluster.incarnation("pluto", 1, offers("place", "first")).await;
    for node in [&venus, &pluto] {
        node.links.connect(mars.links.local_address()).await.expect("a link");
    }
    let place: PlaceRef = venus.node.service("place").expect("a name");
    assert_eq!(answered(&place).await, "first");
    pluto.node.stop(Duration::from_secs(5)).await;
    let again = cluster.incarnation("pluto", 2, offers("place", "second")).await;
    assert_ne!(again.links.local_address(), pluto.links.local_address());
    again.links.connect(mars.links.local_address()).await.expect("a link");
    eventually("it is known by its new name", || knows(&venus, &["mars@1", "pluto@2"])).await;
    assert_eq!(answered(&place).await, "second");
    assert!(!seen(&venus).contains_key("pluto@1"));
}
