//! Who a request is: the id that stays over retries, and its place in a trace.

use super::time::unix_millis;
use http::{HeaderMap, HeaderName, HeaderValue};
use odeon::core::{SpanId, TraceContext, TraceId};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uuid::Uuid;

/// Who a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Stable over retries of the client that names it.
    pub(crate) request: Uuid,
    /// Its trace. The parent is the span of this listener's own work.
    pub(crate) trace: TraceContext,
}

/// Ids that this listener has not given before: UUIDs of version 7 (RFC 9562), told apart by a counter that a
/// seed spreads. Unique, not secret.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    given: AtomicU64,
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn spread(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl RequestIds {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed, given: AtomicU64::new(0) }
    }

    fn next(&self) -> (Uuid, SpanId) {
        let at = self.seed.wrapping_add(self.given.fetch_add(1, Relaxed).wrapping_mul(2));
        let (high, low) = (spread(at), spread(at.wrapping_add(1)));
        let mut random = [0; 10];
        random[..8].copy_from_slice(&low.to_be_bytes());
        random[8..].copy_from_slice(&high.to_be_bytes()[..2]);
        let id = uuid::Builder::from_unix_timestamp_millis(unix_millis(), &random).into_uuid();
        (id, SpanId(high.max(1)))
    }

    /// The identity of a request that named itself or did not. Without a trace one begins here, not sampled, with
    /// the digits of the fresh id.
    pub(crate) fn identify(&self, request: Option<Uuid>, trace: Option<TraceContext>) -> Identity {
        let (fresh, span) = self.next();
        let trace = match trace {
            Some(given) => TraceContext { parent: span, ..given },
            None => TraceContext { trace: TraceId(fresh.as_u128()), parent: span, sampled: false },
        };
        Identity { request: request.unwrap_or(fresh), trace }
    }
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context, level 2, section 4: what a request tells its caller of the trace.
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

impl Identity {
    /// Tells the client.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        let id: &str = self.request.hyphenated().encode_lower(&mut id);
        let trace = trace_text(&self.trace);
        for (name, text) in [(X_REQUEST_ID, id.as_bytes()), (TRACE_RESPONSE, &trace)] {
            if let Ok(value) = HeaderValue::from_bytes(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// `00-trace-span-flags`, without the detour over `fmt`: it is written for each request.
fn trace_text(context: &TraceContext) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut text[3..35], &context.trace.0.to_be_bytes());
    write_hex(&mut text[36..52], &context.parent.0.to_be_bytes());
    text[54] = b'0' + u8::from(context.sampled);
    text
}

fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_of_version_7_and_never_the_same() {
        let ids = RequestIds::seeded(7);
        let given: BTreeSet<Uuid> = (0..10_000).map(|_| ids.identify(None, None).request).collect();
        assert_eq!(given.len(), 10_000);
        assert!(given.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn a_request_that_names_itself_keeps_its_name_and_trace() {
        let given: TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
        let name = Uuid::from_u128(42);
        let identity = RequestIds::seeded(7).identify(Some(name), Some(given));
        assert_eq!(identity.request, name);
        assert_eq!((identity.trace.trace, identity.trace.sampled), (given.trace, true));
        assert_ne!(identity.trace.parent, given.parent);
    }

    #[test]
    fn the_trace_on_the_response_is_what_the_standard_form_says() {
        let identity = RequestIds::seeded(7).identify(None, None);
        assert_eq!(&trace_text(&identity.trace)[..], identity.trace.to_string().as_bytes());
        let mut headers = HeaderMap::new();
        identity.write(&mut headers);
        assert_eq!(headers[X_REQUEST_ID], identity.request.to_string().as_str());
        assert_eq!(headers[TRACE_RESPONSE], identity.trace.to_string().as_str());
    }
}
