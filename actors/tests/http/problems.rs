//! Requests that never reach a handler: each is told what was wrong, that it did not run, and whether to repeat it.

use crate::client::{Bare, Client, raw_problem};
use crate::services::gateway;
use odeon_actors::gateway::GatewayConfig;
use serde_json::Value;

const POST: &str = "POST /v1/greeter/greet HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
const JSON: &str = "content-type: application/json\r\n";

/// What a gateway answers to something that may be no proper request.
async fn told(request: &str) -> (u16, Value) {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say(request).await;
    let (status, problem) = raw_problem(&bare.listen().await);
    (status.as_u16(), problem)
}

#[tokio::test]
async fn whatever_is_refused_before_a_call_says_that_it_did_not_run_and_whether_to_repeat_it() {
    let refused = [
        (format!("{POST}x-request-id: 42\r\n\r\n"), 400, "bad-header"),
        (format!("{POST}request-timeout: 1\r\nrequest-timeout: 2\r\n\r\n"), 400, "bad-header"),
        (format!("{POST}{JSON}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}"), 415, "encoded-body"),
        (POST.replace("greeter", "Greeter") + "\r\n", 400, "bad-path"),
        (format!("{POST}content-length: 2\r\n\r\n{{}}"), 415, "not-json-type"),
        (format!("{POST}{JSON}content-length: 1048577\r\n\r\n"), 413, "body-too-large"),
        (format!("{POST}{JSON}transfer-encoding: chunked\r\n\r\nzz\r\n"), 400, "body-broken"),
        (POST.replace("POST", "GET") + "\r\n", 405, "wrong-verb"),
        (POST.replace("/v1/", "/v2/") + "\r\n", 404, "unknown-path"),
        (POST.replace("host: x\r\n", "") + "\r\n", 400, "bad-host"),
        (format!("{POST}host: x\r\n\r\n"), 400, "bad-host"),
    ];
    for (request, status, name) in refused {
        let (told, problem) = told(&request).await;
        assert_eq!(
            (told, &problem["type"]),
            (status, &format!("urn:odeon:problem:{name}").into()),
            "{problem}"
        );
        assert_eq!(
            (&problem["outcome"], &problem["retry"]),
            (&"not-executed".into(), &"never".into()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_says_what_was_wrong_with_it() {
    let (_, problem) = told(&format!("{POST}{JSON}transfer-encoding: chunked\r\n\r\nzz\r\n")).await;
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("chunk size"), "{detail}");
}

#[tokio::test]
async fn a_header_that_is_wrong_is_not_told_back_whole() {
    let long = "x".repeat(5_000);
    let (status, problem) = told(&format!("{POST}x-request-id: {long}\r\n\r\n")).await;
    assert_eq!(status, 400);
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.len() < 300 && detail.contains("xxx") && detail.contains("such as"), "{detail}");
}

#[tokio::test]
async fn a_head_that_came_at_once_keeps_its_bound_and_is_told_so() {
    let filler = "y".repeat(66_000);
    let (status, problem) = told(&format!("{POST}x: {filler}\r\n\r\n")).await;
    assert_eq!((status, &problem["type"]), (431, &"urn:odeon:problem:head-too-large".into()));
    assert_eq!((&problem["outcome"], &problem["retry"]), (&"not-executed".into(), &"never".into()));
}

#[tokio::test]
async fn a_field_that_is_missing_is_named_and_so_is_a_body_that_is_missing() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut client = Client::to(gateway.address()).await;
    let missing = client.post("/v1/greeter/greet", "{}").await.problem(422, "undecodable");
    assert_eq!(missing["path"], "name");
    let deep = r#"{"wanted":{"lines":[{"price":40},{}]}}"#;
    let missing = client.post("/v1/greeter/order", deep).await.problem(422, "undecodable");
    assert_eq!(missing["path"], "wanted.lines[1].price");
    let empty = client.post("/v1/greeter/greet", "").await.problem(422, "undecodable");
    assert_eq!(empty["path"], "name");
    assert_eq!(empty["detail"], "there was no body, but the method has arguments: missing field `name`");
}
