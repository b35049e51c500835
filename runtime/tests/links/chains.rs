//! Chains of calls that go from node to node and back.

use super::stage::{Cluster, Linked, at_last};
use odeon::prelude::*;

/// One of two that call each other.
#[odeon::contract(name = "player", version = "1.0")]
pub trait Player {
    /// Has the other one pass it back, under these keys in turn. Answers what came of that.
    async fn pass(&mut self, cx: &Cx, keys: Vec<String>) -> String;
    /// The same under one key after the other, for ever.
    async fn on(&mut self, cx: &Cx, number: u32) -> String;
    /// Milliseconds that are left to the one that is asked last.
    async fn left(&self, cx: &Cx, calls: u32) -> u64;
}

/// Knows what the other one is called.
struct At(&'static str);

#[odeon::service]
impl Player for At {
    async fn pass(&mut self, cx: &Cx, mut keys: Vec<String>) -> String {
        let Some(key) = keys.pop() else { return "passed".into() };
        let other: PlayerRef = cx.entity(self.0, &key).expect("a name and a key");
        other.pass(keys).await.unwrap_or_else(|error| error.to_string())
    }
    async fn on(&mut self, cx: &Cx, number: u32) -> String {
        let other: PlayerRef = cx.entity(self.0, &number.to_string()).expect("a name and a key");
        other.on(number + 1).await.unwrap_or_else(|error| error.to_string())
    }
    async fn left(&self, cx: &Cx, calls: u32) -> u64 {
        let left = cx.deadline().map_or(u64::MAX, |left| left.as_millis() as u64);
        if calls == 0 {
            return left;
        }
        cx.sleep(Duration::from_millis(50)).await;
        let other: PlayerRef = cx.entity(self.0, &calls.to_string()).expect("a name and a key");
        other.left(calls - 1).await.unwrap_or(u64::MAX)
    }
}

/// Two nodes, each with one of the players, and the first player under a key.
async fn two(key: &str) -> (Linked, Linked, PlayerRef) {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new().entity("red", || At("white"))).await;
    let venus = cluster.node("venus", App::new().entity("white", || At("red"))).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let (red, white): (PlayerRef, PlayerRef) = (
        venus.node.entity("red", "hello").expect("names"),
        mars.node.entity("white", "hello").expect("names"),
    );
    at_last("mars is reached", async || red.pass(Vec::new()).await).await;
    at_last("venus is reached", async || white.pass(Vec::new()).await).await;
    let first = venus.node.entity("red", key).expect("a name and a key");
    (mars, venus, first)
}

#[tokio::test]
async fn a_cycle_over_two_nodes_is_refused_with_its_path() {
    let (_mars, _venus, first) = two("a").await;
    let keys = |keys: &[&str]| keys.iter().rev().map(ToString::to_string).collect::<Vec<_>>();
    // from a to b to c, and then to a, which waits for all of it
    let outcome = first.pass(keys(&["b", "c", "d"])).await;
    assert_eq!(outcome, Ok("passed".into()));
    let begun = tokio::time::Instant::now();
    let outcome = first.pass(keys(&["b", "a", "d"])).await.expect("those before it answer");
    assert!(outcome.contains("call cycle: red/a on mars -> #"), "{outcome}");
    assert!(outcome.contains(" on venus -> red/a on mars"), "{outcome}");
    assert!(begun.elapsed() < Duration::from_secs(4), "it was not waited for");
    assert_eq!(first.pass(keys(&["b"])).await, Ok("passed".into()), "nothing hangs");
}

#[tokio::test]
async fn an_endless_chain_over_two_nodes_is_cut() {
    let (_mars, _venus, first) = two("a").await;
    let outcome = first.on(0).await.expect("those before it answer");
    assert!(outcome.contains("more than 16 hops: "), "{outcome}");
}

#[tokio::test]
async fn each_call_of_a_chain_over_two_nodes_has_what_is_left_of_the_first_ones_time() {
    let (_mars, _venus, first) = two("a").await;
    let left = first.left(4).within(Duration::from_secs(3)).await.expect("it answers");
    assert!((1..=2_800).contains(&left), "{left} ms after four pauses of 50 ms");
}
