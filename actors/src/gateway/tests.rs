//! What the gateway makes of requests, with services that answer as a test tells them.

use super::request::service_segment;
use super::shard::{Lookup, Shard};
use super::{GatewayConfig, Reading};
use crate::http::{PROBLEM_JSON, Watch};
use bytes::Bytes;
use http::{HeaderMap, Method as Verb, Request, StatusCode};
use http_body_util::Full;
use odeon::core::{Criticality, Refusal, Retry, ServiceName, UnknownCause};
use odeon::directory::{Dynamic, RawCall, RawRequest, ServiceDescription, ServiceKind};
use odeon::service::contract::{ContractVersion, Method, MethodSchema};
use odeon::service::message::Access;
use odeon::service::reply::{RawFailure, RawOutcome};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const GREET: Method = Method {
    name: "greet",
    access: Access::Shared,
    cast: false,
    read: false,
    arguments: &["name"],
    about: "Greets.",
};
const NOTE: Method = Method { name: "note", cast: true, arguments: &[], about: "", ..GREET };

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Arguments {
    name: Name,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Name {
    first: String,
}

/// Answers what it is told and remembers what it was asked.
struct Told {
    description: ServiceDescription,
    outcome: RawOutcome,
    asked: Arc<Mutex<Vec<RawRequest>>>,
}

impl Dynamic for Told {
    fn describe(&self) -> &ServiceDescription {
        &self.description
    }

    fn schema(&self, method: usize, generator: &mut SchemaGenerator) -> MethodSchema {
        MethodSchema {
            arguments: Arguments::json_schema(generator),
            answer: (method == 0).then(|| generator.subschema_for::<Name>()),
            error: (method == 0).then(|| generator.subschema_for::<String>()),
        }
    }

    fn call(&self, request: RawRequest) -> RawCall {
        self.asked.lock().expect("no test panics here").push(request);
        Box::pin(std::future::ready(self.outcome.clone()))
    }
}

struct Services {
    all: Vec<Arc<Told>>,
    is_stale: bool,
}

impl Lookup for Services {
    fn dynamic(&self, name: &ServiceName) -> Option<Arc<dyn Dynamic>> {
        let found = self.all.iter().find(|s| s.description.name == *name)?;
        Some(found.clone())
    }

    fn is_stale(&self) -> bool {
        self.is_stale
    }

    fn all(&self) -> Vec<Arc<dyn Dynamic>> {
        self.all.iter().map(|s| s.clone() as Arc<dyn Dynamic>).collect()
    }
}

/// A gateway to two services that answer with the same outcome.
struct Stage {
    shard: Shard,
    asked: Arc<Mutex<Vec<RawRequest>>>,
}

struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    #[track_caller]
    fn is_problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        assert_eq!(self.headers["content-type"], PROBLEM_JSON);
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:odeon:problem:{name}"));
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }
}

fn stage(outcome: RawOutcome) -> Stage {
    stage_of(outcome, false)
}

fn stage_of(outcome: RawOutcome, is_stale: bool) -> Stage {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let told = |name: &str, kind| {
        let description = ServiceDescription {
            name: name.parse().expect("a name"),
            kind,
            contract: "greeter",
            version: ContractVersion { major: 1, minor: 0 },
            methods: &[GREET, NOTE],
        };
        Arc::new(Told { description, outcome: outcome.clone(), asked: asked.clone() })
    };
    let services = vec![told("greeter", ServiceKind::Stateless), told("shop/cart", ServiceKind::Entity)];
    let lookup: Arc<dyn Lookup> = Arc::new(Services { all: services, is_stale });
    let config = GatewayConfig { body_bytes_max: 100, ..GatewayConfig::default() };
    Stage { shard: Shard::new(&lookup, &config, &Arc::default(), 7), asked }
}

