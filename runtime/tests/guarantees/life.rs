//! Stop, passivation, names.

use super::{Lab, ProbeRef, Told, eventually, hold, node, probe, probes};
use futures_util::future::join_all;
use odeon::ServiceOptions;
use odeon::directory::ServiceKind;
use odeon::prelude::*;

#[tokio::test]
async fn an_orderly_stop_handles_what_waits() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let held = hold(&lab, &a, "first").await;
    for n in 0..10 {
        a.note(n.to_string()).send().expect("room");
    }
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.stop(Duration::from_secs(30)).await }
    });
    eventually("nothing more is let in", || a.note("late".into()).send().is_err()).await;
    lab.open_gate(1);
    assert_eq!(stopping.await.expect("no panic"), 0, "nothing was killed");
    held.await.expect("no panic").expect("it ends");
    assert_eq!(lab.times("9"), 1);
    assert!(matches!(a.note("late".into()).send(), Err(Refusal::Stopped | Refusal::UnknownService { .. })));
    assert_eq!(lab.said().last().map(String::as_str), Some("stop hook: Shutdown"));
}

#[tokio::test]
async fn the_stop_hook_runs_on_orderly_stops_only() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let _ = a.panic().await;
    assert_eq!(a.say("x".into()).await, Ok(1));
    assert_eq!(lab.said().iter().filter(|s| s.starts_with("stop hook")).count(), 0);
    a.finish().await.expect("it stops");
    lab.until_said("stop hook: Own").await;
    node.stop(Duration::from_secs(30)).await;
    assert_eq!(lab.said().iter().filter(|s| s.starts_with("stop hook")).count(), 1);
}

#[tokio::test]
async fn a_stop_that_takes_too_long_is_a_kill() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let held = hold(&lab, &a, "stuck").await;
    assert_eq!(node.stop(Duration::from_millis(50)).await, 1);
    lab.until_said("stuck dropped").await;
    let outcome = held.await.expect("no panic");
    assert!(matches!(outcome, Err(CallError::Unknown(UnknownCause::Killed | UnknownCause::Unanswered))));
}

#[tokio::test]
async fn services_stop_in_reverse_order() {
    let (first, second) = (Lab::default(), Lab::default());
    let second_lab = second.clone();
    // the second service tells, when it stops, whether the first had stopped before it
    let app = App::new().singleton("first", Told::make(&first)).singleton("second", Told::make(&second));
    let node = node(app).await;
    for name in ["first", "second"] {
        let probe: ProbeRef = node.service(name).expect("a probe");
        assert_eq!(probe.say("up".into()).await, Ok(1));
    }
    let busy: ProbeRef = node.service("second").expect("a probe");
    let held = hold(&second, &busy, "last words").await;
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.stop(Duration::from_secs(30)).await }
    });
    let probe: ProbeRef = node.service("first").expect("a probe");
    eventually("the node is stopping", || node.is_stopping()).await;
    assert_eq!(probe.say("still up".into()).await, Ok(2), "the first stops after the second");
    second_lab.open_gate(1);
    stopping.await.expect("no panic");
    held.await.expect("no panic").expect("it ends");
    assert_eq!(first.times("stop hook: Shutdown"), 1);
    assert_eq!(second.times("stop hook: Shutdown"), 1);
}

#[tokio::test]
async fn an_entity_has_one_activation_at_a_time() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let calls = (0..100).map(|n| {
        let a = probe(&node, "a");
        async move { a.say(n.to_string()).await }
    });
    let mut uses: Vec<_> = join_all(calls).await.into_iter().map(|o| o.expect("it answers")).collect();
    uses.sort_unstable();
    assert_eq!(uses, (1..=100).collect::<Vec<_>>());
    assert_eq!(lab.times("made"), 1);
}

/// Counts, and goes on from where its predecessor left off.
struct Kept {
    lab: Lab,
    uses: u32,
}

impl Kept {
    async fn start(cx: Cx, lab: Lab) -> Result<Self, StartError> {
        let left: Option<[u8; 4]> = cx.restored().and_then(|b| b[..].try_into().ok());
        Ok(Self { lab, uses: left.map_or(0, u32::from_be_bytes) })
    }
}

/// Counts.
#[odeon::contract(name = "count", version = "1.0")]
pub trait Count {
    /// One more.
    async fn add(&mut self, cx: &Cx) -> u32;
}

