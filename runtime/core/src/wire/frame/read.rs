//! Reads heads. Each part is held against its limit before the next is looked at; nothing is allocated.

use super::{Frame, FrameError, number, part};
use crate::trace::{SpanId, TraceContext, TraceId};
use crate::wire::chain::Chain;
use crate::wire::envelope::{
    CallId, Content, Encoding, Failure, Head, Introduction, LargeBody, MethodNumber, ReceiverNumber, Request,
    Sender, ServiceNumber, Target,
};
use crate::wire::layout::{self, flag};
use crate::wire::limits;
use crate::wire::varint::{self, Reader};
use crate::{ActivationId, Criticality};
use std::time::Duration;

#[inline]
pub(super) fn frame(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let reader = &mut Reader::new(bytes);
    let first = part(reader.byte(), "first byte")?;
    if first & layout::RESERVED != 0 {
        return Err(FrameError::ReservedBit);
    }
    let criticality = Criticality::from_level(usize::from(first >> layout::CRITICALITY_AT & 0b11));
    let encoding = encoding(first >> layout::ENCODING_AT & 0b11)?;
    let (content, has_body) = match first & layout::KIND {
        layout::CAST => {
            let request = request(reader)?;
            (Content::Cast(request), request.large.is_none())
        }
        layout::CALL => {
            let call = call(reader)?;
            let request = request(reader)?;
            (Content::Call(call, request), request.large.is_none())
        }
        layout::ANSWER => {
            let call = call(reader)?;
            let large = answer_large(reader)?;
            (Content::Answer { call, large }, large.is_none())
        }
        layout::FAILED => {
            let call = call(reader)?;
            let large = answer_large(reader)?;
            (Content::Failed { call, failure: failure(reader)?, large }, large.is_none())
        }
        layout::NOT_EXECUTED => (Content::NotExecuted { call: call(reader)? }, true),
        layout::UNKNOWN => {
            let call = call(reader)?;
            let code = part(reader.byte(), "cause")?;
            let cause = layout::cause(code).ok_or(FrameError::UnknownCause(code))?;
            (Content::Unknown { call, cause }, false)
        }
        layout::CANCEL => (Content::Cancel { call: call(reader)? }, false),
        // three bits: there is no other kind
        _ => return Ok(Frame { head: Head { criticality, encoding, content: Content::Void }, body: &[] }),
    };
    let body = reader.rest();
    if !has_body && !body.is_empty() {
        return Err(FrameError::Trailing { bytes: body.len() });
    }
    Ok(Frame { head: Head { criticality, encoding, content }, body })
}

/// Where in the bytes of a request its remaining time is, and how many milliseconds; none in other frames.
pub(super) fn remaining(bytes: &[u8]) -> Result<Option<(usize, u64)>, FrameError> {
    let reader = &mut Reader::new(bytes);
    match part(reader.byte(), "first byte")? & layout::KIND {
        layout::CAST => {}
        layout::CALL => drop(call(reader)?),
        _ => return Ok(None),
    }
    let flags = flags(reader)?;
    if flags & flag::DUE == 0 {
        return Ok(None);
    }
    target(reader, flags)?;
    let at = bytes.len() - reader.rest().len();
    Ok(Some((at, number(reader, "remaining time", u32::MAX.into())?)))
}

#[inline]
fn encoding(code: u8) -> Result<Encoding, FrameError> {
    layout::encoding(code).ok_or(FrameError::UnknownEncoding(code))
}

#[inline]
fn call(reader: &mut Reader<'_>) -> Result<CallId, FrameError> {
    number(reader, "call", varint::MAX).map(CallId)
}

#[inline]
fn flags(reader: &mut Reader<'_>) -> Result<u16, FrameError> {
    let flags = u16::from_be_bytes(part(reader.array(), "flags")?);
    if flags & !flag::KNOWN != 0 {
        return Err(FrameError::UnknownFlags(flags & !flag::KNOWN));
    }
    for (bit, name, other, needs) in flag::NEEDS {
        if flags & bit != 0 && flags & other == 0 {
            return Err(FrameError::FlagAlone { flag: name, needs });
        }
    }
    Ok(flags)
}