impl Stage {
    async fn send(&self, request: Request<Full<Bytes>>) -> Seen {
        let reply = self.shard.respond(request, &Watch::default()).await;
        let (parts, body) = reply.into_parts();
        Seen { status: parts.status, headers: parts.headers, body }
    }

    async fn ask(&self, verb: Verb, path: &str, headers: &[(&str, &str)], body: &'static str) -> Seen {
        let mut request = Request::builder().method(verb).uri(path).header("host", "a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::from(body)).expect("a request")).await
    }

    async fn post(&self, path: &str, body: &'static str) -> Seen {
        self.ask(Verb::POST, path, &[("content-type", "application/json")], body).await
    }

    fn asked(&self) -> RawRequest {
        self.asked.lock().expect("no test panics here").pop().expect("the service was asked")
    }
}

fn answered() -> RawOutcome {
    RawOutcome::Answered(Bytes::from_static(br#""Hello, Ada""#))
}

#[tokio::test]
async fn an_answer_is_passed_on_as_it_was_encoded() {
    let stage = stage(answered());
    let seen = stage.post("/v1/greeter/greet", r#"{"name":"Ada"}"#).await;
    assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &br#""Hello, Ada""#[..]));
    assert_eq!(seen.headers["content-type"], "application/json");
    let asked = stage.asked();
    assert_eq!(
        (&*asked.method, asked.key, &*asked.arguments.body),
        ("greet", None, &br#"{"name":"Ada"}"#[..])
    );
    assert_eq!(asked.within.as_secs_f32().round(), 5.0);
    let mut reading = Reading::default();
    stage.shard.meter().add_to(&mut reading);
    assert_eq!(reading.classes, [0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn an_answer_without_contact_to_the_cluster_group_says_so() {
    for is_stale in [false, true] {
        let stage = stage_of(answered(), is_stale);
        for path in ["/v1/greeter/greet", "/v1/greeter/unknown", "/v1/nobody/greet"] {
            let seen = stage.post(path, r#"{"name":"Ada"}"#).await;
            let said = seen.headers.get("odeon-stale").and_then(|value| value.to_str().ok());
            assert_eq!(said, is_stale.then_some("members"), "{path}");
        }
    }
}

#[tokio::test]
async fn headers_travel_with_the_call_and_come_back() {
    let stage = stage(answered());
    let id = "018f3b9c-7c1a-7bbf-8a5e-000000000001";
    let headers = [
        ("request-timeout", "500ms"),
        ("odeon-criticality", "high"),
        ("x-request-id", id),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let seen = stage.ask(Verb::POST, "/v1/shop.cart/a%2Fb/greet", &headers, "").await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.headers["x-request-id"], id);
    let trace = seen.headers["traceresponse"].to_str().expect("text");
    assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
    let asked = stage.asked();
    assert_eq!(asked.key.as_deref(), Some("a/b"));
    assert_eq!(asked.criticality, Criticality::High);
    assert_eq!(asked.request.to_string(), id);
    assert!(asked.trace.sampled && asked.trace.to_string() == trace);
    assert!(asked.within <= Duration::from_millis(500) && asked.within > Duration::from_millis(100));
}

#[tokio::test]
async fn a_cast_is_accepted_without_a_body() {
    let seen = stage(RawOutcome::Accepted).post("/v1/greeter/note", "{}").await;
    assert_eq!((seen.status, seen.body.len()), (StatusCode::ACCEPTED, 0));
}

#[tokio::test]
async fn an_error_of_the_handler_keeps_its_status_and_its_own_body() {
    let failure = |status| {
        RawOutcome::Failed(RawFailure {
            body: Bytes::from_static(br#"{"left":3}"#),
            text: "only 3 left".into(),
            status,
            retry: Retry::Later,
        })
    };
    let seen = stage(failure(409)).post("/v1/greeter/greet", "{}").await;
    let problem = seen.is_problem(409, "failed");
    assert_eq!(problem["outcome"], "failed");
    assert_eq!(problem["error"]["left"], 3);
    assert_eq!(problem["detail"], "only 3 left");
    assert_eq!(problem["request"].as_str(), seen.headers["x-request-id"].to_str().ok());
    assert_eq!(problem["trace"].as_str().map(str::len), Some(32));
    assert_eq!(seen.headers["retry-after"], "1");
    stage(failure(200)).post("/v1/greeter/greet", "{}").await.is_problem(500, "failed");
    stage(failure(99)).post("/v1/greeter/greet", "{}").await.is_problem(500, "failed");
}

#[tokio::test]
async fn every_refusal_and_every_unknown_has_its_status() {
    let (s, m) = (String::from("s"), String::from("m"));
    let refusals = [
        (Refusal::MailboxFull, 503, "later"),
        (Refusal::Shed, 503, "later"),
        (Refusal::Expired, 504, "never"),
        (Refusal::Stopped, 503, "elsewhere"),
        (Refusal::Restarting, 503, "later"),
        (Refusal::NoInstance { service: s.clone() }, 503, "later"),
        (Refusal::Unplaced { service: s.clone(), problem: "p".into() }, 503, "later"),
        (Refusal::Moved { service: s.clone() }, 503, "elsewhere"),
        (Refusal::UnknownMethod { service: s.clone(), method: m.clone() }, 404, "never"),
        (Refusal::WrongAddress { service: s.clone(), problem: m.clone() }, 400, "never"),
        (Refusal::Cycle { path: vec![] }, 508, "never"),
        (Refusal::HopLimit { max: 16, path: vec![] }, 508, "never"),
        (Refusal::Unencodable { problem: m.clone() }, 500, "never"),
        (Refusal::StartFailed { problem: m.clone() }, 503, "elsewhere"),
        (Refusal::NoNode { address: m.clone() }, 500, "never"),
        (Refusal::Unreachable { node: m.clone(), problem: m.clone() }, 503, "elsewhere"),
        (Refusal::Congested { node: m.clone() }, 503, "later"),
        (Refusal::WrongContract { service: s, have: m.clone(), want: m }, 500, "never"),
    ];
    for (refusal, status, retry) in refusals {
        let name = refusal.name();
        let seen = stage(RawOutcome::NotExecuted(refusal)).post("/v1/greeter/greet", "{}").await;
        let problem = seen.is_problem(status, name);
        assert_eq!(
            (&problem["outcome"], &problem["retry"]),
            (&"not-executed".into(), &retry.into()),
            "{name}"
        );
        assert_eq!(seen.headers.contains_key("retry-after"), retry == "later", "{name}");
    }
    let unknowns = [
        (UnknownCause::TimedOut, 504),
        (UnknownCause::Panicked, 500),
        (UnknownCause::Killed, 500),
        (UnknownCause::Unanswered, 502),
        (UnknownCause::AnswerUndecodable, 502),
        (UnknownCause::LinkLost, 502),
    ];
    for (cause, status) in unknowns {
        let seen = stage(RawOutcome::Unknown(cause)).post("/v1/greeter/greet", "{}").await;
        assert_eq!(seen.is_problem(status, cause.name())["outcome"], "unknown");
    }
}

#[tokio::test]
async fn arguments_of_a_wrong_type_and_what_is_no_json_are_told_apart() {
    let refusal = Refusal::Undecodable { path: "items[2].price".into(), problem: "expected u32".into() };
    let stage = stage(RawOutcome::NotExecuted(refusal));
    let typed = stage.post("/v1/greeter/greet", r#"{"items":[]}"#).await.is_problem(422, "undecodable");
    assert_eq!(typed["path"], "items[2].price");
    stage.post("/v1/greeter/greet", "{").await.is_problem(400, "not-json");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_the_wrong_verb_405() {
    let stage = stage(answered());
    for path in ["/nothing", "/v1/greeter", "/v1/a/b/c/d"] {
        stage.post(path, "{}").await.is_problem(404, "unknown-path");
    }
    let problem = stage.post("/v1/gretter/greet", "{}").await.is_problem(404, "unknown-service");
    assert_eq!(problem["detail"], "there is no service gretter");
    for verb in [Verb::GET, Verb::PUT, Verb::DELETE, Verb::OPTIONS] {
        let seen = stage.ask(verb, "/v1/greeter/greet", &[], "").await;
        seen.is_problem(405, "wrong-verb");
        assert_eq!(seen.headers["allow"], "POST");
    }
    let seen = stage.post("/openapi.json", "{}").await;
    seen.is_problem(405, "wrong-verb");
    assert_eq!(seen.headers["allow"], "GET, HEAD");
}

#[tokio::test]
async fn a_bad_path_or_header_is_400_and_names_itself() {
    let stage = stage(answered());
    stage.post("/v1/Greeter/greet", "{}").await.is_problem(400, "bad-path");
    stage.post("/v1/shop.cart/%zz/greet", "{}").await.is_problem(400, "bad-path");
    for (name, value) in
        [("request-timeout", "soon"), ("odeon-criticality", "urgent"), ("x-request-id", "42")]
    {
        let seen = stage.ask(Verb::POST, "/v1/greeter/greet", &[(name, value)], "").await;
        let problem = seen.is_problem(400, "bad-header");
        let detail = problem["detail"].as_str().expect("text").to_lowercase();
        assert!(detail.contains(name) && detail.contains(value), "{detail}");
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json_and_fit() {
    let stage = stage(answered());
    let seen = stage.ask(Verb::POST, "/v1/greeter/greet", &[], "{}").await;
    seen.is_problem(415, "not-json-type");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    stage.ask(Verb::POST, "/v1/greeter/greet", &form, "{}").await.is_problem(415, "not-json-type");
    assert_eq!(stage.ask(Verb::POST, "/v1/greeter/greet", &[], "").await.status, StatusCode::OK);
    let large: &'static str = Box::leak(" ".repeat(101).into_boxed_str());
    stage.post("/v1/greeter/greet", large).await.is_problem(413, "body-too-large");
}

#[tokio::test]
async fn the_root_says_what_this_is() {
    let seen = stage(answered()).ask(Verb::GET, "/", &[], "").await;
    assert_eq!((seen.status, &seen.json()["openapi"]), (StatusCode::OK, &"/openapi.json".into()));
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
async fn the_openapi_document_describes_every_method_and_refers_to_nothing_that_is_not_there() {
    let seen = stage(answered()).ask(Verb::GET, "/openapi.json", &[], "").await;
    assert_eq!(seen.status, StatusCode::OK);
    let document = seen.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<_> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    let expected =
        ["/v1/greeter/greet", "/v1/greeter/note", "/v1/shop.cart/{key}/greet", "/v1/shop.cart/{key}/note"];
    assert_eq!(paths, expected);
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.contains(&"#/components/schemas/greeter.Name"), "{found:?}");
    assert!(found.contains(&"#/components/schemas/shop.cart.Name"), "{found:?}");
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
    }
    let keyed = &document["paths"]["/v1/shop.cart/{key}/note"]["post"];
    let parameters = keyed["parameters"].as_array().expect("parameters");
    assert!(parameters.iter().any(|p| p["name"] == "key" && p["in"] == "path" && p["required"] == true));
    assert!(keyed["responses"]["202"].is_object() && keyed["responses"]["default"].is_object());
    let plain = &document["paths"]["/v1/greeter/greet"]["post"];
    assert!(plain["responses"]["200"]["content"]["application/json"]["schema"].is_object());
    assert_eq!((&plain["summary"], &plain["operationId"]), (&"Greets.".into(), &"greeter.greet".into()));
    assert_eq!(service_segment(&"shop/cart".parse().expect("a name")), "shop.cart");
}
