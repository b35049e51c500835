//! More of everything than one link keeps numbers for.

use super::calls::{CounterRef, Counting, Seen};
use super::stage::{Cluster, Linked, at_last, eventually};
use futures_util::future::join_all;
use odeon::prelude::*;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

/// Two nodes, of which one has counters.
async fn two(seen: &Seen) -> (Linked, Linked) {
    let (cluster, seen) = (Cluster::new(), seen.clone());
    let mars = cluster.node("mars", App::new().entity("counter", move || Counting::of(&seen))).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    let first = counter(&venus, "first");
    at_last("it is reached", async || first.total().await).await;
    (mars, venus)
}

fn counter(node: &Linked, key: &str) -> CounterRef {
    node.node.entity("counter", key).expect("a name and a key")
}

#[tokio::test]
async fn more_receivers_are_called_than_a_lane_has_numbers_for_and_none_is_taken_for_another() {
    // each class has two lanes with 16,384 numbers each
    const RECEIVERS: usize = 40_000;
    const AT_ONCE: usize = 500;
    let (_mars, venus) = two(&Seen::default()).await;
    let counters: Vec<_> = (0..RECEIVERS).map(|number| counter(&venus, &format!("k{number}"))).collect();
    for round in 1..=2 {
        for (begin, chunk) in (0..).step_by(AT_ONCE).zip(counters.chunks(AT_ONCE)) {
            let calls =
                chunk.iter().zip(begin..).map(|(counter, number)| counter.add(number + 1).into_future());
            let answers = join_all(calls).await;
            let wrong =
                answers.iter().zip(begin..).find(|(answer, number)| **answer != Ok(round * (number + 1)));
            assert!(wrong.is_none(), "round {round}: {wrong:?}");
        }
    }
}

#[tokio::test]
async fn no_more_calls_than_may_be_are_under_way_and_those_that_end_make_room() {
    // 65,536 on a link, 32 at first to one receiver
    const RECEIVERS: usize = 2_100;
    let seen = Seen::default();
    let (_mars, venus) = two(&seen).await;
    let counters: Vec<_> = (0..RECEIVERS).map(|number| counter(&venus, &format!("k{number}"))).collect();
    let mut calls = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    for counter in &counters {
        for _ in 0..32 {
            let mut call: Pin<Box<dyn Future<Output = _>>> =
                Box::pin(counter.linger().within(Duration::from_secs(120)).into_future());
            match call.as_mut().poll(&mut cx) {
                Poll::Pending => calls.push(call),
                Poll::Ready(outcome) => panic!("it ended at once: {outcome:?}"),
            }
        }
        // the link shall have its turns
        tokio::task::yield_now().await;
    }
    let under_way = || venus.links.status()[0].calls;
    eventually("as many as may be are under way", || under_way() == 1 << 16).await;
    let one_more = counter(&venus, "first").total().within(Duration::from_millis(200)).await;
    let refused = one_more.expect_err("there is no room for it");
    // it waits for room until its time is up
    let CallError::NotExecuted(refusal) = refused else { panic!("{refused}") };
    assert!(matches!(refusal, Refusal::Expired | Refusal::Congested { .. }), "{refusal}");
    drop(calls);
    at_last("there is room", async || counter(&venus, "first").total().await).await;
    eventually("those that ran have learned that their callers left", || {
        seen.left.load(SeqCst) == seen.lingering.load(SeqCst)
    })
    .await;
}
