//! Writes heads. What the reader would refuse is refused here too.

use super::{FrameError, put_number};
use crate::outcome::UnknownCause;
use crate::trace::TraceContext;
use crate::wire::envelope::{CallId, Content, Encoding, Failure, Head, LargeBody, Request};
use crate::wire::layout::{self, flag};
use crate::wire::limits;
use crate::{ActivationId, Criticality};
use std::time::Duration;

/// Whether a frame with this head cannot have a body.
pub(super) fn is_bodiless(head: &Head<'_>) -> bool {
    match &head.content {
        Content::Cast(request) | Content::Call(_, request) => request.large.is_some(),
        Content::Answer { large, .. } | Content::Failed { large, .. } => large.is_some(),
        Content::NotExecuted { .. } => false,
        Content::Unknown { .. } | Content::Cancel { .. } | Content::Void => true,
    }
}

#[inline]
pub(super) fn head(out: &mut Vec<u8>, head: &Head<'_>) -> Result<(), FrameError> {
    let first = |kind| first(kind, head.criticality, head.encoding);
    match &head.content {
        Content::Cast(request) => {
            out.push(first(layout::CAST));
            put_request(out, request)
        }
        Content::Call(call, request) => {
            out.push(first(layout::CALL));
            put_call(out, *call)?;
            put_request(out, request)
        }
        Content::Answer { call, large } => {
            out.push(first(layout::ANSWER));
            put_call(out, *call)?;
            put_answer_large(out, *large)
        }
        Content::Failed { call, failure, large } => {
            out.push(first(layout::FAILED));
            put_call(out, *call)?;
            put_answer_large(out, *large)?;
            put_failure(out, failure)
        }
        Content::NotExecuted { call } => {
            out.push(first(layout::NOT_EXECUTED));
            put_call(out, *call)
        }
        Content::Unknown { call, cause } => {
            out.push(first(layout::UNKNOWN));
            put_call(out, *call)?;
            put_cause(out, *cause);
            Ok(())
        }
        Content::Cancel { call } => {
            out.push(first(layout::CANCEL));
            put_call(out, *call)
        }
        Content::Void => {
            out.push(first(layout::VOID));
            Ok(())
        }
    }
}

#[inline]
fn first(kind: u8, criticality: Criticality, encoding: Encoding) -> u8 {
    kind | (criticality as u8) << layout::CRITICALITY_AT | (encoding as u8) << layout::ENCODING_AT
}

fn flags(request: &Request<'_>) -> u16 {
    let when = |set: bool, flag: u16| if set { flag } else { 0 };
    let introduces = &request.target.introduces;
    when(introduces.is_some(), flag::INTRODUCES)
        | when(introduces.is_some_and(|i| i.key.is_some()), flag::KEYED)
        | when(introduces.is_some_and(|i| i.epoch > 0), flag::PLACED)
        | when(request.remaining.is_some(), flag::DUE)
        | when(request.sender.is_some(), flag::SENDER)
        | when(request.sender.is_some_and(|s| s.holds), flag::HOLDS)
        | when(request.request.is_some(), flag::REQUEST)
        | when(request.trace.is_some(), flag::TRACE)
        | when(request.trace.is_some_and(|t| t.sampled), flag::SAMPLED)
        | when(request.tenant.is_some(), flag::TENANT)
        | when(request.principal.is_some(), flag::PRINCIPAL)
        | when(!request.chain.is_empty(), flag::CHAIN)
        | when(request.large.is_some(), flag::LARGE)
}

#[inline]
fn put_request(out: &mut Vec<u8>, request: &Request<'_>) -> Result<(), FrameError> {
    out.extend_from_slice(&flags(request).to_be_bytes());
    put_below(out, "receiver", request.target.receiver.0.into(), (limits::RECEIVERS_MAX - 1).into())?;
    put_number(out, "method", request.method.0.into())?;
    if let Some(introduction) = &request.target.introduces {
        put_number(out, "service", introduction.service.0.into())?;
        if let Some(key) = introduction.key {
            put_text(out, "key", key, 1, limits::KEY_MAX)?;
        }
        if introduction.epoch > 0 {
            put_number(out, "epoch", introduction.epoch)?;
        }
    }
    if let Some(remaining) = request.remaining {
        put_number(out, "remaining time", millis(remaining))?;
    }
    if let Some(sender) = &request.sender {
        put_activation(out, sender.activation)?;
    }
    if let Some(id) = request.request {
        out.extend_from_slice(&id.to_be_bytes());
    }
    if let Some(trace) = &request.trace {
        put_trace(out, trace);
    }
    if let Some(tenant) = request.tenant {
        put_text(out, "tenant", tenant, 1, limits::LABEL_MAX)?;
    }
    if let Some(principal) = request.principal {
        put_text(out, "principal", principal, 1, limits::LABEL_MAX)?;
    }
    if !request.chain.is_empty() {
        if request.sender.is_none() {
            return Err(FrameError::FlagAlone { flag: "chain", needs: "sender" });
        }
        request.chain.put(out);
    }
    match request.large {
        Some(large) => put_large(out, large),
        None => Ok(()),
    }
}

/// Whole milliseconds, rounded down so that no hop adds to what is left; as many as four bytes can count.
fn millis(remaining: Duration) -> u64 {
    let millis = remaining.as_secs().saturating_mul(1000).saturating_add(remaining.subsec_millis().into());
    millis.min(u32::MAX.into())
}

fn put_call(out: &mut Vec<u8>, call: CallId) -> Result<(), FrameError> {
    put_number(out, "call", call.0)
}

fn put_activation(out: &mut Vec<u8>, activation: ActivationId) -> Result<(), FrameError> {
    put_number(out, "activation", activation.0)
}

fn put_trace(out: &mut Vec<u8>, trace: &TraceContext) {
    out.extend_from_slice(&trace.trace.0.to_be_bytes());
    out.extend_from_slice(&trace.parent.0.to_be_bytes());
}

fn put_cause(out: &mut Vec<u8>, cause: UnknownCause) {
    out.push(layout::cause_code(cause));
}

fn put_failure(out: &mut Vec<u8>, failure: &Failure<'_>) -> Result<(), FrameError> {
    out.extend_from_slice(&failure.status.to_be_bytes());
    out.push(layout::retry_code(failure.retry));
    put_text(out, "text of the failure", failure.text, 0, limits::FAILURE_TEXT_MAX)
}

fn put_answer_large(out: &mut Vec<u8>, large: Option<LargeBody>) -> Result<(), FrameError> {
    match large {
        None => {
            out.push(0);
            Ok(())
        }
        Some(large) => {
            out.push(flag::ANSWER_LARGE);
            put_large(out, large)
        }
    }
}

fn put_large(out: &mut Vec<u8>, large: LargeBody) -> Result<(), FrameError> {
    put_number(out, "large body", large.id)?;
    put_below(out, "length of the large body", large.length, limits::LARGE_MAX)
}

#[inline]
fn put_below(out: &mut Vec<u8>, part: &'static str, value: u64, max: u64) -> Result<(), FrameError> {
    if value > max {
        return Err(FrameError::OutOfRange { part, value, max });
    }
    put_number(out, part, value)
}

fn put_text(
    out: &mut Vec<u8>,
    part: &'static str,
    text: &str,
    min: usize,
    max: usize,
) -> Result<(), FrameError> {
    let length = text.len() as u64;
    if !(min..=max).contains(&text.len()) {
        return Err(FrameError::TextLength { part, length, min, max });
    }
    put_number(out, part, length)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
