//! The services that the tests call, and a node that runs them.

use odeon::cell::Bounds;
use odeon::core::{NodeName, Retry};
use odeon::directory::ServiceKind;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig, ServiceOptions};
use odeon_actors::gateway::{Gateway, GatewayConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One line of an order.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Line {
    /// In cents.
    pub(crate) price: u32,
}

/// What is wanted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Wanted {
    /// What is on it.
    pub(crate) lines: Vec<Line>,
}

/// Why there is no receipt.
#[derive(Debug, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub(crate) enum OrderError {
    /// Too expensive.
    #[error("{total} cents are more than {max}")]
    TooMuch {
        /// What it costs.
        total: u32,
        /// What may be spent.
        max: u32,
    },
}

impl ContractError for OrderError {
    fn retry(&self) -> Retry {
        Retry::Later
    }

    fn status(&self) -> u16 {
        409
    }
}

/// A bit of everything.
#[odeon::contract(name = "greeter", version = "1.2")]
pub(crate) trait Greeter {
    /// Greets.
    async fn greet(&self, cx: &Cx, name: String) -> String;
    /// Adds up.
    async fn order(&self, cx: &Cx, wanted: Wanted) -> Result<u32, OrderError>;
    /// Forgets.
    #[cast]
    async fn note(&self, cx: &Cx, text: String);
    /// Never answers.
    async fn hang(&self, cx: &Cx);
    /// Answers when it is told to.
    async fn slow(&self, cx: &Cx, millis: u64) -> String;
    /// How many calls that take their time have begun.
    async fn begun(&self, cx: &Cx) -> u64;
    /// Panics.
    async fn boom(&self, cx: &Cx) -> String;
    /// How it was called.
    async fn mirror(&self, cx: &Cx) -> Vec<String>;
}

/// Does what it is told.
#[derive(Default)]
struct Polite {
    begun: AtomicU64,
}

#[odeon::service]
impl Greeter for Polite {
    async fn greet(&self, _: &Cx, name: String) -> String {
        format!("Hello, {name}")
    }

    async fn order(&self, _: &Cx, wanted: Wanted) -> Result<u32, OrderError> {
        let total = wanted.lines.iter().map(|l| l.price).sum();
        if total > 100 { Err(OrderError::TooMuch { total, max: 100 }) } else { Ok(total) }
    }

    async fn note(&self, _: &Cx, text: String) {
        drop(text);
    }

    async fn hang(&self, _: &Cx) {
        self.begun.fetch_add(1, Relaxed);
        std::future::pending().await
    }

    async fn slow(&self, cx: &Cx, millis: u64) -> String {
        self.begun.fetch_add(1, Relaxed);
        cx.sleep(Duration::from_millis(millis)).await;
        "done".into()
    }

    async fn begun(&self, _: &Cx) -> u64 {
        self.begun.load(Relaxed)
    }

    async fn boom(&self, _: &Cx) -> String {
        panic!("as it was told")
    }

    async fn mirror(&self, cx: &Cx) -> Vec<String> {
        let request = cx.caller().request.map(|r| r.to_string()).unwrap_or_default();
        let within = cx.deadline().unwrap_or_default().as_millis();
        vec![cx.criticality().to_string(), cx.trace().trace.to_string(), request, within.to_string()]
    }
}

/// Counts by key.
#[odeon::contract(name = "counter", version = "1.0")]
pub(crate) trait Counter {
    /// Adds.
    async fn add(&mut self, cx: &Cx, #[serde(default)] by: u64) -> u64;
    /// Which one it is.
    async fn key(&self, cx: &Cx) -> String;
    /// Keeps everybody waiting.
    async fn hold(&mut self, cx: &Cx);
}

#[derive(Default)]
struct Tally(u64);

#[odeon::service]
impl Counter for Tally {
    async fn add(&mut self, _: &Cx, by: u64) -> u64 {
        self.0 += by;
        self.0
    }

    async fn key(&self, cx: &Cx) -> String {
        cx.key().into()
    }

    async fn hold(&mut self, _: &Cx) {
        std::future::pending().await
    }
}

/// A node on the runtime of the test.
pub(crate) async fn node() -> Node {
    node_on(vec![Executor::new(tokio::runtime::Handle::current(), 0)]).await
}

/// A node on these executors.
pub(crate) async fn node_on(executors: Vec<Executor>) -> Node {
    let host = Host { executors, blocking: Arc::new(Inline), seed: 7 };
    let config = NodeConfig::named("test".parse().expect("a name"));
    Node::start(host, config, app()).await.expect("the node starts")
}

/// A node with other services, on the runtime of the test.
pub(crate) async fn node_called(name: NodeName, app: App) -> Node {
    let executors = vec![Executor::new(tokio::runtime::Handle::current(), 0)];
    let host = Host { executors, blocking: Arc::new(Inline), seed: 7 };
    Node::start(host, NodeConfig::named(name), app).await.expect("the node starts")
}

/// All services.
pub(crate) fn app() -> App {
    let narrow = ServiceOptions {
        mailbox: Bounds { count_max: 1, ..Bounds::default() },
        grace: Duration::from_millis(10),
        ..ServiceOptions::of(ServiceKind::Entity)
    };
    App::new().service("greeter", Polite::default).entity("counter", Tally::default).entity_with(
        "shop/narrow",
        narrow,
        Tally::default,
    )
}

/// A gateway of a new node with these settings, on any free port.
pub(crate) async fn gateway(config: GatewayConfig) -> (Node, Gateway) {
    let node = node().await;
    let config = GatewayConfig { address: ([127, 0, 0, 1], 0).into(), ..config };
    let gateway = Gateway::start(&node, config).await.expect("a free port");
    (node, gateway)
}
