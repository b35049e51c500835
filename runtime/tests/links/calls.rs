//! Calls and casts between two nodes.

use super::stage::{Cluster, Linked, at_last, eventually};
use odeon::core::delivery::Loss;
use odeon::core::{NodeId, UnknownCause};
use odeon::prelude::*;
use odeon::remote::ConnectError;
use odeon::remote::endpoint::HandshakeError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

/// What a test calls on the other node.
#[odeon::contract(name = "counter", version = "1.0")]
pub trait Counter {
    async fn add(&mut self, cx: &Cx, amount: u64) -> u64;
    #[cast]
    async fn note(&mut self, cx: &Cx, number: u64);
    #[read]
    async fn total(&self, cx: &Cx) -> u64;
    async fn fail(&mut self, cx: &Cx) -> Result<u64, Broken>;
    async fn panic(&mut self, cx: &Cx);
    async fn linger(&self, cx: &Cx);
    async fn caller(&self, cx: &Cx) -> Option<String>;
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Broken {
    pub(crate) why: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl ContractError for Broken {}

#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Handlers that wait for their caller to leave.
    pub(crate) lingering: Arc<AtomicU64>,
    pub(crate) left: Arc<AtomicU64>,
    pub(crate) noted: Arc<AtomicU64>,
}

#[derive(Default)]
pub(crate) struct Counting {
    total: u64,
    last: u64,
    seen: Seen,
}

impl Counting {
    pub(crate) fn of(seen: &Seen) -> Self {
        Self { seen: seen.clone(), ..Self::default() }
    }
}

#[odeon::service]
impl Counter for Counting {
    async fn add(&mut self, _: &Cx, amount: u64) -> u64 {
        self.total += amount;
        self.total
    }
    async fn note(&mut self, _: &Cx, number: u64) {
        assert_eq!(number, self.last + 1, "casts of one sender keep their order");
        self.last = number;
        self.total += 1;
        self.seen.noted.fetch_add(1, SeqCst);
    }
    async fn total(&self, _: &Cx) -> u64 {
        self.total
    }
    async fn fail(&mut self, _: &Cx) -> Result<u64, Broken> {
        Err(Broken { why: "it is broken".into() })
    }
    async fn panic(&mut self, _: &Cx) {
        panic!("as the test wants");
    }
    async fn linger(&self, cx: &Cx) {
        self.seen.lingering.fetch_add(1, SeqCst);
        cx.cancelled().await;
        self.seen.left.fetch_add(1, SeqCst);
        // it learns of the deadline when its caller does: its answer shall be the later one
        cx.sleep(Duration::from_millis(20)).await;
    }
    async fn caller(&self, cx: &Cx) -> Option<String> {
        cx.caller().node.map(|node| node.to_string())
    }
}

/// Two nodes: `mars` has the counters, `venus` has a link to it.
async fn two(seen: Seen) -> (Linked, Linked) {
    let cluster = Cluster::new();
    let app = App::new().entity("counter", move || Counting::of(&seen));
    let mars = cluster.node("mars", app).await;
    let venus = cluster.node("venus", App::new()).await;
    let node = venus.links.connect(mars.links.local_address()).await.expect("a link");
    assert_eq!(node, NodeId { name: "mars".parse().expect("a name"), incarnation: 1 });
    let counter: CounterRef = venus.node.entity("counter", "ready").expect("a name");
    // what mars offers comes after the handshake
    at_last("it is reached", async || counter.total().await).await;
    (mars, venus)
}

#[tokio::test]
async fn a_call_to_another_node_ends_as_one_on_this_node_does() {
    let (_mars, venus) = two(Seen::default()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(3).await, Ok(3));
    assert_eq!(counter.add(4).await, Ok(7));
    assert_eq!(counter.total().await, Ok(7));
    let other: CounterRef = venus.node.entity("counter", "b").expect("a name");
    assert_eq!(other.total().await, Ok(0));
    assert_eq!(counter.fail().await, Err(CallError::Failed(Broken { why: "it is broken".into() })));
    assert_eq!(counter.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    assert_eq!(counter.caller().await, Ok(Some("venus@1".into())));
}

#[tokio::test]
async fn casts_arrive_in_order_and_the_books_balance() {
    let (mars, venus) = two(Seen::default()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    for number in 1..=10_000 {
        counter.note(number).await.expect("there is room in time");
    }
    while counter.total().await != Ok(10_000) {
        tokio::task::yield_now().await;
    }
    eventually("all is accounted for", || {
        let status = &venus.links.status()[0];
        status.open == 0 && status.queued == 0
    })
    .await;
    let status = &venus.links.status()[0];
    assert_eq!(status.sent, status.handled);
    assert!(status.handled >= 10_001, "{status:?}");
    assert!(mars.links.status()[0].connected);
}

#[tokio::test]
async fn a_sender_lets_others_run_whenever_there_is_a_packets_worth() {
    let (_mars, venus) = two(Seen::default()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    for number in 1..=10_000 {
        counter.note(number).await.expect("there is room in time");
    }
    eventually("all were handled", || venus.links.status()[0].open == 0).await;
    let mut yielded = 0;
    for number in 10_001..=10_200 {
        let mut cast = counter.note(number).into_future();
        let mut poll = || std::pin::pin!(&mut cast).poll(&mut Context::from_waker(Waker::noop()));
        if poll().is_pending() {
            yielded += 1;
            assert_eq!(poll(), Poll::Ready(Ok(())), "it was sent, there was room");
        }
    }
    // nobody took what was written in between
    assert_eq!(yielded, 200 / 64);
}

/// A service that does not stop in order.
#[odeon::contract(name = "stubborn", version = "1.0")]
pub trait Stubborn {
    #[read]
    async fn here(&self, cx: &Cx) -> bool;
}

struct Stays;

#[odeon::service]
impl Stubborn for Stays {
    async fn here(&self, _: &Cx) -> bool {
        true
    }
    async fn stop(&mut self, _: &Cx, _: StopReason) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_node_whose_services_use_up_its_time_to_stop_still_takes_leave_of_its_peers() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new().service("stubborn", || Stays)).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let stubborn: StubbornRef = venus.node.service("stubborn").expect("a name");
    at_last("it is reached", async || stubborn.here().await).await;
    assert_eq!(mars.node.stop(Duration::from_millis(200)).await, 1, "it had to be killed");
    eventually("the peer has left", || !venus.links.status()[0].connected).await;
}

#[tokio::test]
async fn a_caller_that_leaves_is_told_of_on_the_other_node() {
    let seen = Seen::default();
    let (_mars, venus) = two(seen.clone()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    assert!(tokio::time::timeout(Duration::from_millis(50), counter.linger()).await.is_err());
    eventually("the handler has learned of it", || seen.left.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_call_whose_caller_waits_no_longer_counts_as_lost_and_not_as_handled() {
    let seen = Seen::default();
    let (_mars, venus) = two(seen.clone()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    let before = venus.links.status()[0].clone();
    let outcome = counter.linger().within(Duration::from_millis(50)).await;
    assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::TimedOut)));
    assert!(tokio::time::timeout(Duration::from_millis(50), counter.linger()).await.is_err());
    eventually("both handlers have learned of it", || seen.left.load(SeqCst) == 2).await;
    let after = venus.links.status()[0].clone();
    assert_eq!(after.lost, [(Loss::CallerLeft, 2)].into());
    assert_eq!((after.sent, after.handled, after.open), (before.sent + 2, before.handled, 0));
}

#[tokio::test]
async fn a_connection_that_was_closed_is_dialed_again_when_it_is_wanted_and_nothing_is_lost() {
    let (_mars, venus) = two(Seen::default()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    for round in 0..5 {
        for number in 1..=500 {
            counter.note(round * 500 + number).await.expect("there is room in time");
        }
        venus.links.drop_connections();
        assert!(counter.total().await.is_ok(), "round {round}");
    }
    while counter.total().await != Ok(2_500) {
        tokio::task::yield_now().await;
    }
    eventually("all is accounted for", || venus.links.status()[0].open == 0).await;
    assert_eq!(venus.links.status()[0].lost.values().sum::<u64>(), 0);
}

#[tokio::test]
async fn what_was_never_sent_did_not_run() {
    let (mars, venus) = two(Seen::default()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    assert_eq!(counter.add(1).await, Ok(1));
    let port = mars.links.local_address();
    mars.node.stop(Duration::from_secs(5)).await;
    drop(mars);
    let refused = counter.add(1).within(Duration::from_millis(200)).await.expect_err("nobody is there");
    assert!(
        matches!(&refused, CallError::NotExecuted(Refusal::Unreachable { node, .. }) if node == "mars@1"),
        "{refused:?} at {port}"
    );
}

/// Sends a call, and does not wait for it.
async fn begin<T>(call: &mut (impl Future<Output = T> + Unpin)) {
    let waits = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *call).poll(cx).is_pending())).await;
    assert!(waits, "it has ended at once");
}

#[tokio::test]
async fn a_first_call_that_is_taken_back_leaves_its_receiver_reachable() {
    let (_mars, venus) = two(Seen::default()).await;
    let counter: CounterRef = venus.node.entity("counter", "alone").expect("a name");
    let mut first = counter.add(1);
    begin(&mut first).await;
    drop(first);
    assert_eq!(counter.add(2).await, Ok(2), "the first one was never sent");

    let counter: CounterRef = venus.node.entity("counter", "followed").expect("a name");
    let (mut first, mut second) = (counter.add(1), counter.add(2));
    begin(&mut first).await;
    begin(&mut second).await;
    drop(first);
    assert_eq!(second.await, Ok(3), "the first one was sent, for it names the receiver of the second");
    eventually("all is accounted for", || venus.links.status()[0].open == 0).await;
}

#[tokio::test]
async fn what_became_of_casts_is_heard_of_though_the_connection_breaks_as_they_are_handled() {
    let seen = Seen::default();
    let (_mars, venus) = two(seen.clone()).await;
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    for round in 1..=20 {
        for number in 1..=10 {
            counter.note((round - 1) * 10 + number).await.expect("there is room in time");
        }
        while seen.noted.load(SeqCst) < round * 10 {
            tokio::task::yield_now().await;
        }
        venus.links.drop_connections();
        eventually("all is accounted for", || venus.links.status()[0].open == 0).await;
    }
}

#[tokio::test]
async fn a_second_process_that_says_to_be_a_node_is_refused_and_harms_the_first_one_in_nothing() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new()).await;
    let seen = Seen::default();
    let venus = cluster.node("venus", App::new().entity("counter", move || Counting::of(&seen))).await;
    mars.links.connect(venus.links.local_address()).await.expect("a link");
    let counter: CounterRef = mars.node.entity("counter", "one").expect("a name");
    at_last("it is reached", async || counter.add(1).await).await;
    // with a copy of its directory: the same name, certificate and incarnation
    let rival = cluster.incarnation("venus", 1, App::new()).await;
    let refused = rival.links.connect(mars.links.local_address()).await.expect_err("there is one already");
    let text = refused.to_string();
    assert!(text.contains("another process is venus@1") && text.contains("`incarnation`"), "{text}");
    let dialed = mars.links.connect(rival.links.local_address()).await;
    assert!(dialed.is_err() || mars.links.status()[0].address == Some(venus.links.local_address()));
    assert_eq!(counter.add(1).await, Ok(2), "the first one goes on");
    mars.links.drop_connections();
    at_last("it comes back", async || counter.add(0).await).await;
    assert_eq!(counter.total().await, Ok(2));
    drop(rival);
    // a later start takes its place
    let next = cluster.incarnation("venus", 2, App::new()).await;
    let node = next.links.connect(mars.links.local_address()).await.expect("it is let in");
    assert_eq!(node.to_string(), "mars@1");
}

#[tokio::test]
async fn a_dial_goes_on_when_its_caller_leaves() {
    // somewhere in the midst of it
    for polls in [1, 3, 10, 30, 100, 300] {
        let cluster = Cluster::new();
        let (mars, venus) = (cluster.node("mars", App::new()).await, cluster.node("venus", App::new()).await);
        let mut dial = Box::pin(venus.links.connect(mars.links.local_address()));
        for _ in 0..polls {
            if futures_util::poll!(&mut dial).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dial);
        let is_linked = |links: &odeon::remote::Links| links.status().iter().any(|link| link.connected);
        eventually("there is a link", || is_linked(&venus.links) && is_linked(&mars.links)).await;
        venus.links.connect(mars.links.local_address()).await.expect("there is one");
    }
}

#[tokio::test]
async fn a_dialer_whose_certificate_has_expired_is_told_so() {
    let cluster = Cluster::new();
    let (mars, venus) = (cluster.node("mars", App::new()).await, cluster.node("venus", App::new()).await);
    // it has run since then, and nobody has renewed it
    let then = SystemTime::now() - Duration::from_secs(7_200);
    venus.links.renew(cluster.node_trust_of("venus", then)).expect("it is of the same node");
    let error = venus.links.connect(mars.links.local_address()).await.expect_err("mars looks at its clock");
    let said = error.to_string();
    assert!(matches!(error, ConnectError::Handshake(HandshakeError::Refused { .. })), "{error:?}");
    assert!(said.contains("refuses this node") && said.contains("Expired"), "{said}");
}

#[tokio::test]
async fn what_was_lost_with_an_incarnation_stays_in_the_books() {
    let cluster = Cluster::new();
    let seen = Seen::default();
    let app = |seen: Seen| App::new().entity("counter", move || Counting::of(&seen));
    let mars = cluster.node("mars", app(seen.clone())).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let counter: CounterRef = venus.node.entity("counter", "a").expect("a name");
    at_last("mars is reached", async || counter.total().await).await;
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let counter = counter.clone();
            tokio::spawn(async move { counter.linger().within(Duration::from_secs(60)).await })
        })
        .collect();
    eventually("one is being handled", || seen.lingering.load(SeqCst) > 0).await;
    let before = venus.links.status()[0].clone();
    // the next incarnation comes without a word of the last one: that has crashed
    let again = cluster.incarnation("mars", 2, app(Seen::default())).await;
    again.links.connect(venus.links.local_address()).await.expect("a link");
    for call in calls {
        let outcome = call.await.expect("no panic");
        assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::LinkLost)));
    }
    at_last("the next incarnation is reached", async || counter.total().await).await;
    let after = venus.links.status()[0].clone();
    assert_eq!((before.node.incarnation, after.node.incarnation), (1, 2));
    let earlier = after.earlier;
    assert_eq!(earlier.lost().values().sum::<u64>(), 5, "{earlier:?}");
    assert_eq!((earlier.sent(), earlier.handled(), earlier.open()), (before.sent, before.handled, 0));
    assert!(after.lost.is_empty(), "{:?}", after.lost);
}
