//! A node that has no ready instance of a stateless service, or a crowded one: those of others are called.

use super::elsewhere::request;
use super::stage::{Cluster, Linked, eventually};
use odeon::core::UnknownCause;
use odeon::core::supervision::{Backoff, RestartLimits};
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use odeon::service::reply::RawOutcome;
use odeon::{RestartPolicy, ServiceOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Which node has answered.
#[odeon::contract(name = "lamp", version = "1.0")]
pub trait Lamp {
    async fn name(&self, cx: &Cx) -> String;
    async fn go_out(&self, cx: &Cx);
}

struct Lit(&'static str);

#[odeon::service]
impl Lamp for Lit {
    async fn name(&self, _: &Cx) -> String {
        self.0.into()
    }

    async fn go_out(&self, _: &Cx) {
        panic!("the lamp goes out, on purpose");
    }
}

/// A lamp that cannot be lit while it is broken, and is tried again and again.
fn lamp(name: &'static str, is_broken: &Arc<AtomicBool>) -> App {
    let policy = RestartPolicy::default();
    let backoff = Backoff { min: Duration::from_millis(10), max: Duration::from_millis(20) };
    let limits = RestartLimits { restarts_max: 1_000_000, backoff, ..policy.limits };
    let restart = RestartPolicy { limits, ..policy };
    let options = ServiceOptions { restart, ..ServiceOptions::of(ServiceKind::Stateless) };
    let is_broken = is_broken.clone();
    App::new().service_with("lamp", options, move |_: Cx| {
        let is_broken = is_broken.load(SeqCst);
        std::future::ready(if is_broken { Err(StartError::new("it is broken")) } else { Ok(Lit(name)) })
    })
}

/// Of a hundred calls: who has answered. None fails.
async fn answers(lamp: &LampRef) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(lamp.name().await.expect("each is answered"));
    }
    answers.sort_unstable();
    answers.dedup();
    answers
}

async fn by_name(node: &Linked) -> String {
    let (name, request) = ("lamp".parse().expect("a name"), request(None, "name", ""));
    let outcome = match node.node.dynamic(&name) {
        Some(lamp) => lamp.call(request).await,
        None => node.node.elsewhere(&name).expect("others have it").call(request).await,
    };
    let RawOutcome::Answered(body) = outcome else { panic!("no answer: {outcome:?}") };
    String::from_utf8(body.to_vec()).expect("JSON")
}

#[tokio::test]
async fn while_a_node_has_no_ready_instance_of_a_stateless_service_those_of_others_are_called() {
    let (cluster, broken, whole) = (Cluster::new(), Arc::default(), Arc::default());
    let mars = cluster.node("mars", lamp("mars", &broken)).await;
    let venus = cluster.node("venus", lamp("venus", &whole)).await;
    let pluto = cluster.node("pluto", App::new()).await;
    for node in [&venus, &pluto] {
        node.links.connect(mars.links.local_address()).await.expect("a link");
    }
    let [at_mars, at_venus, at_pluto] =
        [&mars, &venus, &pluto].map(|node| node.node.service::<LampRef>("lamp").expect("a name"));
    let offered = || pluto.links.services().iter().map(|service| service.nodes.len()).sum::<usize>();
    eventually("all know each other", || {
        offered() == 2 && [&mars, &venus].iter().all(|node| node.links.status().len() == 2)
    })
    .await;
    assert_eq!(answers(&at_mars).await, ["mars"], "what is here is nearest");
    assert_eq!(answers(&at_pluto).await, ["mars", "venus"]);

    broken.store(true, SeqCst);
    at_mars.go_out().await.expect_err("it panics");
    assert_eq!(answers(&at_mars).await, ["venus"]);
    assert_eq!(by_name(&mars).await, r#""venus""#);
    assert_eq!(answers(&at_venus).await, ["venus"]);
    until("pluto calls mars no more", async || answers_alike(&at_pluto, "venus").await).await;
    assert_eq!(answers(&at_pluto).await, ["venus"]);
    assert_eq!(by_name(&pluto).await, r#""venus""#);

    broken.store(false, SeqCst);
    until("mars is called again", async || answers_alike(&at_mars, "mars").await).await;
    until("and by pluto, too", async || answers(&at_pluto).await == ["mars", "venus"]).await;
    assert_eq!(by_name(&mars).await, r#""mars""#);
}

/// Answers one call after the other, while it is let.
struct Slow(&'static str, Arc<Semaphore>);

#[odeon::service]
impl Lamp for Slow {
    async fn name(&self, _: &Cx) -> String {
        self.1.acquire().await.expect("it is never closed").forget();
        self.0.into()
    }

    async fn go_out(&self, _: &Cx) {}
}

fn slow(name: &'static str, lets: &Arc<Semaphore>) -> App {
    let options = ServiceOptions { concurrency: 1, ..ServiceOptions::of(ServiceKind::Stateless) };
    let lets = lets.clone();
    App::new().service_with("lamp", options, move |_: Cx| {
        std::future::ready(Ok::<_, StartError>(Slow(name, lets.clone())))
    })
}

#[tokio::test]
async fn while_many_calls_wait_for_the_instance_here_those_of_others_are_called() {
    // one of them is being handled
    const WAITING: usize = 17;
    let (cluster, here, there) = (Cluster::new(), Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let mars = cluster.node("mars", slow("mars", &here)).await;
    let venus = cluster.node("venus", slow("venus", &there)).await;
    venus.links.connect(mars.links.local_address()).await.expect("a link");
    eventually("mars knows what venus offers", || !mars.links.status().is_empty()).await;
    let by_type: LampRef = mars.node.service("lamp").expect("a name");
    let mut waiting = JoinSet::new();
    for _ in 0..WAITING {
        let lamp = by_type.clone();
        waiting.spawn(async move { lamp.name().await.expect("it is answered") });
        // so that each is in its place when the next one comes
        tokio::task::yield_now().await;
    }
    there.add_permits(1_000);
    let within = Duration::from_millis(100);
    until("mars knows that venus is ready", async || timeout(within, by_name(&mars)).await.is_ok()).await;
    for _ in 0..20 {
        assert_eq!(by_name(&mars).await, r#""venus""#, "it does not wait behind those here");
    }
    let stays = by_type.name().within(within).await;
    assert_eq!(stays, Err(CallError::Unknown(UnknownCause::TimedOut)), "its message could not come back");
    here.add_permits(100);
    assert_eq!(waiting.join_all().await, vec!["mars"; WAITING]);
    assert_eq!(by_type.name().await.expect("it is answered"), "mars", "what is here is nearest");
    assert_eq!(by_name(&mars).await, r#""mars""#);
}

/// Whether ten calls are answered by one node. What waits for an instance to begin again is not waited for.
async fn answers_alike(lamp: &LampRef, name: &str) -> bool {
    for _ in 0..10 {
        if lamp.name().within(Duration::from_millis(100)).await.as_deref() != Ok(name) {
            return false;
        }
    }
    true
}

/// Asks until it is so, with a generous limit.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
    }
}
