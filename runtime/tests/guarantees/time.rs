//! Timers, long durations, calls that change hands.

use super::{Lab, Told, eventually, node, probe, probes};
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use odeon::directory::ServiceKind;
use odeon::prelude::*;

/// Sets a timer again and again.
#[odeon::contract(name = "clockwork", version = "1.0")]
pub trait Clockwork {
    /// One tick; sets the next.
    #[cast]
    async fn tick(&mut self, cx: &Cx);
    /// How often it ticked.
    #[read]
    async fn ticks(&self, cx: &Cx) -> u32;
    /// Whether a clone of its context learns that the caller left.
    async fn clone_lingers(&self, cx: &Cx);
}

struct Spring {
    lab: Lab,
    ticks: u32,
}

#[odeon::service]
impl Clockwork for Spring {
    async fn tick(&mut self, cx: &Cx) {
        self.ticks += 1;
        let me: ClockworkRef = cx.me().expect("its own contract");
        cx.after(Duration::from_micros(10), me.tick());
    }
    async fn ticks(&self, _: &Cx) -> u32 {
        self.ticks
    }
    async fn clone_lingers(&self, cx: &Cx) {
        let clone = cx.clone();
        self.lab.say("lingers");
        clone.cancelled().await;
        self.lab.say("left alone");
    }
}

#[tokio::test]
async fn a_timer_may_set_itself_again_for_ever() {
    let lab = Lab::default();
    let node = node(App::new().singleton("clock", move || Spring { lab: lab.clone(), ticks: 0 })).await;
    let clock: ClockworkRef = node.service("clock").expect("a service");
    clock.tick().send().expect("room");
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while clock.ticks().await.expect("it answers") < 50 {
        assert!(tokio::time::Instant::now() < limit, "the timer stopped");
    }
}

#[tokio::test]
async fn a_clone_of_a_context_learns_that_the_caller_left() {
    let lab = Lab::default();
    let shared = lab.clone();
    let node = node(App::new().singleton("clock", move || Spring { lab: shared.clone(), ticks: 0 })).await;
    let clock: ClockworkRef = node.service("clock").expect("a service");
    let caller = tokio::spawn(async move { clock.clone_lingers().within(Duration::from_secs(60)).await });
    lab.until_said("lingers").await;
    caller.abort();
    lab.until_said("left alone").await;
}

#[tokio::test]
async fn a_call_that_was_begun_elsewhere_still_ends_at_its_deadline() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let mut call = a.hold("slow".into()).within(Duration::from_millis(30));
    // begun here, awaited in another place with another waker
    assert!((&mut call).now_or_never().is_none());
    let mut others: FuturesUnordered<_> = [call].into_iter().collect();
    let waited = tokio::time::timeout(Duration::from_secs(20), others.next()).await;
    let outcome = waited.expect("the deadline wakes whoever waits now").expect("one call");
    assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::TimedOut)));
    lab.open_gate(1);
}

#[tokio::test]
async fn a_duration_without_end_is_long_and_not_at_once() {
    let lab = Lab::default();
    let options = ServiceOptions {
        grace: Duration::MAX,
        start_within: Duration::MAX,
        stop_within: Duration::MAX,
        passivate_after: Some(Duration::MAX),
        ..ServiceOptions::of(ServiceKind::Entity)
    };
    let node = node(App::new().entity_with("probe", options, Told::make(&lab))).await;
    let a = probe(&node, "a");
    let call = tokio::spawn({
        let a = a.clone();
        async move { a.hold("held".into()).within(Duration::MAX).await }
    });
    lab.until_said("held begins").await;
    lab.open_gate(1);
    call.await.expect("no panic").expect("it ends");
    assert_eq!(a.say("still the same".into()).await, Ok(1));
    assert_eq!(lab.times("made"), 1);
}

#[tokio::test]
async fn a_node_lives_on_when_nobody_holds_it() {
    let lab = Lab::default();
    let a = probe(&probes(&lab).await, "a");
    let lab2 = lab.clone();
    let relayed = tokio::spawn(async move { a.relay("probe".into(), "b".into()).await });
    eventually("the second entity is made", || lab2.times("relayed begins") == 1).await;
    lab.open_gate(1);
    assert_eq!(relayed.await.expect("no panic"), Ok("ok".into()));
}
