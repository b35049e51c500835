//! Spans that the runtime makes: a service with no tracing code yields a trace with parent links.

use super::{Lab, probe, probes};
use odeon::core::TraceContext;
use odeon::directory::RawRequest;
use odeon::prelude::*;
use odeon::service::contract::{Arguments, Encoding};
use odeon::service::reply::RawOutcome;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the fields of each span of the runtime.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").trim_matches('"').into());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "odeon::call"
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let mut spans = self.0.lock().expect("no panic while it is held");
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn the_runtime_makes_spans() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(spans.clone());
    let lab = Lab::default();
    let node = probes(&lab).await;
    lab.open_gate(1);
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a traceparent");
    let arguments = Arguments { body: r#"{"service":"probe","key":"b"}"#.into(), encoding: Encoding::Json };
    let probe_service = node.dynamic(&"probe".parse().expect("a name")).expect("a service");
    let outcome = probe_service
        .call(RawRequest {
            method: "relay".into(),
            key: Some("a".into()),
            arguments,
            within: Duration::from_secs(30),
            criticality: Criticality::Normal,
            trace,
            request: uuid::Uuid::from_u128(1),
            principal: None,
            tenant: None,
        })
        .await;
    assert_eq!(outcome, RawOutcome::Answered(r#""ok""#.into()));
    let spans = spans.0.lock().expect("no panic while it is held").clone();
    let of = |method: &str| spans.iter().find(|s| s["method"] == method).expect("a span");
    let (relay, hold) = (of("relay"), of("hold"));
    assert_eq!((relay["service"].as_str(), relay["key"].as_str()), ("probe", "a"));
    assert_eq!(relay["node"], node.name().as_str());
    assert_eq!(relay["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hold["trace"], relay["trace"]);
    assert_eq!(relay["parent"], "00f067aa0ba902b7");
    assert_eq!(hold["parent"], relay["span"], "the chain has its links");
    assert_eq!(hold["key"], "b");
    drop(probe(&node, "a"));
}