#[odeon::service]
impl Count for Kept {
    async fn add(&mut self, _: &Cx) -> u32 {
        self.uses += 1;
        self.uses
    }
    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.lab.say("passivated");
        self.uses.to_be_bytes().to_vec()
    }
}

/// Has work that no message began.
struct Worker {
    lab: Lab,
}

#[odeon::contract(name = "working", version = "1.0")]
trait Working {
    #[cast]
    async fn work(&mut self, cx: &Cx);
    #[cast]
    async fn remind(&mut self, cx: &Cx, after: Duration);
    #[cast]
    async fn done(&mut self, cx: &Cx);
}

#[odeon::service]
impl Working for Worker {
    async fn work(&mut self, cx: &Cx) {
        let lab = self.lab.clone();
        let _ = cx.spawn(async move {
            lab.wait_at_gate().await;
            lab.say("worked");
        });
    }
    async fn remind(&mut self, cx: &Cx, after: Duration) {
        let me: WorkingRef = cx.me().expect("it has this contract");
        let _ = cx.after(after, me.done());
    }
    async fn done(&mut self, _: &Cx) {
        self.lab.say("reminded");
    }
    async fn passivate(&mut self, cx: &Cx) -> Vec<u8> {
        self.lab.say(format!("{} passivated", cx.key()));
        Vec::new()
    }
}

#[tokio::test]
async fn an_entity_with_a_task_or_timer_is_not_passivated() {
    let lab = Lab::default();
    let options = ServiceOptions {
        passivate_after: Some(Duration::from_millis(5)),
        ..ServiceOptions::of(ServiceKind::Entity)
    };
    let make = lab.clone();
    let app = App::new().entity_with("worker", options, move || Worker { lab: make.clone() });
    let node = node(app).await;
    let entity = |key: &str| node.entity::<WorkingRef>("worker", key).expect("it is registered");
    entity("task").work().send().expect("room");
    entity("timer").remind(Duration::from_millis(100)).send().expect("room");
    entity("idle").done().send().expect("room");
    lab.until_said("idle passivated").await;
    lab.until_said("timer passivated").await;
    let said = lab.said();
    let at = |what: &str| said.iter().position(|s| s == what);
    assert!(at("reminded") < at("timer passivated"), "{said:?}");
    assert_eq!(at("task passivated"), None);
    lab.open_gate(1);
    lab.until_said("task passivated").await;
    assert_eq!(lab.times("worked"), 1);
}

#[tokio::test]
async fn passivation_loses_no_message() {
    let lab = Lab::default();
    let options = ServiceOptions {
        passivate_after: Some(Duration::from_millis(10)),
        ..ServiceOptions::of(ServiceKind::Entity)
    };
    let make = lab.clone();
    let app = App::new().entity_with("count", options, move |cx: Cx| Kept::start(cx, make.clone()));
    let node = node(app).await;
    let a: CountRef = node.entity("count", "a").expect("an entity");
    assert_eq!(a.add().await, Ok(1));
    lab.until_said("passivated").await;
    assert_eq!(a.add().await, Ok(2), "the old reference finds the new activation");
    // calls that race with passivation, at every phase of it
    for n in 0..200_u32 {
        let pause = tokio::time::Instant::now() + Duration::from_micros(u64::from(n) * 120);
        eventually("a pause", || tokio::time::Instant::now() > pause).await;
        assert_eq!(a.add().await, Ok(n + 3));
    }
    assert!(lab.times("passivated") > 2, "{}", lab.times("passivated"));
}

#[tokio::test]
async fn a_bound_name_leads_to_its_provider() {
    let lab = Lab::default();
    let bindings = [("till".parse().expect("a name"), "payment".parse().expect("a name"))].into();
    let executor = odeon::host::Executor::new(tokio::runtime::Handle::current(), 0);
    let host = odeon::host::Host {
        executors: vec![executor],
        blocking: std::sync::Arc::new(odeon::host::Inline),
        seed: 1,
    };
    let mut config = odeon::NodeConfig::named("test".parse().expect("a name"));
    config.bindings = bindings;
    let app = App::new().singleton("early", Told::make(&lab)).singleton("payment", Told::make(&lab));
    let node = odeon::Node::start(host, config, app).await.expect("it starts");
    // `till` is bound to `payment` by the configuration, not by the caller
    let till: ProbeRef = node.service("till").expect("a name");
    assert_eq!(till.say("x".into()).await, Ok(1));
    let payment: ProbeRef = node.service("payment").expect("a name");
    assert_eq!(payment.uses().await, Ok(1), "it is the same");
}
