//! How a gateway ends.

use crate::client::{Bare, Client, PATIENCE, raw_problem};
use crate::services::{GreeterRef, gateway};
use odeon::Node;
use odeon_actors::gateway::GatewayConfig;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Waits until so many handlers that take their time have begun.
async fn begun(node: &Node, count: u64) {
    let greeter: GreeterRef = node.service("greeter").expect("it is there");
    let begun = async { while greeter.begun().await.expect("it counts") < count {} };
    tokio::time::timeout(PATIENCE, begun).await.expect("it begins");
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_closes_what_is_idle() {
    let (node, gateway) = gateway(GatewayConfig::default()).await;
    let address = gateway.address();
    let mut idle = Bare::to(address).await;
    idle.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.hear("openapi").await;
    let mut busy = Client::to(address).await;
    assert_eq!(busy.get("/").await.status, 200);
    let mut set = JoinSet::new();
    set.spawn(async move { busy.post("/v1/greeter/slow", r#"{"millis":300}"#).await });
    begun(&node, 1).await;
    tokio::time::timeout(PATIENCE, async {
        let stop = gateway.stop(Duration::from_secs(10));
        let (cut, closed, answered) = tokio::join!(stop, idle.listen(), set.join_next());
        assert_eq!((cut, closed.as_str()), (0, ""));
        let seen = answered.expect("one task").expect("it ends well");
        assert_eq!((seen.status, seen.text()), (200, r#""done""#));
        assert_eq!(seen.headers["connection"], "close");
    })
    .await
    .expect("an orderly end");
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(gateway.stop(Duration::ZERO).await, 0);
}

/// Sends a request whose handler never ends, as one that may take a minute.
async fn hanging(address: SocketAddr) -> Bare {
    let mut bare = Bare::to(address).await;
    bare.say("POST /v1/greeter/hang HTTP/1.1\r\nhost: x\r\nrequest-timeout: 60\r\n\r\n").await;
    bare
}

#[track_caller]
fn is_cut_off(heard: &str) {
    let (status, problem) = raw_problem(heard);
    assert_eq!((status.as_u16(), &problem["type"]), (502, &"urn:odeon:problem:cut-off".into()), "{heard}");
    assert_eq!((&problem["outcome"], &problem["retry"]), (&"unknown".into(), &"never".into()));
    assert!(heard.to_lowercase().contains("connection: close"), "{heard}");
}

#[tokio::test]
async fn requests_that_do_not_end_before_a_stop_are_answered_as_unknown() {
    let (node, gateway) = gateway(GatewayConfig::default()).await;
    let mut callers = [hanging(gateway.address()).await, hanging(gateway.address()).await];
    begun(&node, 2).await;
    assert_eq!(gateway.stop(Duration::from_millis(20)).await, 2);
    for caller in &mut callers {
        is_cut_off(&caller.listen().await);
    }
    assert_eq!(gateway.books().connections().open(), 0);
    assert_eq!(gateway.books().requests().classes, [0, 0, 0, 0, 2]);
}

#[tokio::test]
async fn a_request_that_is_not_complete_at_a_stop_is_answered_as_not_executed() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut head = Bare::to(gateway.address()).await;
    head.say("POST /v1/greeter/gr").await;
    let mut body = Bare::to(gateway.address()).await;
    let half = "content-type: application/json\r\ncontent-length: 14\r\nexpect: 100-continue\r\n\r\n";
    body.say(&format!("POST /v1/greeter/greet HTTP/1.1\r\nhost: x\r\n{half}")).await;
    // it says so when somebody reads the body
    body.hear("100 Continue\r\n\r\n").await;
    let (_, head, body) = tokio::join!(gateway.stop(Duration::from_millis(20)), head.listen(), body.listen());
    for heard in [head, body] {
        let (status, problem) = raw_problem(&heard);
        assert_eq!((status.as_u16(), &problem["type"]), (503, &"urn:odeon:problem:node-stopping".into()));
        assert_eq!((&problem["outcome"], &problem["retry"]), (&"not-executed".into(), &"elsewhere".into()));
    }
}

#[tokio::test]
async fn a_connection_that_never_said_anything_does_not_hold_up_a_stop() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut mute = Bare::to(gateway.address()).await;
    let mut other = Client::to(gateway.address()).await;
    // it came later and is served: the first is, too
    assert_eq!(other.get("/").await.status, 200);
    let (left, heard) = tokio::join!(gateway.stop(PATIENCE / 2), mute.listen());
    assert_eq!((left, heard.as_str()), (0, ""));
}

#[tokio::test]
async fn a_gateway_that_is_dropped_is_gone() {
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let address = gateway.address();
    let mut client = Client::to(address).await;
    assert_eq!(client.get("/").await.status, 200);
    drop(gateway);
    tokio::time::timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it stops listening");
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let (node, first) = gateway(GatewayConfig::default()).await;
    let config = GatewayConfig { address: first.address(), ..GatewayConfig::default() };
    let error = odeon_actors::gateway::Gateway::start(&node, config).await.err().expect("it is taken");
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
}
