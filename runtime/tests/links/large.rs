//! Arguments and answers that have streams of their own.

use super::stage::{Cluster, Linked, at_last, eventually};
use odeon::ServiceOptions;
use odeon::cell::Bounds;
use odeon::directory::ServiceKind;
use odeon::prelude::*;

const MIB: usize = 1 << 20;

/// Keeps what it gets.
#[odeon::contract(name = "shelf", version = "1.0")]
pub trait Shelf {
    async fn put(&mut self, cx: &Cx, text: String) -> usize;
    #[cast]
    async fn keep(&mut self, cx: &Cx, text: String);
    #[read]
    async fn lengths(&self, cx: &Cx) -> Vec<usize>;
    #[read]
    async fn echo(&self, cx: &Cx, text: String) -> String;
    #[read]
    async fn fill(&self, cx: &Cx, length: usize) -> String;
}

#[derive(Default)]
pub(crate) struct Kept(Vec<usize>);

#[odeon::service]
impl Shelf for Kept {
    async fn put(&mut self, _: &Cx, text: String) -> usize {
        self.0.push(text.len());
        text.len()
    }
    async fn keep(&mut self, _: &Cx, text: String) {
        self.0.push(text.len());
    }
    async fn lengths(&self, _: &Cx) -> Vec<usize> {
        self.0.clone()
    }
    async fn echo(&self, _: &Cx, text: String) -> String {
        text
    }
    async fn fill(&self, _: &Cx, length: usize) -> String {
        "y".repeat(length)
    }
}

/// Entities with room for large messages.
pub(crate) fn roomy() -> ServiceOptions {
    let mailbox = Bounds { bytes_max: 256 << 20, ..Bounds::default() };
    ServiceOptions { mailbox, ..ServiceOptions::of(ServiceKind::Entity) }
}

async fn two() -> (Linked, Linked, ShelfRef) {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new().entity_with("shelf", roomy(), Kept::default)).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let shelf: ShelfRef = venus.node.entity("shelf", "a").expect("a name");
    at_last("it is reached", async || shelf.lengths().await).await;
    (mars, venus, shelf)
}

#[tokio::test]
async fn bodies_of_each_size_come_and_go_whole() {
    let (_mars, venus, shelf) = two().await;
    for length in [0, 1, 65_000, 65_530, 65_536, 65_537, 262_144, 3 * MIB, 40 * MIB] {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let back = shelf.echo(text.clone()).within(Duration::from_secs(60)).await.expect("it fits");
        assert!(back == text, "{length} bytes");
    }
    eventually("all is accounted for", || {
        let status = &venus.links.status()[0];
        status.open == 0 && status.queued == 0 && status.queued_bytes == 0
    })
    .await;
}

#[tokio::test]
async fn what_no_stream_takes_is_refused_before_it_is_sent_or_unknown_after_it_ran() {
    let (_mars, _venus, shelf) = two().await;
    let refused = shelf.put("x".repeat(64 * MIB)).await.expect_err("it is too long");
    let CallError::NotExecuted(Refusal::Unencodable { problem }) = &refused else { panic!("{refused:?}") };
    assert!(problem.contains("67108864 are allowed"), "{problem}");
    let unknown = shelf.fill(64 * MIB).await.expect_err("it is too long");
    assert_eq!(unknown, CallError::Unknown(odeon::core::UnknownCause::AnswerUndecodable));
    assert_eq!(shelf.put("x".into()).await, Ok(1), "the link goes on");
    assert_eq!(shelf.lengths().await, Ok(vec![1]));
}

#[tokio::test]
async fn a_small_message_does_not_overtake_a_large_one_of_the_same_sender() {
    let (_mars, venus, shelf) = two().await;
    let lengths: Vec<usize> = (0..60).map(|n| if n % 3 == 0 { MIB + n } else { n }).collect();
    for length in &lengths {
        shelf.keep("x".repeat(*length)).await.expect("there is room in time");
    }
    let other: ShelfRef = venus.node.entity("shelf", "b").expect("a name");
    assert_eq!(other.put("x".into()).await, Ok(1), "others pass by");
    eventually("all is accounted for", || venus.links.status()[0].open == 0).await;
    assert_eq!(shelf.lengths().await, Ok(lengths));
}

#[tokio::test]
async fn large_bodies_come_once_and_in_order_though_connections_break() {
    let (_mars, venus, shelf) = two().await;
    let lengths: Vec<usize> = (0..40).map(|n| if n % 2 == 0 { 2 * MIB + n } else { n }).collect();
    for (n, length) in lengths.iter().enumerate() {
        shelf.keep("x".repeat(*length)).await.expect("there is room in time");
        if n % 5 == 4 {
            venus.links.drop_connections();
        }
    }
    eventually("all is accounted for", || venus.links.status()[0].open == 0).await;
    assert_eq!(venus.links.status()[0].lost.values().sum::<u64>(), 0);
    assert_eq!(shelf.lengths().await, Ok(lengths));
}

#[tokio::test]
async fn a_large_call_that_was_never_sent_did_not_run_and_one_that_waits_for_its_peer_is_bounded() {
    let (mars, venus, shelf) = two().await;
    mars.node.stop(Duration::from_secs(5)).await;
    drop(mars);
    let refused = shelf.put("x".repeat(MIB)).within(Duration::from_millis(100)).await;
    let refused = refused.expect_err("nobody is there");
    assert!(matches!(refused, CallError::NotExecuted(Refusal::Unreachable { .. })), "{refused:?}");
    let mut kept = 0;
    let congested = loop {
        match shelf.keep("x".repeat(8 * MIB)).send() {
            Ok(()) => kept += 1,
            Err(refusal) => break refusal,
        }
        assert!(kept < 100, "without a bound");
    };
    assert!(matches!(congested, Refusal::Congested { .. } | Refusal::Unreachable { .. }), "{congested:?}");
    assert!(kept <= 9, "{kept} of 8 MiB");
    assert!(venus.links.status()[0].queued_bytes <= 80 * MIB);
}

#[tokio::test]
async fn a_large_body_is_passed_on_for_a_client_and_its_answer_too() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new()).await;
    let venus = cluster.node("venus", App::new().entity_with("shelf", roomy(), Kept::default)).await;
    let ada = cluster.client("ada", &[&mars]).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let shelf: ShelfRef = ada.entity("shelf", "a").expect("a name");
    at_last("it is reached", async || shelf.lengths().await).await;
    assert_eq!(ada.links().len(), 1, "venus is reached through mars alone");
    let text: String = ('a'..='z').cycle().take(MIB).collect();
    assert!(shelf.echo(text.clone()).await == Ok(text.clone()), "it comes back whole");
    // those that come behind a large one do not overtake it, on either way
    let mut lengths = Vec::new();
    for n in 0..12 {
        lengths.push(if n % 3 == 0 { MIB + n } else { n });
        shelf.keep("x".repeat(lengths[n])).await.expect("there is room in time");
        if n == 6 {
            mars.links.drop_connections();
        }
    }
    assert_eq!(shelf.put("x".repeat(MIB)).await, Ok(MIB));
    lengths.push(MIB);
    assert_eq!(shelf.lengths().await, Ok(lengths));
    eventually("all is accounted for", || {
        let links = [ada.links(), mars.links.status()];
        links.iter().flatten().all(|link| (link.open, link.queued, link.queued_bytes) == (0, 0, 0))
    })
    .await;
    assert_eq!(ada.links()[0].lost.values().sum::<u64>(), 0);
}
