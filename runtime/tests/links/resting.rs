//! A node that has no ready instance of a stateless service: those of others are called.

use super::elsewhere::request;
use super::stage::{Cluster, Linked, eventually};
use odeon::core::supervision::{Backoff, RestartLimits};
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use odeon::service::reply::RawOutcome;
use odeon::{RestartPolicy, ServiceOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

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
