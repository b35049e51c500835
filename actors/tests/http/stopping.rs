//! How a gateway ends.

use crate::client::{Bare, Client, PATIENCE};
use crate::services::{GreeterRef, gateway};
use odeon::Node;
use odeon_actors::gateway::GatewayConfig;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Waits until a handler that takes its time has begun.
async fn begun(node: &Node) {
    let greeter: GreeterRef = node.service("greeter").expect("it is there");
    let begun = async { while greeter.begun().await.expect("it counts") == 0 {} };
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
    begun(&node).await;
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

#[tokio::test]
async fn a_request_that_does_not_end_in_time_is_cut() {
    let (node, gateway) = gateway(GatewayConfig::default()).await;
    let mut bare = Bare::to(gateway.address()).await;
    bare.say("POST /v1/greeter/hang HTTP/1.1\r\nhost: x\r\nrequest-timeout: 60\r\n\r\n").await;
    begun(&node).await;
    assert_eq!(gateway.stop(Duration::from_millis(20)).await, 1);
    assert_eq!(gateway.books().connections().open(), 0);
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
