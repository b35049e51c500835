//! What a request says on the wire: on whose behalf it goes, and which stream its body has.

use super::Sending;
use crate::remote::large::Outgoing;
use crate::service::contract::Encoding;
use crate::service::encode::Awaiting;
use crate::service::message::{Message, Origin};
use crate::service::reply::RawOutcome;
use bytes::Bytes;
use odeon_core::wire::chain::{Chain, Hop, Place};
use odeon_core::wire::envelope::{
    Content, Encoding as WireEncoding, Head, Introduction, LargeBody, ReceiverNumber, Request, Sender,
    Target as WireTarget,
};
use odeon_core::wire::frame::{self, FrameError};
use odeon_core::wire::limits;
use odeon_core::{NodeId, Refusal, TraceId};

/// A request that has been written.
pub(super) struct Written {
    pub(super) awaiting: Option<Box<dyn Awaiting>>,
    /// Its frame and its body, if that has a stream of its own: then nothing was written where it should have been.
    pub(super) apart: Option<Apart>,
}

/// A frame without its body.
pub(super) struct Apart {
    pub(super) frame: Vec<u8>,
    pub(super) large: LargeBody,
    pub(super) body: Bytes,
}

/// Writes the frame of a request behind what is in `out`.
///
/// # Errors
/// It cannot go; whoever waits for the answer has been told.
pub(super) fn write<M: Message>(
    out: &mut Vec<u8>,
    chain: &mut Vec<u8>,
    peer: &NodeId,
    sending: &Sending<'_>,
    (number, is_new): (u32, bool),
    message: M,
) -> Result<Written, Refusal> {
    let target = sending.target;
    let introduces = is_new.then(|| Introduction {
        service: target.service_number(),
        key: target.key.as_deref(),
        epoch: target.epoch,
    });
    let to = WireTarget { receiver: ReceiverNumber(number), introduces };
    let mut request = Request::new(to, sending.method);
    request.remaining = sending.remaining;
    let described = sending.origin.map_or(Ok(()), |origin| describe(&mut request, origin, peer, chain));
    let head = |request, encoding| Head {
        criticality: sending.header.criticality(),
        encoding: wire_encoding(encoding),
        content: match sending.call {
            Some((call, _)) => Content::Call(call, request),
            None => Content::Cast(request),
        },
    };
    let begun = described.and_then(|()| frame::begin(out, &head(request, sending.encoding)));
    let open = match begun {
        Ok(open) => open,
        Err(error) => {
            let refusal = unencodable(&error);
            message.refuse(refusal.clone());
            return Err(refusal);
        }
    };
    let encoded = match message.encode(sending.encoding, out) {
        Ok(encoded) => encoded,
        Err(refusal) => {
            open.abandon(out);
            return Err(refusal);
        }
    };
    let awaiting = encoded.awaiting;
    let finished = if out.len() - open.body() <= limits::INLINE_MAX {
        if encoded.encoding != sending.encoding {
            open.set_encoding(out, wire_encoding(encoded.encoding));
        }
        open.finish(out, limits::FRAME_MAX).map(|_| None)
    } else {
        let body = out.split_off(open.body());
        open.abandon(out);
        apart(sending.large, body, |large| head(Request { large: Some(large), ..request }, encoded.encoding))
            .map(Some)
    };
    match finished {
        Ok(apart) => Ok(Written { awaiting, apart }),
        Err(error) => {
            let refusal = unencodable(&error);
            if let Some(awaiting) = awaiting {
                awaiting.settle(RawOutcome::NotExecuted(refusal.clone()), encoded.encoding);
            }
            Err(refusal)
        }
    }
}

/// The frame of a body that goes apart.
fn apart<'a>(
    large: &Outgoing,
    body: Vec<u8>,
    head: impl FnOnce(LargeBody) -> Head<'a>,
) -> Result<Apart, FrameError> {
    let large = large_body(large, body.len())?;
    Ok(Apart { frame: alone(&head(large))?, large, body: body.into() })
}

/// What a frame says of a body that goes apart.
pub(in crate::remote) fn large_body(large: &Outgoing, length: usize) -> Result<LargeBody, FrameError> {
    let length = length as u64;
    if length > limits::LARGE_MAX {
        return Err(FrameError::TooLong { length, max: limits::LARGE_MAX as usize });
    }
    Ok(LargeBody { id: large.next_id(), length })
}

/// A frame without a body.
pub(in crate::remote) fn alone(head: &Head<'_>) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::with_capacity(64);
    frame::begin(&mut frame, head)?.finish(&mut frame, limits::FRAME_MAX)?;
    Ok(frame)
}

fn unencodable(error: &FrameError) -> Refusal {
    Refusal::Unencodable { problem: error.to_string() }
}

/// On whose behalf a request goes.
fn describe<'a>(
    request: &mut Request<'a>,
    origin: &'a Origin,
    peer: &NodeId,
    buffer: &'a mut Vec<u8>,
) -> Result<(), FrameError> {
    request.sender = origin.activation.map(|activation| Sender { activation, holds: origin.holds });
    request.request = (!origin.request.is_nil()).then(|| origin.request.as_u128());
    // an unsampled trace that is named after its request need not be told
    let named = TraceId(origin.request.as_u128());
    let told = origin.trace != TraceId::default() && (origin.sampled || origin.trace != named);
    request.trace = told.then(|| origin.trace_context());
    request.tenant = origin.tenant.as_deref().filter(|t| !t.is_empty());
    request.principal = origin.principal.as_deref().filter(|p| !p.is_empty());
    if let Some(up) = origin.up.as_deref()
        && request.sender.is_some()
    {
        let mut hops: Vec<Hop<'a>> = up
            .chain()
            .filter_map(|origin| {
                let place = match &origin.node {
                    None => Place::Sender,
                    Some(node) if **node == *peer => Place::Receiver,
                    Some(node) => Place::Third((&**node).into()),
                };
                Some(Hop { place, activation: origin.activation?, holds: origin.holds })
            })
            .collect();
        hops.reverse();
        request.chain = Chain::encode(&hops, buffer)?;
    }
    Ok(())
}

pub(in crate::remote) fn wire_encoding(encoding: Encoding) -> WireEncoding {
    match encoding {
        Encoding::Json => WireEncoding::Json,
        Encoding::Named => WireEncoding::Named,
        Encoding::Compact => WireEncoding::Compact,
    }
}

pub(in crate::remote) fn encoding_of(encoding: WireEncoding) -> Encoding {
    match encoding {
        WireEncoding::Json => Encoding::Json,
        WireEncoding::Named => Encoding::Named,
        WireEncoding::Compact => Encoding::Compact,
    }
}
