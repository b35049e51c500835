//! A cluster of two nodes: what one has is called over HTTP through the other.

use crate::client::{Bare, Client, PATIENCE, Seen};
use crate::services::{self, CounterRef};
use http::Method;
use odeon::core::{ClusterId, NodeName};
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use odeon::remote::{Authority, Links, LinksConfig, Transport, Trust};
use odeon::{Node, ServiceOptions};
use odeon_actors::gateway::{Gateway, GatewayConfig};
use odeon_actors::management::api::{CallEnd, CallResponse, Services};
use odeon_actors::management::token::Token;
use odeon_actors::management::{Management, ManagementConfig};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::SystemTime;

/// Waits for its caller to leave.
#[odeon::contract(name = "porter", version = "1.0")]
pub(crate) trait Porter {
    async fn wait(&self, cx: &Cx);
    async fn node(&self, cx: &Cx) -> String;
}

/// Those who have come and those who have left.
#[derive(Clone, Default)]
struct Door {
    node: &'static str,
    came: Arc<AtomicU64>,
    left: Arc<AtomicU64>,
}

#[odeon::service]
impl Porter for Door {
    async fn wait(&self, cx: &Cx) {
        self.came.fetch_add(1, SeqCst);
        cx.cancelled().await;
        self.left.fetch_add(1, SeqCst);
    }

    async fn node(&self, _: &Cx) -> String {
        self.node.into()
    }
}

/// `mars` has the services, `venus` has none and a link to it. HTTP goes to venus.
struct Pair {
    mars: Node,
    venus: Node,
    gateway: Gateway,
    door: Door,
    client: Client,
}

async fn linked(authority: &Authority, name: &str, app: App) -> (Node, Links) {
    let name: NodeName = name.parse().expect("a name");
    let node = services::node_called(name.clone(), app).await;
    let (valid, now) = (Duration::from_secs(3_600), SystemTime::now());
    let credentials = authority.issue(&name, valid, now).expect("credentials");
    let config = LinksConfig {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        advertise: None,
        trust: Trust::new(&credentials, now).expect("they are good"),
        incarnation: 1,
        artifact: None,
        transport: Transport::default(),
    };
    let links = Links::start(&node, config).await.expect("a port is free");
    (node, links)
}

/// Tries until there is something, with a generous limit.
async fn at_last<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            match attempt().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}

impl Pair {
    async fn new() -> Self {
        let id = ClusterId::new("test", 7).expect("a name");
        let authority = Authority::create(&id, Duration::from_secs(3_600), SystemTime::now());
        let authority = authority.expect("an authority");
        let door = Door { node: "mars", ..Door::default() };
        let porter = door.clone();
        // one that waits is killed soon when its node stops
        let stop_within = Duration::from_millis(50);
        let options = ServiceOptions { stop_within, ..ServiceOptions::of(ServiceKind::Stateless) };
        let app = services::app().service_with("porter", options, move || porter.clone());
        let (mars, links) = linked(&authority, "mars", app).await;
        let (venus, own) = linked(&authority, "venus", App::new()).await;
        own.connect(links.local_address()).await.expect("a link");
        at_last("venus is told what there is", async || own.services().first().cloned()).await;
        let config = GatewayConfig { address: (Ipv4Addr::LOCALHOST, 0).into(), ..GatewayConfig::default() };
        let gateway = Gateway::start(&venus, config).await.expect("a free port");
        let client = Client::to(gateway.address()).await;
        Self { mars, venus, gateway, door, client }
    }

    async fn post(&mut self, path: &str, body: &str) -> Seen {
        self.client.post(path, body).await
    }
}

