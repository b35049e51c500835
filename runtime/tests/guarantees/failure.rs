//! What a failure costs, and what it does not.

use super::{Lab, ProbeRef, Told, eventually, hold, node, probe, probes};
use futures_util::future::join_all;
use odeon::RestartPolicy;
use odeon::core::supervision::{Backoff, RestartLimits};
use odeon::prelude::*;

#[tokio::test]
async fn a_panic_costs_one_message() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    assert_eq!(a.say("before".into()).await, Ok(1));
    assert_eq!(a.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    // another activation: its state began anew
    assert_eq!(a.say("after".into()).await, Ok(1));
    assert_eq!(lab.times("panics"), 1, "it is not handled again");
    assert_eq!(lab.times("made"), 2);
}

#[tokio::test]
async fn the_mailbox_survives_a_restart() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let held = hold(&lab, &a, "first").await;
    let panicking = tokio::spawn({
        let a = a.clone();
        async move { a.panic().await }
    });
    tokio::task::yield_now().await;
    for n in 0..100 {
        a.note(n.to_string()).send().expect("room");
    }
    lab.open_gate(1);
    held.await.expect("no panic").expect("it ends");
    assert_eq!(panicking.await.expect("no panic"), Err(CallError::Unknown(UnknownCause::Panicked)));
    lab.until_said("99").await;
    let notes: Vec<_> = lab.said().into_iter().filter(|s| s.parse::<u32>().is_ok()).collect();
    assert_eq!(notes, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reference_survives_restarts() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    for _ in 0..3 {
        assert_eq!(a.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
        assert_eq!(a.say("on".into()).within(Duration::from_secs(30)).await, Ok(1));
    }
}

#[tokio::test]
async fn timers_and_tasks_die_with_their_activation() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    a.begin("ticks".into()).await.expect("it begins");
    lab.until_said("tick").await;
    a.begin("timer".into()).await.expect("it begins");
    let _ = a.panic().await;
    assert_eq!(a.say("restarted".into()).await, Ok(1));
    let ticks = lab.times("tick");
    let later = tokio::time::Instant::now() + Duration::from_millis(150);
    eventually("time passes", || tokio::time::Instant::now() > later).await;
    assert_eq!(lab.times("tick"), ticks);
    assert_eq!(lab.times("timer"), 0);
}

#[tokio::test]
async fn a_panic_in_a_task_ends_its_activation() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    assert_eq!(a.say("x".into()).await, Ok(1));
    a.begin("a task that panics".into()).await.expect("it begins");
    lab.open_gate(1);
    eventually("it is made again", || lab.times("made") == 2).await;
    assert_eq!(a.say("y".into()).await, Ok(1));
}

