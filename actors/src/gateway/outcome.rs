//! How a call's end looks over HTTP: the one table.
//!
//! | outcome | status |
//! |---|---|
//! | answered | 200, the answer in JSON |
//! | accepted (a cast) | 202, no body |
//! | the handler's own error | what the error says, 400 to 599; 500 if it says something else |
//! | not executed: unknown service or method | 404 |
//! | not executed: wrong address; not JSON | 400 |
//! | not executed: arguments of a wrong type | 422, with the path of the field |
//! | not executed: mailbox full, shed, stopped, restarting, no instance, start failed, unreachable, congested | 503 |
//! | not executed: expired | 504 |
//! | not executed: call cycle, hop limit | 508 |
//! | not executed: wrong contract, no node | 500 |
//! | unknown: timed out | 504 |
//! | unknown: panicked, killed | 500 |
//! | unknown: unanswered, answer undecodable, link lost, the node stopped first | 502 |
//!
//! `Retry-After` goes with whatever says `retry: later`.

use crate::http::{OutcomeKind, Problem, Reply, json, reply};
use bytes::Bytes;
use http::StatusCode;
use odeon::core::{Refusal, UnknownCause};
use odeon::service::reply::{RawFailure, RawOutcome};
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// The response of an outcome, or its problem. `sent` is the body of the request: whether it is JSON at all is only
/// asked when its arguments were refused.
pub(crate) fn render(outcome: RawOutcome, sent: &Bytes) -> Result<Reply, Problem> {
    match outcome {
        RawOutcome::Answered(body) => Ok(json(StatusCode::OK, body)),
        RawOutcome::Accepted => Ok(reply(StatusCode::ACCEPTED, Bytes::new())),
        RawOutcome::Failed(failure) => Err(failed(&failure)),
        RawOutcome::NotExecuted(refusal) => Err(refused(&refusal, sent)),
        RawOutcome::Unknown(cause) => Err(unknown(cause)),
    }
}

fn failed(failure: &RawFailure) -> Problem {
    let status = StatusCode::from_u16(failure.status)
        .ok()
        .filter(|s| s.is_client_error() || s.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Problem::new(status, "failed", "The service answered with its own error")
        .detail(failure.text.as_str())
        .outcome(OutcomeKind::Failed)
        .retry(failure.retry)
        .error(&failure.body)
}

pub(crate) fn refused(refusal: &Refusal, sent: &Bytes) -> Problem {
    let (status, title) = match refusal {
        Refusal::UnknownService { .. } => (StatusCode::NOT_FOUND, "There is no such service"),
        Refusal::UnknownMethod { .. } => (StatusCode::NOT_FOUND, "The service has no such method"),
        Refusal::WrongAddress { .. } => (StatusCode::BAD_REQUEST, "The address does not fit the service"),
        Refusal::Undecodable { problem, .. } if !is_json(sent) => {
            return Problem::new(StatusCode::BAD_REQUEST, "not-json", "The body is not JSON")
                .detail(problem.as_str())
                .not_executed(refusal.retry());
        }
        Refusal::Undecodable { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The arguments do not fit the method")
        }
        Refusal::Unencodable { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "The arguments could not be sent on to another node")
        }
        Refusal::MailboxFull => (StatusCode::SERVICE_UNAVAILABLE, "The receiver's mailbox is full"),
        Refusal::Shed => (StatusCode::SERVICE_UNAVAILABLE, "Dropped in favour of more critical requests"),
        Refusal::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "The receiver has stopped"),
        Refusal::Restarting => (StatusCode::SERVICE_UNAVAILABLE, "The receiver is being restarted"),
        Refusal::Unplaced { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Its node is not known at the moment"),
        Refusal::Moved { .. } => (StatusCode::SERVICE_UNAVAILABLE, "It is at another node"),
        Refusal::NoInstance { .. } => (StatusCode::SERVICE_UNAVAILABLE, "No instance is ready"),
        Refusal::Unreachable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "The receiver's node cannot be reached")
        }
        Refusal::Congested { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too much is under way to the receiver's node")
        }
        Refusal::StartFailed { .. } => (StatusCode::SERVICE_UNAVAILABLE, "The receiver could not start"),
        Refusal::Expired => (StatusCode::GATEWAY_TIMEOUT, "The time was up before the request was begun"),
        Refusal::Cycle { .. } => (StatusCode::LOOP_DETECTED, "The services wait for each other"),
        Refusal::HopLimit { .. } => (StatusCode::LOOP_DETECTED, "The chain of calls is too long"),
        Refusal::WrongContract { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "The service speaks another contract")
        }
        Refusal::NoNode { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "The address is bound to no node"),
    };
    let detail = match refusal {
        // the decoder is handed an empty object, of which the client knows nothing
        Refusal::Undecodable { problem, .. } if sent.is_empty() => {
            let problem = problem.split(" at line ").next().unwrap_or(problem);
            format!("there was no body, but the method has arguments: {problem}")
        }
        _ => refusal.to_string(),
    };
    let problem = Problem::new(status, refusal.name(), title).detail(detail).not_executed(refusal.retry());
    match refusal {
        Refusal::Undecodable { path, problem: said } => problem.path(&field(path, said)),
        _ => problem,
    }
}

/// The field of the arguments that is missing or does not fit. Of one that is missing the decoder's path tells only
/// where it should be, and its text the name.
pub(crate) fn field<'a>(path: &'a str, problem: &'a str) -> Cow<'a, str> {
    let missing = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(name) if path.is_empty() => Cow::Borrowed(name),
        Some(name) => Cow::Owned(format!("{path}.{name}")),
        None => Cow::Borrowed(path),
    }
}

fn unknown(cause: UnknownCause) -> Problem {
    let (status, title) = match cause {
        UnknownCause::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "No answer in time"),
        UnknownCause::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "The handler panicked"),
        UnknownCause::Killed => (StatusCode::INTERNAL_SERVER_ERROR, "The handler was killed"),
        UnknownCause::Unanswered => (StatusCode::BAD_GATEWAY, "The handler gave no answer"),
        UnknownCause::LinkLost => (StatusCode::BAD_GATEWAY, "The receiver's node was lost"),
        UnknownCause::AnswerUndecodable => (StatusCode::BAD_GATEWAY, "The answer could not be read"),
    };
    Problem::new(status, cause.name(), title)
        .detail(format!("{cause}: it may have been executed"))
        .outcome(OutcomeKind::Unknown)
        .retry(odeon::core::Retry::Never)
}

/// The node stops and the call has not ended.
pub(crate) fn cut_off() -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "cut-off", "The node stopped before the answer came")
        .detail("the node's time to stop was up while the request was under way: it may have been executed")
        .outcome(OutcomeKind::Unknown)
        .retry(odeon::core::Retry::Never)
}

fn is_json(sent: &Bytes) -> bool {
    sent.is_empty() || serde_json::from_slice::<IgnoredAny>(sent).is_ok()
}