#[tokio::test]
async fn what_another_node_has_is_called_over_http_as_what_the_node_has_itself() {
    let mut pair = Pair::new().await;
    let seen = pair.post("/v1/greeter/greet", r#"{"name":"Ada"}"#).await;
    assert_eq!((seen.status, seen.text()), (200, r#""Hello, Ada""#));
    assert_eq!(seen.headers["content-type"], "application/json");
    let long = "x".repeat(500_000);
    let seen = pair.post("/v1/greeter/greet", &format!(r#"{{"name":"{long}"}}"#)).await;
    assert_eq!((seen.status, seen.body.len()), (200, 500_009));
    let seen = pair.post("/v1/greeter/note", r#"{"text":"milk"}"#).await;
    assert_eq!((seen.status, seen.text()), (202, ""));
    for total in [2, 4] {
        assert_eq!(pair.post("/v1/counter/a%2Fb/add", r#"{"by":2}"#).await.text(), total.to_string());
    }
    let counter: CounterRef = pair.mars.entity("counter", "a/b").expect("a name");
    assert_eq!(counter.add(1).await, Ok(5), "it is the one on mars");
    let problem = pair.post("/v1/greeter/order", r#"{"wanted":{"lines":[{"price":500}]}}"#).await;
    assert_eq!(problem.problem(409, "failed")["error"]["TooMuch"]["total"], 500);
    assert_eq!(problem.headers["retry-after"], "1");
    let wrong = r#"{"wanted":{"lines":[{"price":40},{"price":"two"}]}}"#;
    let problem = pair.post("/v1/greeter/order", wrong).await.problem(422, "undecodable");
    assert_eq!(
        (&problem["path"], &problem["outcome"]),
        (&"wanted.lines[1].price".into(), &"not-executed".into())
    );
    pair.post("/v1/greeter/note", r#"{"text":1}"#).await.problem(422, "undecodable");
    pair.post("/v1/greeter/greet", r#"{"name""#).await.problem(400, "not-json");
    pair.post("/v1/greeter/great", "{}").await.problem(404, "unknown-method");
    pair.post("/v1/gretter/greet", "{}").await.problem(404, "unknown-service");
    pair.post("/v1/counter/add", "{}").await.problem(400, "wrong-address");
    pair.post("/v1/greeter/ada/greet", "{}").await.problem(400, "wrong-address");
    let problem = pair.post("/v1/greeter/boom", "").await.problem(500, "panicked");
    assert_eq!(problem["outcome"], "unknown");
}

#[tokio::test]
async fn what_the_headers_said_goes_along_to_another_node() {
    let mut pair = Pair::new().await;
    let id = "018f3b9c-7c1a-7bbf-8a5e-000000000001";
    let headers = [
        ("odeon-criticality", "critical"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-request-id", id),
        ("request-timeout", "20"),
    ];
    let seen = pair.client.send(Method::POST, "/v1/greeter/mirror", &headers, "").await;
    let told: Vec<String> = serde_json::from_slice(&seen.body).expect("a list");
    assert_eq!(told[..3], ["critical", "4bf92f3577b34da6a3ce929d0e0e4736", id]);
    let millis: u64 = told[3].parse().expect("a number");
    // each of the two nodes rounds up by two ticks of its wheel, a little more than a millisecond each
    assert!((15_000..=20_006).contains(&millis), "{millis}");
}

#[tokio::test]
async fn a_client_that_hangs_up_or_waits_no_longer_is_told_of_on_another_node() {
    let mut pair = Pair::new().await;
    let within = [("request-timeout", "50ms")];
    let seen = pair.client.send(Method::POST, "/v1/porter/wait", &within, "").await;
    assert_eq!(seen.problem(504, "timed-out")["outcome"], "unknown");
    let door = pair.door.clone();
    at_last("the handler learns of it", async || (door.left.load(SeqCst) == 1).then_some(())).await;
    let mut bare = Bare::to(pair.gateway.address()).await;
    bare.say("POST /v1/porter/wait HTTP/1.1\r\nhost: x\r\nrequest-timeout: 60\r\n\r\n").await;
    at_last("the handler runs", async || (door.came.load(SeqCst) == 2).then_some(())).await;
    assert_eq!(door.left.load(SeqCst), 1);
    drop(bare);
    at_last("the handler learns of it", async || (door.left.load(SeqCst) == 2).then_some(())).await;
}

#[tokio::test]
async fn a_node_that_is_gone_is_unreachable_over_http_and_what_it_had_begun_is_unknown() {
    let mut pair = Pair::new().await;
    let address = pair.gateway.address();
    let (door, mars) = (pair.door.clone(), pair.mars.clone());
    let waiting = async {
        let mut client = Client::to(address).await;
        client.send(Method::POST, "/v1/porter/wait", &[("request-timeout", "15")], "").await
    };
    let stopping = async {
        at_last("the handler runs", async || (door.came.load(SeqCst) == 1).then_some(())).await;
        mars.stop(Duration::from_secs(10)).await
    };
    let (seen, killed) = tokio::join!(waiting, stopping);
    assert_eq!(killed, 1, "the handler ended with its node");
    let problem = seen.problem(500, "killed");
    assert_eq!((&problem["outcome"], &problem["retry"]), (&"unknown".into(), &"never".into()));
    let links = Links::of(&pair.venus).expect("it has some");
    at_last("the link is down", async || (!links.status()[0].connected).then_some(())).await;
    let within = [("request-timeout", "50ms")];
    let seen = pair.client.send(Method::POST, "/v1/porter/node", &within, "").await;
    assert_eq!(seen.problem(503, "unreachable")["outcome"], "not-executed");
}

#[tokio::test]
async fn a_service_that_comes_to_the_node_itself_is_called_there_over_http() {
    let mut pair = Pair::new().await;
    assert_eq!(pair.post("/v1/porter/node", "").await.text(), r#""mars""#);
    let here = Door { node: "venus", ..Door::default() };
    let app = App::new().service("porter", move || here.clone());
    pair.venus.add_services(app).await.expect("it is of a new name here");
    assert_eq!(pair.post("/v1/porter/node", "").await.text(), r#""venus""#);
}

#[tokio::test]
async fn an_operator_lists_and_calls_what_other_nodes_have() {
    let pair = Pair::new().await;
    let token = Token::new("a-token-for-the-tests").expect("a token");
    let config = ManagementConfig {
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        ..ManagementConfig::new(token, Arc::new(|_| {}))
    };
    let management = Management::start(&pair.venus, None, config).await.expect("a free port");
    let mut client = Client::to(management.address()).await;
    let headers = [("authorization", "Bearer a-token-for-the-tests"), ("content-type", "application/json")];
    let seen = client.send(Method::GET, "/api/v1/services", &headers[..1], "").await;
    let listed: Services = serde_json::from_slice(&seen.body).expect("a list");
    assert!(listed.services.is_empty(), "venus has none");
    let told: Vec<_> = listed.elsewhere.iter().map(|s| (s.name.as_str(), s.version.as_str())).collect();
    assert_eq!(told, [("counter", "1.0"), ("greeter", "1.2"), ("porter", "1.0"), ("shop/narrow", "1.0")]);
    assert_eq!(
        (&*listed.elsewhere[2].methods, &*listed.elsewhere[2].nodes),
        (&["wait".into(), "node".into()][..], &["mars@1".into()][..])
    );
    let seen = client.send(Method::GET, "/api/v1/services/porter", &headers[..1], "").await;
    let problem = seen.problem(404, "service-elsewhere");
    assert!(
        problem["detail"].as_str().is_some_and(|d| d.contains("mars@1") && d.contains("wait")),
        "{problem}"
    );
    let call = r#"{"service":"counter","key":"a","method":"add","arguments":{"by":2}}"#;
    let seen = client.send(Method::POST, "/api/v1/call", &headers, call).await;
    let response: CallResponse = serde_json::from_slice(&seen.body).expect("an outcome");
    assert_eq!(response.outcome, CallEnd::Answered);
    assert_eq!(response.answer.expect("it answers").get(), "2");
}
