//! What the gateway says of requests in logs.

use crate::client::Client;
use crate::services::gateway;
use odeon_actors::gateway::GatewayConfig;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down what the gateway's spans and events say, as plain text.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<String>>);

impl Visit for &Paper {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut paper = self.0.lock().expect("nobody panics here");
        write!(paper, "{field}={value:?} ").expect("a string takes all");
    }
}

impl Subscriber for Paper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("odeon_actors") || metadata.target() == "odeon::access"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut &*self);
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut &*self);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn control_characters_of_a_key_reach_the_handler_but_no_log_line() {
    let paper = Paper::default();
    let _guard = tracing::subscriber::set_default(paper.clone());
    let (_node, gateway) = gateway(GatewayConfig::default()).await;
    let mut client = Client::to(gateway.address()).await;
    let seen = client.post("/v1/counter/ada%0A%1B%5B2Jbob/key", "").await;
    assert_eq!(seen.json(), "ada\n\u{1b}[2Jbob");
    let lines = paper.0.lock().expect("nobody panics here");
    assert!(lines.contains(r#"key="ada\n"#) && lines.contains("%0A"), "{lines}");
    assert!(!lines.contains(char::is_control), "{lines:?}");
}
