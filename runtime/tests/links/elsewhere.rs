//! Calls by names and bytes through a node that has not what is called.

use super::calls::{Counting, Seen};
use super::large::{Kept, ShelfRef, roomy};
use super::stage::{Cluster, Linked, at_last, eventually};
use odeon::ServiceOptions;
use odeon::cell::Bounds;
use odeon::core::outcome::Overflow;
use odeon::core::{Refusal, TraceContext, UnknownCause};
use odeon::directory::{RawCall, RawRequest, ServiceKind};
use odeon::prelude::*;
use odeon::service::contract::{Arguments, Encoding};
use odeon::service::reply::RawOutcome;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use tokio::sync::Semaphore;

/// How it was called.
#[odeon::contract(name = "mirror", version = "1.0")]
pub trait Mirror {
    async fn told(&self, cx: &Cx) -> Vec<String>;
}

#[derive(Default)]
struct Glass;

#[odeon::service]
impl Mirror for Glass {
    async fn told(&self, cx: &Cx) -> Vec<String> {
        let caller = cx.caller();
        let trace = cx.trace();
        vec![
            caller.principal.as_deref().unwrap_or_default().into(),
            caller.tenant.as_deref().unwrap_or_default().into(),
            caller.request.unwrap_or_default().to_string(),
            caller.node.map(|node| node.to_string()).unwrap_or_default(),
            format!("{:x} {:x} {}", trace.trace.0, trace.parent.0, trace.sampled),
            cx.criticality().to_string(),
            cx.deadline().unwrap_or_default().as_secs().to_string(),
        ]
    }
}

/// A service, as it was once and as it is now.
mod old {
    #[odeon::contract(name = "tower", version = "1.0")]
    pub trait Tower {
        async fn name(&self, cx: &super::Cx) -> String;
    }
}
mod new {
    #[odeon::contract(name = "tower", version = "1.1")]
    pub trait Tower {
        async fn height(&self, cx: &super::Cx) -> String;
        async fn name(&self, cx: &super::Cx) -> String;
    }
}

