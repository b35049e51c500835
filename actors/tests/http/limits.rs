//! Clients that send too much, too slowly, or nonsense.

use crate::client::{Bare, Client, PATIENCE, raw_problem};
use crate::services::gateway;
use odeon_actors::gateway::{Gateway, GatewayConfig};
use odeon_actors::http::ConnectionLimits;
use std::time::Duration;

/// Short times, long enough for a machine that is busy.
fn short() -> ConnectionLimits {
    let time = Duration::from_millis(100);
    ConnectionLimits {
        timeout_idle: time,
        timeout_head: time,
        timeout_body: time,
        timeout_write: time,
        ..ConnectionLimits::default()
    }
}

async fn hasty() -> (odeon::Node, Gateway) {
    gateway(GatewayConfig { connections: short(), ..GatewayConfig::default() }).await
}

const HEAD: &str = "POST /v1/greeter/greet HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_refused_before_it_comes() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say(&format!("{HEAD}content-length: 1048577\r\n\r\n")).await;
    let (status, problem) = raw_problem(&bare.listen().await);
    assert_eq!((status.as_u16(), &problem["type"]), (413, &"urn:odeon:problem:body-too-large".into()));
}

#[tokio::test]
async fn a_chunked_body_that_grows_too_large_is_refused_and_the_client_still_hears_so() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say(&format!("{HEAD}transfer-encoding: chunked\r\n\r\n")).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    bare.insist(chunk.as_bytes(), 3 << 20).await;
    let (status, _) = raw_problem(&bare.listen().await);
    assert_eq!(status.as_u16(), 413);
}

#[tokio::test]
async fn a_large_body_within_the_bound_arrives_whole() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut client = Client::to(gateway.address()).await;
    let name = "n".repeat(1_000_000);
    let seen = client.post("/v1/greeter/greet", &format!(r#"{{"name":"{name}"}}"#)).await;
    assert_eq!((seen.status, seen.body.len()), (200, name.len() + r#""Hello, ""#.len()));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let (_node, gateway) = hasty().await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say(&format!("{HEAD}content-length: 14\r\n\r\n{{\"na")).await;
    let (status, problem) = raw_problem(&bare.listen().await);
    assert_eq!((status.as_u16(), &problem["type"]), (408, &"urn:odeon:problem:body-timeout".into()));
    assert_eq!((&problem["outcome"], &problem["retry"]), (&"not-executed".into(), &"now".into()));
}

#[tokio::test]
async fn a_head_that_does_not_come_is_408() {
    let (_node, gateway) = hasty().await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say("POST /v1/greeter/gr").await;
    let (status, problem) = raw_problem(&bare.listen().await);
    assert_eq!((status.as_u16(), &problem["type"]), (408, &"urn:odeon:problem:head-timeout".into()));
    assert_eq!((&problem["outcome"], &problem["retry"]), (&"not-executed".into(), &"now".into()));
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_without_a_word() {
    let (_node, gateway) = hasty().await;
    assert_eq!(Bare::to(gateway.address()).await.listen().await, "");
    let mut used = Bare::to(gateway.address()).await;
    used.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(used.listen().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_cut() {
    // also within an answer: only one that was taken is followed by the longer wait for the next request
    let connections = ConnectionLimits { timeout_idle: PATIENCE * 2, ..short() };
    let (_node, gateway) = gateway(GatewayConfig { connections, ..GatewayConfig::default() }).await;
    let mut bare = Bare::to(gateway.address()).await;
    let name = "n".repeat(500_000);
    let body = format!(r#"{{"name":"{name}"}}"#);
    let request = format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len());
    // it sends request after request and never reads
    let insist = bare.insist(request.as_bytes(), usize::MAX);
    tokio::time::timeout(PATIENCE, insist).await.expect("it is cut in time");
}

#[tokio::test]
async fn a_slow_handler_is_not_the_clients_fault() {
    let (_node, gateway) = hasty().await;
    let mut client = Client::to(gateway.address()).await;
    let seen = client.post("/v1/greeter/slow", r#"{"millis":400}"#).await;
    assert_eq!((seen.status, seen.text()), (200, r#""done""#));
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_rest_of_the_next_request() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    let body = r#"{"name":"Ada"}"#;
    let request = format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len());
    bare.say(&format!("{request}{request}POST /v1/gree")).await;
    let heard = bare.hear("Hello, Ada").await;
    let more =
        if heard.matches("Hello, Ada").count() < 2 { bare.hear("Hello, Ada").await } else { String::new() };
    assert_eq!((heard + &more).matches("200 OK").count(), 2);
}

#[tokio::test]
async fn what_is_no_http_is_answered_400_and_closed() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say("\u{1}\u{2}\u{3} what?\r\n\r\n").await;
    assert!(bare.listen().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_431() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say("GET / HTTP/1.1\r\nhost: x\r\nx: ").await;
    bare.insist(&[b'y'; 1000], 1 << 20).await;
    assert!(bare.listen().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_head_with_too_many_headers_is_431() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say(&format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200))).await;
    assert!(bare.listen().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_so() {
    let connections = ConnectionLimits { connections_max: 2, ..ConnectionLimits::default() };
    let (_node, gateway) = gateway(GatewayConfig { connections, ..GatewayConfig::default() }).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = Client::to(gateway.address()).await;
        assert_eq!(client.get("/").await.status, 200);
        kept.push(client);
    }
    let (status, problem) = raw_problem(&Bare::to(gateway.address()).await.listen().await);
    assert_eq!((status.as_u16(), &problem["retry"]), (503, &"later".into()));
    let books = gateway.books();
    assert_eq!((books.connections().accepted(), books.connections().refused()), (2, 1));
    assert_eq!(kept[0].get("/").await.status, 200);
    assert_eq!(books.requests().classes, [0, 3, 0, 0, 0]);
}
