//! How calls end.

use super::{Lab, Told, eventually, hold, node, probe, probes};
use futures_util::future::join_all;
use odeon::ServiceOptions;
use odeon::cell::Bounds;
use odeon::core::id::ServiceName;
use odeon::core::outcome::Overflow;
use odeon::directory::ServiceKind;
use odeon::prelude::*;

#[tokio::test]
async fn a_call_has_exactly_one_outcome() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    assert_eq!(a.say("x".into()).await, Ok(1));
    let failed = a.fail().await.expect_err("it fails");
    assert!(matches!(&failed, CallError::Failed(e) if e.to_string() == "the probe failed: on purpose"));
    assert_eq!(failed.retry(), Retry::Later);
    assert_eq!(a.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    assert_eq!(
        a.hold("h".into()).within(Duration::from_millis(20)).await,
        Err(CallError::Unknown(UnknownCause::TimedOut))
    );
    let nobody: super::ProbeRef = node.service("nobody").expect("a name");
    let refused = nobody.uses().await.expect_err("nobody is there");
    assert!(matches!(refused, CallError::NotExecuted(Refusal::UnknownService { .. })), "{refused}");
}

#[tokio::test]
async fn what_is_not_executed_never_runs() {
    let lab = Lab::default();
    let mailbox = Bounds { count_max: 3, bytes_max: 1 << 20, overflow: Overflow::Reject };
    let options = ServiceOptions { mailbox, ..ServiceOptions::of(ServiceKind::Entity) };
    let node = node(App::new().entity_with("probe", options, Told::make(&lab))).await;
    let a = probe(&node, "a");
    let held = hold(&lab, &a, "first").await;
    let names: Vec<String> = (0..20).map(|n| format!("call {n}")).collect();
    let calls = join_all(names.iter().map(|name| a.say(name.clone()).into_future()));
    // all are sent, and most refused, before the first handler goes on
    let (outcomes, ()) = tokio::join!(calls, async { lab.open_gate(1) });
    held.await.expect("no panic").expect("it ends");
    let mut refused = 0;
    for (name, outcome) in names.iter().zip(outcomes) {
        match outcome {
            Ok(_) => assert_eq!(lab.times(name), 1, "{name}"),
            Err(CallError::NotExecuted(Refusal::MailboxFull)) => {
                refused += 1;
                assert_eq!(lab.times(name), 0, "{name}");
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
    assert!((1..20).contains(&refused), "{refused}");
    // nor does what finds nobody any more
    node.stop(Duration::from_secs(5)).await;
    let outcome = a.say("after the end".into()).await;
    assert!(matches!(outcome, Err(CallError::NotExecuted(_))), "{outcome:?}");
    assert_eq!(lab.times("after the end"), 0);
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_unknown() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let begun = tokio::time::Instant::now();
    let outcome = a.hold("slow".into()).within(Duration::from_millis(40)).await;
    assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::TimedOut)));
    assert!(begun.elapsed() >= Duration::from_millis(40));
    lab.open_gate(1);
    // it may have run, and here it did
    lab.until_said("slow ends").await;
}

#[tokio::test]
async fn a_handler_outlives_its_caller_and_learns_of_it() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let caller = tokio::spawn({
        let a = a.clone();
        async move { a.linger().within(Duration::from_secs(60)).await }
    });
    lab.until_said("lingers").await;
    caller.abort();
    lab.until_said("left alone").await;
    // the deadline tells as well
    let b = probe(&node, "b");
    let _ = b.linger().within(Duration::from_millis(20)).await;
    eventually("the second was left too", || lab.times("left alone") == 2).await;
}