struct Named(&'static str);

#[odeon::service]
impl old::Tower for Named {
    async fn name(&self, _: &Cx) -> String {
        self.0.into()
    }
}

struct Measured(&'static str);

#[odeon::service]
impl new::Tower for Measured {
    async fn height(&self, _: &Cx) -> String {
        self.0.into()
    }
    async fn name(&self, _: &Cx) -> String {
        self.0.into()
    }
}

pub(crate) fn request(key: Option<&str>, method: &str, arguments: &str) -> RawRequest {
    RawRequest {
        method: method.into(),
        key: key.map(Into::into),
        arguments: Arguments { body: arguments.to_owned().into(), encoding: Encoding::Json },
        within: Duration::from_secs(10),
        criticality: Criticality::Normal,
        trace: TraceContext::default(),
        request: Default::default(),
        principal: None,
        tenant: None,
    }
}

/// Sends a call from a node that has not what is called.
fn begin(node: &Linked, service: &str, request: RawRequest) -> RawCall {
    let name = service.parse().expect("a name");
    assert!(node.node.dynamic(&name).is_none(), "it is here");
    node.node.elsewhere(&name).expect("somebody offers it").call(request)
}

async fn call(node: &Linked, service: &str, key: Option<&str>, method: &str, arguments: &str) -> RawOutcome {
    begin(node, service, request(key, method, arguments)).await
}

fn answered(body: &'static str) -> RawOutcome {
    RawOutcome::Answered(body.into())
}

/// Two nodes: `mars` has the services, `venus` has a link to it.
async fn two(app: App) -> (Linked, Linked) {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", app).await;
    let venus = cluster.node("venus", App::new()).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    eventually("venus is told what there is", || !venus.links.services().is_empty()).await;
    (mars, venus)
}

fn counters(seen: &Seen) -> App {
    let seen = seen.clone();
    App::new().entity("counter", move || Counting::of(&seen))
}

#[tokio::test]
async fn a_call_by_name_of_what_another_node_has_ends_as_it_does_there() {
    let (mars, venus) = two(counters(&Seen::default()).service("mirror", Glass::default)).await;
    let counter = "counter".parse().expect("a name");
    let there = mars.node.dynamic(&counter).expect("it is there");
    let mut ends = BTreeSet::new();
    for (key, method, arguments) in [
        (Some("a"), "add", r#"{"amount":3}"#),
        (Some("a"), "total", ""),
        (Some("a"), "fail", "{}"),
        (Some("a"), "note", r#"{"number":1}"#),
        (Some("a"), "note", r#"{"number":"one"}"#),
        (Some("b"), "add", r#"{"amount":"three"}"#),
        (Some("b"), "add", r#"{"amount""#),
        (Some("b"), "add", "[3]"),
        (Some("b"), "panic", "{}"),
        (Some("c"), "great", "{}"),
        (None, "total", "{}"),
        (Some(""), "total", "{}"),
    ] {
        // each has entities of its own
        let own = |whose: &str| {
            key.map(|key| if key.is_empty() { String::new() } else { format!("{key}-{whose}") })
        };
        let outcome = call(&venus, "counter", own("venus").as_deref(), method, arguments).await;
        let as_there = there.call(request(own("mars").as_deref(), method, arguments)).await;
        assert_eq!(outcome, as_there, "{method} {arguments}");
        ends.insert(
            format!("{outcome:?}").split_once('(').map_or("Accepted".into(), |(end, _)| end.to_owned()),
        );
    }
    let all = ["Accepted", "Answered", "Failed", "NotExecuted", "Unknown"];
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), all, "they end in each way");
    assert_eq!(
        call(&venus, "counter", Some("a-venus"), "total", "").await,
        answered("4"),
        "the cast has run"
    );
    let keyed = call(&venus, "mirror", Some("a"), "told", "").await;
    assert!(matches!(&keyed, RawOutcome::NotExecuted(Refusal::WrongAddress { .. })), "{keyed:?}");
    assert!(venus.node.elsewhere(&"nobody".parse().expect("a name")).is_none());
    eventually("all is accounted for", || venus.links.status()[0].open == 0).await;
}

#[tokio::test]
async fn what_a_call_by_name_says_of_itself_goes_along_to_another_node() {
    let (_mars, venus) = two(App::new().service("mirror", Glass::default)).await;
    let id = "018f3b9c-7c1a-7bbf-8a5e-000000000001";
    let asked = RawRequest {
        within: Duration::from_secs(100),
        criticality: Criticality::High,
        trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a trace"),
        request: id.parse().expect("an id"),
        principal: Some("ada".into()),
        tenant: Some("shop".into()),
        ..request(None, "told", "")
    };
    let RawOutcome::Answered(body) = begin(&venus, "mirror", asked).await else { panic!("no answer") };
    let told = std::str::from_utf8(&body).expect("JSON");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for said in [r#""ada""#, r#""shop""#, id, r#""venus@1""#, trace, "true", r#""high""#] {
        assert!(told.contains(said), "{said} is missing in {told}");
    }
    let left: u64 = told.rsplit('"').nth(1).expect("the last one").parse().expect("seconds");
    assert!((60..=100).contains(&left), "{told}");
}

#[tokio::test]
async fn a_call_by_name_whose_time_is_up_or_whose_caller_left_is_told_of_on_the_other_node() {
    let seen = Seen::default();
    let (_mars, venus) = two(counters(&seen)).await;
    let short = RawRequest { within: Duration::from_millis(50), ..request(Some("a"), "linger", "") };
    assert_eq!(begin(&venus, "counter", short).await, RawOutcome::Unknown(UnknownCause::TimedOut));
    eventually("the handler has learned of it", || seen.left.load(SeqCst) == 1).await;
    let call = begin(&venus, "counter", request(Some("b"), "linger", ""));
    eventually("the handler runs", || seen.lingering.load(SeqCst) == 2).await;
    drop(call);
    eventually("the handler has learned of it", || seen.left.load(SeqCst) == 2).await;
    eventually("nothing is left of it", || venus.links.status()[0].open == 0).await;
}

#[tokio::test]
async fn a_call_by_name_that_never_left_did_not_run() {
    let (mars, venus) = two(counters(&Seen::default())).await;
    mars.node.stop(Duration::from_secs(5)).await;
    drop(mars);
    eventually("the link is down", || !venus.links.status()[0].connected).await;
    let late = RawRequest { within: Duration::from_millis(100), ..request(Some("a"), "total", "") };
    let outcome = begin(&venus, "counter", late).await;
    let RawOutcome::NotExecuted(Refusal::Unreachable { node, .. }) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(node, "mars@1");
}

#[tokio::test]
async fn a_call_by_name_whose_handler_dies_with_its_node_is_unknown() {
    let seen = Seen::default();
    let (mars, venus) = two(counters(&seen)).await;
    let lingering = begin(&venus, "counter", request(Some("a"), "linger", ""));
    eventually("the handler runs", || seen.lingering.load(SeqCst) == 1).await;
    let (outcome, _) = tokio::join!(lingering, mars.node.stop(Duration::from_millis(50)));
    assert!(matches!(outcome, RawOutcome::Unknown(_)), "it may have run: {outcome:?}");
}

#[tokio::test]
async fn a_cast_by_name_is_accepted_when_the_mailbox_on_the_other_node_takes_it() {
    for overflow in [Overflow::Reject, Overflow::Wait] {
        let seen = Seen::default();
        let mailbox = Bounds { count_max: 1, overflow, ..Bounds::default() };
        let options = ServiceOptions { mailbox, ..ServiceOptions::of(ServiceKind::Entity) };
        let counting = seen.clone();
        let app = App::new().entity_with("counter", options, move || Counting::of(&counting));
        let (_mars, venus) = two(app).await;
        let lingering = begin(&venus, "counter", request(Some("a"), "linger", ""));
        eventually("the handler runs", || seen.lingering.load(SeqCst) == 1).await;
        assert_eq!(call(&venus, "counter", Some("a"), "note", r#"{"number":1}"#).await, RawOutcome::Accepted);
        let mut second = begin(&venus, "counter", request(Some("a"), "note", r#"{"number":2}"#));
        if overflow == Overflow::Reject {
            assert_eq!(second.await, RawOutcome::NotExecuted(Refusal::MailboxFull));
            drop(lingering);
            eventually("what was accepted is handled", || seen.noted.load(SeqCst) == 1).await;
            continue;
        }
        eventually("it has come there", || {
            let link = &venus.links.status()[0];
            (link.calls, link.queued) == (2, 0)
        })
        .await;
        let waits = poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
        assert!(waits, "there is no room for it");
        drop(lingering);
        assert_eq!(second.await, RawOutcome::Accepted);
        eventually("what was accepted is handled", || seen.noted.load(SeqCst) == 2).await;
    }
}

#[tokio::test]
async fn a_call_by_name_does_not_overtake_a_large_one_before_it() {
    let (_mars, venus) = two(App::new().entity_with("shelf", roomy(), Kept::default)).await;
    let lengths: Vec<usize> = (0..40).map(|n| if n % 4 == 0 { (1 << 20) + n } else { n }).collect();
    let put = |length: &usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(*length));
    let calls: Vec<RawCall> = lengths
        .iter()
        .map(|length| begin(&venus, "shelf", request(Some("a"), "keep", &put(length))))
        .collect();
    for call in calls {
        assert_eq!(call.await, RawOutcome::Accepted);
    }
    let shelf: ShelfRef = venus.node.entity("shelf", "a").expect("a name");
    assert_eq!(shelf.lengths().await, Ok(lengths));
}

#[tokio::test]
async fn calls_by_name_go_to_all_nodes_that_have_the_method_in_turn_until_this_one_has_the_service() {
    let cluster = Cluster::new();
    let mars = cluster.node("mars", App::new().service("tower", || Named("mars"))).await;
    let venus = cluster.node("venus", App::new().service("tower", || Measured("venus"))).await;
    let pluto = cluster.node("pluto", App::new()).await;
    for node in [&mars, &venus] {
        pluto.links.connect(node.links.local_address()).await.expect("a link");
    }
    eventually("pluto knows both", || pluto.links.services().len() == 2).await;
    let named: BTreeSet<String> = ["1.0 mars@1", "1.1 venus@1"].map(Into::into).into();
    let told = pluto.links.services();
    let versions = told.iter().map(|tower| format!("{} {}", tower.version, tower.nodes[0]));
    assert_eq!(versions.collect::<BTreeSet<_>>(), named);
    let mut called = BTreeSet::new();
    at_last("it is known that both are ready", async || {
        called.insert(format!("{:?}", call(&pluto, "tower", None, "name", "").await));
        (called.len() == 2).then_some(()).ok_or_else(|| format!("{called:?}"))
    })
    .await;
    let mut names = Vec::new();
    for _ in 0..4 {
        assert_eq!(call(&pluto, "tower", None, "height", "").await, answered(r#""venus""#));
        names.push(call(&pluto, "tower", None, "name", "").await);
        names.push(call(&pluto, "tower", None, "name", "").await);
    }
    for node in [r#""mars""#, r#""venus""#] {
        assert!(names.contains(&answered(node)), "{node} is not called: {names:?}");
    }
    pluto.node.add_services(App::new().service("tower", || Named("pluto"))).await.expect("it is new here");
    eventually("it is ready here", || pluto.node.is_ready()).await;
    let here = pluto.node.dynamic(&"tower".parse().expect("a name")).expect("it is here");
    assert_eq!(here.call(request(None, "name", "")).await, answered(r#""pluto""#));
    assert!(pluto.links.services().is_empty(), "it is called here");
}

#[tokio::test]
async fn a_call_by_name_goes_to_the_node_that_has_its_method_though_only_others_are_ready() {
    let (cluster, starts) = (Cluster::new(), Arc::new(Semaphore::new(0)));
    let mars = cluster.node("mars", App::new().service("tower", || Named("mars"))).await;
    let late = {
        let starts = starts.clone();
        move |_: Cx| {
            let starts = starts.clone();
            async move {
                starts.acquire().await.map_err(StartError::new)?.forget();
                Ok::<_, StartError>(Measured("venus"))
            }
        }
    };
    let venus = cluster.node("venus", App::new().service("tower", late)).await;
    let pluto = cluster.node("pluto", App::new()).await;
    for node in [&mars, &venus] {
        pluto.links.connect(node.links.local_address()).await.expect("a link");
    }
    eventually("pluto knows both", || pluto.links.services().len() == 2).await;
    at_last("mars is ready, and it is known", async || match call(&pluto, "tower", None, "name", "").await {
        answer if answer == answered(r#""mars""#) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let mut height = begin(&pluto, "tower", request(None, "height", ""));
    let waits = poll_fn(|cx| Poll::Ready(height.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "it waits for the start at venus");
    starts.add_permits(1);
    assert_eq!(height.await, answered(r#""venus""#));
    let (service, method) = ("tower".to_owned(), "depth".to_owned());
    let unknown = RawOutcome::NotExecuted(Refusal::UnknownMethod { service, method });
    assert_eq!(call(&pluto, "tower", None, "depth", "").await, unknown);
}

#[tokio::test]
async fn more_receivers_may_be_called_by_name_than_ways_to_them_are_kept() {
    let (_mars, venus) = two(counters(&Seen::default())).await;
    // more than are kept
    for round in 1..=2 {
        for key in 0..5_000 {
            let begun = begin(&venus, "counter", request(Some(&key.to_string()), "add", r#"{"amount":1}"#));
            if key % 1_000 == 0 {
                assert_eq!(begun.await, RawOutcome::Answered(round.to_string().into()));
            }
        }
    }
    at_last("calls that were left are over", async || match venus.links.status()[0].calls {
        0 => Ok(()),
        calls => Err(calls),
    })
    .await;
}
