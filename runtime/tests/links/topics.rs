//! Topics whose members are on several nodes.

use super::stage::{Cluster, Linked, eventually};
use odeon::ServiceOptions;
use odeon::core::outcome::Overflow;
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use odeon::topics::Member;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Hears of prices.
#[odeon::contract(name = "prices", version = "1.0")]
pub trait Prices {
    #[cast]
    async fn changed(&self, cx: &Cx, price: u32);
    async fn leave(&self, cx: &Cx);
    async fn join(&self, cx: &Cx);
    #[cast]
    async fn hold(&self, cx: &Cx);
}

/// What was heard, and by whom.
#[derive(Clone)]
struct Heard {
    heard: Arc<Mutex<Vec<(String, u32)>>>,
    gate: Arc<Semaphore>,
}

impl Heard {
    fn new() -> Self {
        Self { heard: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn by(&self, name: &str) -> Vec<u32> {
        let heard = self.heard.lock().expect("no panic while it is held");
        heard.iter().filter(|(by, _)| by == name).map(|(_, price)| *price).collect()
    }

    fn count(&self) -> usize {
        self.heard.lock().expect("no panic while it is held").len()
    }

    /// A node's services, all of which are members: `board`, with its keys, and one of its own in addition.
    fn app(&self, node: &'static str) -> App {
        let make = {
            let heard = self.clone();
            move |cx: Cx| {
                let name = match cx.key() {
                    "" => node.to_owned(),
                    key => key.to_owned(),
                };
                let board = Board { heard: heard.clone(), name };
                std::future::ready(cx.join::<PricesRef>("prices").map(|()| board).map_err(StartError::from))
            }
        };
        let mut options = ServiceOptions::of(ServiceKind::Entity);
        (options.mailbox.count_max, options.mailbox.overflow) = (64, Overflow::Wait);
        App::new().service("cache", make.clone()).entity_with(&format!("board-{node}"), options, make)
    }
}

struct Board {
    heard: Heard,
    name: String,
}

#[odeon::service]
impl Prices for Board {
    async fn changed(&self, _: &Cx, price: u32) {
        self.heard.heard.lock().expect("no panic while it is held").push((self.name.clone(), price));
    }
    async fn leave(&self, cx: &Cx) {
        cx.leave("prices").expect("a name");
    }
    async fn join(&self, cx: &Cx) {
        cx.join::<PricesRef>("prices").expect("there is room");
    }
    async fn hold(&self, _: &Cx) {
        self.heard.gate.acquire().await.expect("it is never closed").forget();
    }
}

fn topic(node: &Linked) -> Topic<PricesRef> {
    node.node.topic("prices").expect("a name")
}

fn seen(node: &Linked) -> Vec<String> {
    let name = |Member { service, key, node, .. }: &Member| match key {
        Some(key) => format!("{service}#{key} {node}"),
        None => format!("{service} {node}"),
    };
    topic(node).members().iter().map(name).collect()
}

async fn sees(node: &Linked, members: &[&str]) {
    eventually(&format!("{members:?} are seen"), || seen(node) == members).await;
}

/// Mars and venus with services that are members, and pluto without any.
async fn three(heard: &Heard) -> (Cluster, [Linked; 3]) {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", heard.app("mars")).await;
    let venus = cluster.node("venus", heard.app("venus")).await;
    let pluto = cluster.node("pluto", App::new()).await;
    for node in [&venus, &pluto] {
        node.links.connect(mars.links.local_address()).await.expect("a link");
    }
    for node in [&mars, &venus, &pluto] {
        sees(node, &["cache mars@1", "cache venus@1"]).await;
    }
    (cluster, [mars, venus, pluto])
}

#[tokio::test]
async fn what_is_published_on_any_node_reaches_the_members_on_all_of_them_in_its_order() {
    let heard = Heard::new();
    let (_, [mars, venus, pluto]) = three(&heard).await;
    let board: PricesRef = venus.node.entity("board-venus", "b").expect("a name");
    board.join().await.expect("it is there");
    for node in [&mars, &venus, &pluto] {
        sees(node, &["board-venus#b venus@1", "cache mars@1", "cache venus@1"]).await;
        // one that is made anew for each publication knows what the last one knew
        for price in 0..500 {
            let published = topic(node).publish(|one| one.changed(price)).await;
            assert_eq!((published.told, published.refused), (3, vec![]));
        }
    }
    eventually("all was heard", || heard.count() == 3 * 3 * 500).await;
    for name in ["mars", "venus", "b"] {
        let expected: Vec<u32> = (0..3).flat_map(|_| 0..500).collect();
        let mut by = heard.by(name);
        if by != expected {
            // of three senders: each in its order
            by.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(by, expected, "{name}");
        }
    }
    let books = mars.links.status().into_iter().find(|link| link.node.name.as_str() == "venus");
    assert_eq!(books.expect("a link").sent, 1_000, "two members on venus");
}

#[tokio::test]
async fn whoever_joins_or_leaves_while_there_is_no_connection_is_known_once_there_is_one_again() {
    let heard = Heard::new();
    let (_, [mars, venus, pluto]) = three(&heard).await;
    let cache: PricesRef = mars.node.service("cache").expect("a name");
    for round in 0..5 {
        pluto.links.drop_connections();
        cache.leave().await.expect("it is there");
        sees(&pluto, &["cache venus@1"]).await;
        venus.links.drop_connections();
        cache.join().await.expect("it is there");
        sees(&pluto, &["cache mars@1", "cache venus@1"]).await;
        assert_eq!(topic(&pluto).publish(|one| one.changed(round)).await.told, 2);
    }
    eventually("all was heard", || heard.by("mars").len() == 5 && heard.by("venus").len() == 5).await;
}

#[tokio::test]
async fn more_members_than_fit_one_message_are_known_to_a_node_that_comes_later() {
    const MEMBERS: usize = 3_000;
    let heard = Heard::new();
    let cluster = Cluster::new();
    let mars = cluster.node("mars", heard.app("mars")).await;
    for key in 0..MEMBERS {
        let board: PricesRef = mars.node.entity("board-mars", &format!("k{key}")).expect("a name");
        board.join().await.expect("it is there");
    }
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    eventually("all are seen", || topic(&venus).members().len() == MEMBERS + 1).await;
    for price in 0..3 {
        let published = topic(&venus).publish(|one| one.changed(price)).await;
        assert_eq!((published.told, published.refused), (MEMBERS + 1, vec![]));
    }
    eventually("all was heard", || heard.count() == 3 * (MEMBERS + 1)).await;
    for key in [0, 1_234, MEMBERS - 1] {
        assert_eq!(heard.by(&format!("k{key}")), [0, 1, 2]);
    }
}

#[tokio::test]
async fn the_members_of_a_node_that_has_ended_are_none_and_its_next_incarnation_is_told_once_it_has_joined() {
    let heard = Heard::new();
    let (cluster, [mars, venus, pluto]) = three(&heard).await;
    venus.node.stop(Duration::from_secs(5)).await;
    sees(&pluto, &["cache mars@1"]).await;
    assert_eq!(topic(&pluto).publish(|one| one.changed(1)).await.told, 1);
    let second = Heard::new();
    let venus = cluster.incarnation("venus", 2, second.app("venus")).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    sees(&pluto, &["cache mars@1", "cache venus@2"]).await;
    assert_eq!(topic(&pluto).publish(|one| one.changed(2)).await.told, 2);
    eventually("all was heard", || heard.by("mars") == [1, 2] && second.by("venus") == [2]).await;
    assert!(heard.by("venus").is_empty());
}

#[tokio::test]
async fn a_member_on_another_node_that_has_no_room_holds_no_other_up() {
    let heard = Heard::new();
    let (_, [_mars, venus, pluto]) = three(&heard).await;
    let board: PricesRef = venus.node.entity("board-venus", "b").expect("a name");
    board.hold().await.expect("room");
    let all = ["board-venus#b venus@1", "cache mars@1", "cache venus@1"];
    sees(&pluto, &all).await;
    // more than may be under way to one that does not handle any
    const PRICES: u32 = 400;
    let published = {
        let topic = topic(&pluto);
        tokio::spawn(async move {
            let mut told = 0;
            for price in 0..PRICES {
                told += topic.publish(|one| one.changed(price).within(Duration::from_secs(60))).await.told;
            }
            told
        })
    };
    eventually("others hear as much as may be under way to it", || heard.by("mars").len() >= 32).await;
    assert!(!published.is_finished(), "each publication waits for it, as a cast would");
    let another = topic(&pluto);
    let first = tokio::spawn(async move { another.publish(|one| one.changed(PRICES)).await.told });
    eventually("others hear what another publishes", || heard.by("mars").contains(&PRICES)).await;
    heard.gate.add_permits(1);
    assert_eq!(published.await.expect("no panic"), 3 * PRICES as usize);
    assert_eq!(first.await.expect("no panic"), 3);
    eventually("all was heard", || heard.count() == 3 * (PRICES as usize + 1)).await;
    let by: Vec<u32> = heard.by("b").into_iter().filter(|price| *price < PRICES).collect();
    assert_eq!(by, (0..PRICES).collect::<Vec<_>>());
}
