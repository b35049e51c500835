//! Trace context after W3C Trace Context, level 1 (`traceparent`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Identifies a request over all its hops; zero means none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TraceId(pub u128);

/// Identifies one piece of work within a trace; zero means none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanId(pub u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What travels with each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that sent this.
    pub parent: SpanId,
    /// Whether spans of this trace are recorded.
    pub sampled: bool,
}

/// Why a `traceparent` was not understood. The standard says: then start a new trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent: expected version-trace-parent-flags in lower-case hexadecimal")]
pub struct ParseTraceError;

fn hex(text: &str, len: usize) -> Result<u128, ParseTraceError> {
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if text.len() != len || !lower {
        return Err(ParseTraceError);
    }
    u128::from_str_radix(text, 16).map_err(|_| ParseTraceError)
}

impl FromStr for TraceContext {
    type Err = ParseTraceError;

    fn from_str(text: &str) -> Result<Self, ParseTraceError> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(ParseTraceError);
        let version = hex(next()?, 2)?;
        let trace = TraceId(hex(next()?, 32)?);
        let parent = SpanId(u64::try_from(hex(next()?, 16)?).map_err(|_| ParseTraceError)?);
        let flags = hex(next()?, 2)?;
        let more = parts.next().is_some();
        if version == 0xff || trace.0 == 0 || parent.0 == 0 || (version == 0 && more) {
            return Err(ParseTraceError);
        }
        Ok(Self { trace, parent, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.parent, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_its_text_form() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context: TraceContext = text.parse().expect("valid");
        assert!(context.sampled);
        assert_eq!(context.to_string(), text);
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é1",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(ParseTraceError), "{bad}");
        }
    }
}
