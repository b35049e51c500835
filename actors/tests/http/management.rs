//! The management interface, from end to end.

use crate::client::{Client, PATIENCE, Seen};
use crate::services::{GreeterRef, gateway};
use http::Method;
use odeon::Node;
use odeon::directory::ServiceKind;
use odeon_actors::gateway::{Gateway, GatewayConfig};
use odeon_actors::management::api::{
    CallEnd, CallResponse, Processes, Readiness, ServiceDetail, Services, Status, StopRequest, Tree,
};
use odeon_actors::management::token::Token;
use odeon_actors::management::{Management, ManagementConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

const SECRET: &str = "a-token-for-the-tests";
const BEARER: &str = "Bearer a-token-for-the-tests";

/// A node with everything, and a connection to its management.
pub(crate) struct Stage {
    pub(crate) node: Node,
    gateway: Gateway,
    management: Management,
    stops: mpsc::UnboundedReceiver<StopRequest>,
    client: Client,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (node, gateway) = gateway(GatewayConfig::default()).await;
        let (asked, stops) = mpsc::unbounded_channel();
        let token = Token::new(SECRET).expect("a token");
        let on_stop = Arc::new(move |request| drop(asked.send(request)));
        let config = ManagementConfig {
            address: ([127, 0, 0, 1], 0).into(),
            resident_bytes: Some(Arc::new(|| Some(12_345))),
            ..ManagementConfig::new(token, on_stop)
        };
        let management = Management::start(&node, Some(&gateway), config).await.expect("a free port");
        let client = Client::to(management.address()).await;
        Self { node, gateway, management, stops, client }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.client.send(Method::GET, path, &[("authorization", BEARER)], "").await
    }

    pub(crate) async fn read<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> T {
        let seen = self.get(path).await;
        assert_eq!(seen.status, 200, "{}", seen.text());
        serde_json::from_slice(&seen.body).unwrap_or_else(|e| panic!("{e}: {}", seen.text()))
    }

    async fn post(&mut self, path: &str, body: &str) -> Seen {
        let headers = [("authorization", BEARER), ("content-type", "application/json")];
        self.client.send(Method::POST, path, &headers, body).await
    }

    async fn call(&mut self, body: &str) -> CallResponse {
        let seen = self.post("/api/v1/call", body).await;
        assert_eq!(seen.status, 200, "{}", seen.text());
        serde_json::from_slice(&seen.body).expect("the api's type")
    }

    async fn greet(&mut self, times: usize) {
        let mut client = Client::to(self.gateway.address()).await;
        for _ in 0..times {
            assert_eq!(client.post("/v1/greeter/greet", r#"{"name":"Ada"}"#).await.status, 200);
        }
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.client.get("/healthz").await.text(), r#"{"alive":true}"#);
    assert_eq!(stage.client.get("/metrics").await.status, 200);
    let seen = loop {
        let seen = stage.client.get("/readyz").await;
        if seen.status == 200 {
            break seen;
        }
        assert_eq!(seen.status, 503);
    };
    assert_eq!(seen.text(), r#"{"ready":true,"waiting_for":[]}"#);
}

#[tokio::test]
async fn everything_else_needs_the_token() {
    let mut stage = Stage::new().await;
    let wrong = [("authorization", "Bearer a-token-for-the-testz")];
    for path in ["/api/v1/status", "/api/v1/openapi.json", "/api/v1/nothing", "/", "/api/v1/call"] {
        for headers in [&[][..], &wrong] {
            let seen = stage.client.send(Method::GET, path, headers, "").await;
            seen.problem(401, "unauthorized");
            assert!(seen.headers["www-authenticate"].to_str().is_ok_and(|v| v.starts_with("Bearer")));
        }
    }
    assert_eq!(stage.get("/api/v1/status").await.status, 200);
    stage.get("/api/v1/nothing").await.problem(404, "unknown-path");
    stage.get("/api/v1/call").await.problem(405, "wrong-verb");
}

#[tokio::test]
async fn a_node_that_stops_is_not_ready_and_says_why() {
    let mut stage = Stage::new().await;
    let greeter: GreeterRef = stage.node.service("greeter").expect("it is there");
    // a drain that does not end
    let hanging = greeter.clone();
    let mut beside = tokio::task::JoinSet::new();
    beside.spawn(async move { drop(hanging.hang().within(PATIENCE * 2).await) });
    while greeter.begun().await.expect("it counts") == 0 {}
    let node = stage.node.clone();
    beside.spawn(async move {
        node.stop(PATIENCE * 2).await;
    });
    while !stage.node.is_stopping() {
        tokio::task::yield_now().await;
    }
    let seen = stage.client.get("/readyz").await;
    assert_eq!(seen.status, 503);
    let readiness: Readiness = serde_json::from_slice(&seen.body).expect("the api's type");
    assert_eq!(readiness.waiting_for[0], "the node is stopping");
}

#[tokio::test]
async fn the_listeners_are_parts_of_the_node() {
    let stage = Stage::new().await;
    let phases = |tree: &odeon::TreeNode| -> Vec<(String, String)> {
        let parts = tree.children.iter().filter(|below| below.name != "services");
        parts.flat_map(|below| &below.children).map(|part| (part.name.clone(), part.phase.clone())).collect()
    };
    let both = |gateway: &str| {
        [("management", "up"), ("gateway", gateway)].map(|(name, phase)| (name.to_owned(), phase.to_owned()))
    };
    assert_eq!(phases(&stage.node.tree(0).await), both("up"));
    stage.gateway.stop(PATIENCE).await;
    let stopped = async {
        while phases(&stage.node.tree(0).await) != both("down") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stopped).await.expect("its end is seen");
    let address = stage.management.address();
    stage.node.stop(PATIENCE).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it ended with the node");
}

#[tokio::test]
async fn the_status_tells_the_node_at_one_look() {
    let mut stage = Stage::new().await;
    stage.greet(3).await;
    let status: Status = stage.read("/api/v1/status").await;
    assert_eq!((status.node.as_str(), status.services, status.executors), ("test", 3, 1));
    assert_eq!(status.resident_bytes, Some(12_345));
    let gateway = status.gateway.expect("it has one");
    assert_eq!((gateway.responses["2xx"], gateway.address), (3, stage.gateway.address().to_string()));
}

#[tokio::test]
async fn a_service_is_shown_with_its_methods_and_schemas() {
    let mut stage = Stage::new().await;
    let services: Services = stage.read("/api/v1/services").await;
    let names: Vec<_> = services.services.iter().map(|s| (s.name.as_str(), s.kind)).collect();
    let expected = [
        ("counter", ServiceKind::Entity),
        ("greeter", ServiceKind::Stateless),
        ("shop/narrow", ServiceKind::Entity),
    ];
    assert_eq!(names, expected);
    let detail: ServiceDetail = stage.read("/api/v1/services/greeter").await;
    assert_eq!((detail.summary.version.as_str(), detail.summary.contract.as_str()), ("1.2", "greeter"));
    let order = detail.methods.iter().find(|m| m.name == "order").expect("it is in the contract");
    assert_eq!((order.path.as_str(), order.about.as_str()), ("/v1/greeter/order", "Adds up."));
    assert!(order.error.is_some() && order.answer.is_some() && !order.exclusive);
    assert!(detail.definitions.contains_key("Line"), "{:?}", detail.definitions.keys());
    let narrow: ServiceDetail = stage.read("/api/v1/services/shop.narrow").await;
    assert_eq!(narrow.methods[0].path, "/v1/shop.narrow/{key}/add");
    stage.get("/api/v1/services/gretter").await.problem(404, "unknown-service");
    stage.get("/api/v1/services/G").await.problem(400, "bad-path");
}

#[tokio::test]
async fn the_tree_and_the_list_of_activations_show_what_runs() {
    let mut stage = Stage::new().await;
    for key in ["ada", "bob", "eve"] {
        let seen = stage.call(&format!(r#"{{"service":"counter","key":"{key}","method":"add"}}"#)).await;
        assert_eq!(seen.outcome, CallEnd::Answered);
    }
    let tree: Tree = stage.read("/api/v1/tree").await;
    assert!(serde_json::to_string(&tree).is_ok_and(|text| text.contains(r#""name":"bob""#)));
    let all: Processes = stage.read("/api/v1/ps?entities=10").await;
    let mut keys: Vec<_> =
        all.cells.iter().filter(|c| c.service == "counter").map(|c| c.cell.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["ada", "bob", "eve"]);
    assert!(all.cells.iter().all(|c| c.phase == "up"), "{all:?}");
    let few: Processes = stage.read("/api/v1/ps?entities=1").await;
    assert_eq!(few.unlisted, 2);
    stage.get("/api/v1/ps?entities=many").await.problem(400, "bad-query");
}

#[tokio::test]
async fn a_call_tells_each_of_its_outcomes() {
    let mut stage = Stage::new().await;
    let text =
        |raw: Option<Box<serde_json::value::RawValue>>| raw.map(|r| r.get().to_owned()).unwrap_or_default();
    let greeted = stage.call(r#"{"service":"greeter","method":"greet","arguments":{"name":"Ada"}}"#).await;
    assert_eq!((greeted.outcome, text(greeted.answer).as_str()), (CallEnd::Answered, r#""Hello, Ada""#));
    let noted = stage.call(r#"{"service":"greeter","method":"note","arguments":{"text":"x"}}"#).await;
    assert_eq!(noted.outcome, CallEnd::Accepted);
    let order = r#"{"service":"greeter","method":"order","arguments":{"wanted":{"lines":[{"price":500}]}}}"#;
    let failed = stage.call(order).await;
    assert_eq!((failed.outcome, text(failed.error).contains("500")), (CallEnd::Failed, true));
    let unknown = stage.call(r#"{"service":"greeter","method":"hang","within_ms":20}"#).await;
    assert_eq!((unknown.outcome, unknown.reason.as_deref()), (CallEnd::Unknown, Some("timed-out")));
    let refused = stage.call(r#"{"service":"greeter","method":"greet","arguments":{"name":1}}"#).await;
    assert_eq!((refused.outcome, refused.path.as_deref()), (CallEnd::NotExecuted, Some("name")));
    let nobody = stage.call(r#"{"service":"gretter","method":"greet"}"#).await;
    assert_eq!(nobody.reason.as_deref(), Some("unknown-service"));
}

#[tokio::test]
async fn a_call_that_cannot_be_read_names_the_field() {
    let mut stage = Stage::new().await;
    let cases = [
        (r#"{"service":"greeter","method":7}"#, "method"),
        (r#"{"service":"Greeter","method":"greet"}"#, "service"),
        (r#"{"service":"greeter","method":"greet","within_ms":0}"#, "within_ms"),
        (r#"{"service":"greeter","method":"greet","within_ms":300001}"#, "within_ms"),
        (r#"{"service":"greeter","method":"greet","criticality":"urgent"}"#, "criticality"),
    ];
    for (body, path) in cases {
        let problem = stage.post("/api/v1/call", body).await.problem(422, "bad-request");
        assert_eq!(problem["path"], path);
    }
    stage.post("/api/v1/call", "{").await.problem(422, "bad-request");
    stage
        .post("/api/v1/call", r#"{"service":"greeter","method":"greet","what":1}"#)
        .await
        .problem(422, "bad-request");
    let large = format!(r#"{{"service":"{}"}}"#, "x".repeat(5 << 20));
    stage.post("/api/v1/call", &large).await.problem(413, "body-too-large");
}

#[tokio::test]
async fn a_stop_is_passed_on() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.post("/api/v1/stop", r#"{"within_ms":1500}"#).await.status, 202);
    assert_eq!(stage.stops.recv().await, Some(StopRequest { within_ms: Some(1500) }));
    assert_eq!(stage.post("/api/v1/stop", "").await.text(), r#"{"stopping":true}"#);
    assert_eq!(stage.stops.recv().await, Some(StopRequest::default()));
}

/// The samples of an OpenMetrics text; panics where it breaks the format's rules.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let mut types = BTreeMap::new();
    let mut samples = BTreeMap::new();
    let body = text.strip_suffix("# EOF\n").expect("it ends with the mark of its end");
    for line in body.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let mut words = about.splitn(3, ' ');
            let (kind, name) = (words.next().expect("a kind"), words.next().expect("a name"));
            if kind == "TYPE" {
                assert!(types.insert(name, words.next().expect("a type")).is_none(), "{name} twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample and its value");
        let name = series.split('{').next().expect("a name");
        let family =
            types.iter().filter(|(family, _)| name.starts_with(**family)).max_by_key(|(f, _)| f.len());
        let (family, kind) = family.unwrap_or_else(|| panic!("{name} has no type"));
        let suffix = &name[family.len()..];
        let fits = match *kind {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            "info" => suffix == "_info",
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            other => panic!("{other}"),
        };
        assert!(fits, "{name} is no {kind}");
        let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(samples.insert(series, value).is_none(), "{series} twice");
    }
    samples
}

#[tokio::test]
async fn the_metrics_are_openmetrics_and_count_what_happened() {
    let mut stage = Stage::new().await;
    stage.greet(5).await;
    assert_eq!(stage.call(r#"{"service":"greeter","method":"great"}"#).await.outcome, CallEnd::NotExecuted);
    let seen = loop {
        let seen = stage.client.get("/metrics").await;
        // cells add to the books in batches
        if seen.text().contains(r#"odeon_service_handled_total{service="greeter"} 5"#) {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    assert!(
        seen.headers["content-type"].to_str().is_ok_and(|t| t.starts_with("application/openmetrics-text"))
    );
    let samples = samples(seen.text());
    assert_eq!(samples[r#"odeon_service_refused_total{service="greeter",reason="unknown-method"}"#], 1.0);
    assert_eq!(samples[r#"odeon_gateway_responses_total{class="2xx"}"#], 5.0);
    assert_eq!(samples["odeon_gateway_response_time_seconds_count"], 5.0);
    assert_eq!(samples[r#"odeon_gateway_response_time_seconds_bucket{le="+Inf"}"#], 5.0);
    assert_eq!(samples["odeon_gateway_connections_accepted_total"], 1.0);
    assert!(samples.contains_key("odeon_gateway_connections"));
    assert_eq!(samples["process_resident_memory_bytes"], 12_345.0);
    assert!(samples.keys().any(|k| k.starts_with(r#"odeon_build_info{node="test""#)), "{samples:?}");
}

/// All references of a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_document_describes_what_is_there_and_refers_to_nothing_that_is_not() {
    let mut stage = Stage::new().await;
    let document: Value = stage.read("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let dump = &document["paths"]["/api/v1/dump"]["get"]["responses"]["200"];
    assert!(dump.to_string().contains("/api.Dump\""), "{dump}");
    let inside = &document["components"]["schemas"];
    assert!(inside.as_object().is_some_and(|all| all.keys().any(|name| name == "api.StuckDump")), "{inside}");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.contains(&"#/components/schemas/api.CallResponse"), "{found:?}");
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
    }
    for (path, item) in document["paths"].as_object().expect("paths") {
        if item["get"].is_object() {
            let seen = stage.get(&path.replace("{name}", "greeter")).await;
            match &**path {
                // this one is in no cluster
                "/api/v1/members" | "/api/v1/cluster" => drop(seen.problem(404, "no-cluster-group")),
                // nobody is its member
                "/api/v1/topics/{name}" => drop(seen.problem(404, "topic-without-members")),
                _ => assert_eq!(seen.status, 200, "{path}"),
            }
        }
    }
    for path in ["/api/v1/drain", "/api/v1/cluster/upgrade"] {
        stage.post(path, "").await.problem(404, "no-cluster-group");
    }
}
