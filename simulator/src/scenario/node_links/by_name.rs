//! Calls another node as the gateway calls what its own node has not: by names and JSON.

use super::program::{NO_ANSWER, Stamp, service_of};
use crate::scenario::linked;
use odeon::Node;
use odeon::core::NodeName;
use odeon::prelude::*;
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
    let request = linked::request("add", Some(key), arguments, within);
    match tally.call(request).await {
        RawOutcome::NotExecuted(refusal) => Err(CallError::NotExecuted(refusal)),
        RawOutcome::Unknown(cause) => Err(CallError::Unknown(cause)),
        RawOutcome::Answered(body) => Ok(serde_json::from_slice(&body).unwrap_or(NO_ANSWER)),
        RawOutcome::Failed(_) | RawOutcome::Accepted => Ok(NO_ANSWER),
    }
}
