//! Calls another node as the gateway calls what its own node has not: by names and JSON.

use super::program::{NO_ANSWER, Stamp, service_of};
use odeon::Node;
use odeon::core::{NodeName, TraceContext};
use odeon::directory::RawRequest;
use odeon::prelude::*;
use odeon::service::contract::{Arguments, Encoding};
use odeon::service::reply::RawOutcome;

/// Calls `add` of an entity on another node.
pub(super) async fn add(
    from: &Node,
    to: &NodeName,
    key: &str,
    stamp: Stamp,
    within: Duration,
) -> Result<u64, CallError> {
    let service = service_of(to);
    let name = service.parse().expect("it is one");
    let Some(tally) = from.elsewhere(&name) else {
        return Err(CallError::NotExecuted(Refusal::UnknownService { service }));
    };
    let arguments = serde_json::json!({ "stamp": stamp }).to_string();
    let request = RawRequest {
        method: "add".into(),
        key: Some(key.into()),
        arguments: Arguments { body: arguments.into(), encoding: Encoding::Json },
        within,
        criticality: Criticality::Normal,
        trace: TraceContext::default(),
        request: Default::default(),
        principal: None,
        tenant: None,
    };
    match tally.call(request).await {
        RawOutcome::NotExecuted(refusal) => Err(CallError::NotExecuted(refusal)),
        RawOutcome::Unknown(cause) => Err(CallError::Unknown(cause)),
        RawOutcome::Answered(body) => Ok(serde_json::from_slice(&body).unwrap_or(NO_ANSWER)),
        RawOutcome::Failed(_) | RawOutcome::Accepted => Ok(NO_ANSWER),
    }
}