/// For whom, and what is to be done.
#[inline]
fn target<'a>(reader: &mut Reader<'a>, flags: u16) -> Result<(Target<'a>, MethodNumber), FrameError> {
    let receiver = number(reader, "receiver", (limits::RECEIVERS_MAX - 1).into())?;
    let method = number(reader, "method", u16::MAX.into())?;
    let mut target = Target { receiver: ReceiverNumber(receiver as u32), introduces: None };
    if flags & flag::INTRODUCES != 0 {
        let service = ServiceNumber(number(reader, "service", u32::MAX.into())? as u32);
        let keyed = flags & flag::KEYED != 0;
        let key = if keyed { Some(text(reader, "key", 1, limits::KEY_MAX)?) } else { None };
        let placed = flags & flag::PLACED != 0;
        let epoch = if placed { number(reader, "epoch", varint::MAX)? } else { 0 };
        target.introduces = Some(Introduction { service, key, epoch });
    }
    Ok((target, MethodNumber(method as u16)))
}

#[inline]
fn request<'a>(reader: &mut Reader<'a>) -> Result<Request<'a>, FrameError> {
    let flags = flags(reader)?;
    let has = |flag: u16| flags & flag != 0;
    let (target, method) = target(reader, flags)?;
    let mut request = Request::new(target, method);
    if has(flag::DUE) {
        request.remaining = Some(Duration::from_millis(number(reader, "remaining time", u32::MAX.into())?));
    }
    if has(flag::SENDER) {
        let activation = ActivationId(number(reader, "activation", varint::MAX)?);
        request.sender = Some(Sender { activation, holds: has(flag::HOLDS) });
    }
    if has(flag::REQUEST) {
        request.request = Some(u128::from_be_bytes(part(reader.array(), "request id")?));
    }
    if has(flag::TRACE) {
        request.trace = Some(trace(reader, has(flag::SAMPLED))?);
    }
    if has(flag::TENANT) {
        request.tenant = Some(text(reader, "tenant", 1, limits::LABEL_MAX)?);
    }
    if has(flag::PRINCIPAL) {
        request.principal = Some(text(reader, "principal", 1, limits::LABEL_MAX)?);
    }
    if has(flag::CHAIN) {
        request.chain = Chain::read(reader)?;
    }
    if has(flag::LARGE) {
        request.large = Some(large(reader)?);
    }
    Ok(request)
}

fn trace(reader: &mut Reader<'_>, sampled: bool) -> Result<TraceContext, FrameError> {
    let trace = TraceId(u128::from_be_bytes(part(reader.array(), "trace")?));
    let parent = SpanId(u64::from_be_bytes(part(reader.array(), "trace")?));
    Ok(TraceContext { trace, parent, sampled })
}

fn failure<'a>(reader: &mut Reader<'a>) -> Result<Failure<'a>, FrameError> {
    let status = u16::from_be_bytes(part(reader.array(), "status")?);
    let code = part(reader.byte(), "advice about retries")?;
    let retry = layout::retry(code).ok_or(FrameError::UnknownRetry(code))?;
    let text = text(reader, "text of the failure", 0, limits::FAILURE_TEXT_MAX)?;
    Ok(Failure { status, retry, text })
}

#[inline]
fn answer_large(reader: &mut Reader<'_>) -> Result<Option<LargeBody>, FrameError> {
    match part(reader.byte(), "flags")? {
        0 => Ok(None),
        flag::ANSWER_LARGE => large(reader).map(Some),
        flags => Err(FrameError::UnknownFlags((flags & !flag::ANSWER_LARGE).into())),
    }
}

fn large(reader: &mut Reader<'_>) -> Result<LargeBody, FrameError> {
    let id = number(reader, "large body", varint::MAX)?;
    Ok(LargeBody { id, length: number(reader, "length of the large body", limits::LARGE_MAX)? })
}

fn text<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
    min: usize,
    max: usize,
) -> Result<&'a str, FrameError> {
    let length = part(reader.varint(), what)?;
    let fits = usize::try_from(length).ok().filter(|length| (min..=max).contains(length));
    let fits = fits.ok_or(FrameError::TextLength { part: what, length, min, max })?;
    let bytes = part(reader.take(fits), what)?;
    std::str::from_utf8(bytes).map_err(|_| FrameError::NotText { part: what })
}