#[tokio::test]
async fn a_handler_past_its_grace_takes_its_activation_with_it() {
    let lab = Lab::default();
    let options =
        ServiceOptions { grace: Duration::from_millis(30), ..ServiceOptions::of(ServiceKind::Entity) };
    let node = node(App::new().entity_with("probe", options, Told::make(&lab))).await;
    let a = probe(&node, "a");
    let outcome = a.hold("stuck".into()).within(Duration::from_millis(20)).await;
    assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::TimedOut)));
    lab.until_said("stuck dropped").await;
    assert_eq!(a.say("again".into()).await, Ok(1));
    assert_eq!(lab.times("made"), 2);
}

#[tokio::test]
async fn a_nested_call_has_no_more_time_than_its_caller() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let begun = tokio::time::Instant::now();
    // the inner call asks for 5 s; it has what is left of 50 ms
    let outcome = a.relay("probe".into(), "b".into()).within(Duration::from_millis(50)).await;
    // both times are up in the same moment: the relay may still say so
    let said = "unknown outcome: no answer within the deadline".to_owned();
    assert!(outcome == Ok(said) || outcome == Err(CallError::Unknown(UnknownCause::TimedOut)), "{outcome:?}");
    let b = probe(&node, "b");
    lab.open_gate(1);
    lab.until_said("relayed ends").await;
    assert_eq!(b.uses().await, Ok(0));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_cycle_is_refused_with_its_path() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let outcome = a.relay("probe".into(), "a".into()).await.expect("it answers");
    assert!(outcome.contains("call cycle: probe/a on test -> probe/a on test"), "{outcome}");
    assert_eq!(lab.times("relayed begins"), 0);
}

#[tokio::test]
async fn an_endless_chain_is_cut() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let outcome = probe(&node, "a").endless(0).await.expect("it answers");
    assert!(outcome.contains("more than 16 hops: probe/a on test -> "), "{outcome}");
}

#[tokio::test]
async fn a_wrong_contract_is_refused_at_the_reference() {
    #[odeon::contract(name = "other", version = "1.0")]
    pub trait Other {
        async fn nothing(&self, cx: &Cx);
    }
    let lab = Lab::default();
    let node = probes(&lab).await;
    let error = node.entity::<OtherRef>("probe", "a").expect_err("another contract");
    assert_eq!(error.to_string(), "probe speaks probe 1.2, the caller wants other 1.0");
    let error = node.service::<super::ProbeRef>("probe").expect_err("an entity needs a key");
    assert!(error.to_string().contains("a key is needed"), "{error}");
    assert!(node.service::<OtherRef>("No Name").is_err());
    assert!(node.dynamic(&"probe".parse::<ServiceName>().expect("a name")).is_some());
}

/// The contract of the probes as others know it.
macro_rules! edition {
    ($module:ident, $version:literal) => {
        mod $module {
            use odeon::Cx;

            #[odeon::contract(name = "probe", version = $version)]
            pub(crate) trait Probe {
                async fn uses(&self, cx: &Cx) -> u32;
            }
        }
    };
}

edition!(newer, "1.3");
edition!(older, "1.1");
edition!(next, "2.0");

#[tokio::test]
async fn a_caller_of_a_newer_version_is_refused_at_the_reference() {
    let node = probes(&Lab::default()).await;
    let made_for = |want: &str, what: &str| {
        format!("probe speaks probe 1.2, the caller was made for probe {want}: {what}")
    };
    let error = node.entity::<newer::ProbeRef>("probe", "a").expect_err("a method may be missing");
    assert!(matches!(error, RefError::Version { .. }), "{error:?}");
    let text = "deploy a provider of 1.3 or a later minor version, or build the caller for 1.2";
    assert_eq!(error.to_string(), made_for("1.3", text));
    let error = node.entity::<next::ProbeRef>("probe", "a").expect_err("another major version");
    let text = "major versions do not mix: build the caller for 1.2, or lead it to a provider of 2.0";
    assert_eq!(error.to_string(), made_for("2.0", text));
    // it would be served, but on one node values are not translated
    let error = node.entity::<older::ProbeRef>("probe", "a").expect_err("another definition");
    assert!(error.to_string().contains("the same definition of the contract"), "{error}");
}