#[tokio::test]
async fn an_activation_that_keeps_failing_is_given_up() {
    let lab = Lab::default();
    let default = RestartPolicy::default();
    let limits = RestartLimits { restarts_max: 3, backoff: without_end().limits.backoff, ..default.limits };
    let options = odeon::ServiceOptions {
        restart: RestartPolicy { limits, ..default },
        ..odeon::ServiceOptions::of(odeon::directory::ServiceKind::Entity)
    };
    let node = node(App::new().entity_with("probe", options, Told::make(&lab))).await;
    let a = probe(&node, "a");
    let mut refused = 0;
    for _ in 0..20 {
        match a.panic().within(Duration::from_secs(30)).await {
            Err(CallError::Unknown(UnknownCause::Panicked)) => {}
            Err(CallError::NotExecuted(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "it was restarted without end");
    assert_eq!(lab.times("panics"), 4, "three restarts were allowed");
    let resting = a.say("too early".into()).await;
    assert_eq!(resting, Err(CallError::NotExecuted(Refusal::Restarting)), "it rests, and says so");
    assert_eq!(lab.times("made"), 4, "and nothing is made meanwhile");
    assert_eq!(probe(&node, "b").say("another".into()).await, Ok(1));
}

#[tokio::test]
async fn whoever_waits_for_one_that_rests_is_told() {
    let lab = Lab::default();
    let default = RestartPolicy::default();
    let window = Duration::from_millis(200);
    let limits = RestartLimits { restarts_max: 0, window, quiet: window, ..default.limits };
    let options = odeon::ServiceOptions {
        restart: RestartPolicy { limits, ..default },
        ..odeon::ServiceOptions::of(odeon::directory::ServiceKind::Singleton)
    };
    let node = node(App::new().singleton_with("probe", options, Told::make(&lab))).await;
    let one: ProbeRef = node.service("probe").expect("it is registered");
    let (failed, waiting) = tokio::join!(one.panic(), one.say("it waited".into()));
    assert_eq!(failed, Err(CallError::Unknown(UnknownCause::Panicked)));
    let rests = Err(CallError::NotExecuted(Refusal::Restarting));
    assert_eq!(waiting, rests, "what waits is told");
    assert_eq!(one.say("it came later".into()).await, rests, "and so is what comes");
    assert_eq!(one.note("a cast".into()).send(), Err(Refusal::Restarting));
    let again = async {
        while one.say("again".into()).await != Ok(1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("it begins again after its rest");
    assert_eq!((lab.times("made"), lab.times("it waited"), lab.times("it came later")), (2, 0, 0));
}

#[tokio::test]
async fn one_bad_entity_harms_no_other() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let (bad, good) = (probe(&node, "bad"), probe(&node, "good"));
    assert_eq!(good.say("1".into()).await, Ok(1));
    for _ in 0..30 {
        let _ = bad.panic().within(Duration::from_secs(1)).await;
    }
    assert_eq!(good.say("2".into()).await, Ok(2), "its state is untouched");
}

/// A stateless service whose every seventh call panics.
#[odeon::contract(name = "flaky", version = "1.0")]
pub trait Flaky {
    /// Doubles, or panics.
    async fn double(&self, cx: &Cx, n: u32) -> u32;
}

struct EverySeventh;

#[odeon::service]
impl Flaky for EverySeventh {
    async fn double(&self, _: &Cx, n: u32) -> u32 {
        assert!(n % 7 != 3, "on purpose");
        n * 2
    }
}

/// Begins again at once, however often it fails.
fn without_end() -> RestartPolicy {
    let at_once = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    let default = RestartPolicy::default();
    let limits = RestartLimits { restarts_max: u32::MAX, backoff: at_once, ..default.limits };
    RestartPolicy { limits, ..default }
}

#[tokio::test]
async fn a_failing_service_answers_everyone() {
    let options = odeon::ServiceOptions {
        restart: without_end(),
        ..odeon::ServiceOptions::of(odeon::directory::ServiceKind::Stateless)
    };
    let node = node(App::new().service_with("flaky", options, || EverySeventh)).await;
    let flaky: FlakyRef = node.service("flaky").expect("a service");
    let calls = (0..350).map(|n| {
        let flaky = flaky.clone();
        async move { (n, flaky.double(n).within(Duration::from_secs(60)).await) }
    });
    for (n, outcome) in join_all(calls).await {
        match outcome {
            Ok(double) => assert_eq!(double, n * 2),
            Err(CallError::Unknown(UnknownCause::Panicked)) => assert_eq!(n % 7, 3),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(flaky.double(7).await, Ok(14));
}

#[tokio::test]
async fn a_watch_tells_once() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let (a, b) = (probe(&node, "a"), probe(&node, "b"));
    assert_eq!(b.say("alive".into()).await, Ok(1));
    a.tie("b".into(), false).await.expect("it watches");
    let _ = b.panic().await;
    lab.until_said("ended: panicked in panic: on purpose").await;
    assert_eq!(b.say("again".into()).await, Ok(1));
    let _ = b.panic().await;
    assert_eq!(b.say("and again".into()).await, Ok(1));
    assert_eq!(lab.said().iter().filter(|s| s.starts_with("ended")).count(), 1);
    // what does not run has ended already
    a.tie("nobody".into(), false).await.expect("it watches");
    eventually("told at once", || lab.said().iter().filter(|s| s.starts_with("ended")).count() == 2).await;
}

#[tokio::test]
async fn a_link_passes_on_abnormal_ends() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let (a, b, c) = (probe(&node, "a"), probe(&node, "b"), probe(&node, "c"));
    for p in [&a, &b, &c] {
        assert_eq!(p.say("alive".into()).await, Ok(1));
    }
    a.tie("b".into(), true).await.expect("it links");
    a.tie("c".into(), true).await.expect("it links");
    c.finish().await.expect("it stops");
    assert_eq!(a.say("a normal end does not count".into()).await, Ok(2));
    let _ = b.panic().await;
    eventually("a ended too", || lab.times("made") >= 5).await;
    let again: ProbeRef = probe(&node, "a");
    assert_eq!(again.say("anew".into()).await, Ok(1));
    assert_eq!(b.say("once".into()).await, Ok(1));
    assert_eq!(b.say("the same activation".into()).await, Ok(2), "the link ended with the first failure");
    assert_eq!(lab.times("made"), 5, "three, and one more of each that failed");
}
