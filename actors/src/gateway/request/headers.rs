//! What the headers of a request ask for.

use super::shortened;
use crate::http::Problem;
use http::{HeaderMap, HeaderValue, StatusCode};
use odeon::core::{Criticality, Retry, TraceContext};
use std::time::Duration;
use uuid::Uuid;

/// Longest time that a request may ask for.
pub const WITHIN_MAX: Duration = Duration::from_secs(300);

/// What the headers of a request ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How long the client waits: `Request-Timeout`.
    pub within: Option<Duration>,
    /// The class of the request: `Odeon-Criticality`.
    pub criticality: Criticality,
    /// The trace that it belongs to: `traceparent`.
    pub trace: Option<TraceContext>,
    /// Its id: `X-Request-Id`.
    pub request: Option<Uuid>,
    /// Whether its body says it is JSON.
    pub json: bool,
    /// Whether its body is encoded, compressed for example: `Content-Encoding`.
    pub encoded: bool,
}

/// A header that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {problem}")]
pub struct HeaderError {
    header: &'static str,
    problem: String,
}

impl HeaderError {
    pub(crate) fn problem(&self) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-header", "A header cannot be followed")
            .detail(self.to_string())
            .not_executed(Retry::Never)
    }
}

impl Wishes {
    /// What the headers ask for. A `traceparent` that does not parse begins a new trace, as the standard demands;
    /// the others are refused.
    ///
    /// # Errors
    /// [`HeaderError`] names the header, what was wrong and what was expected.
    pub fn read(headers: &HeaderMap) -> Result<Self, HeaderError> {
        let mut wishes = Self::default();
        // once over the few that are there is cheaper than a look-up for each that might be
        for (name, value) in headers {
            match name.as_str() {
                "content-type" => wishes.json = is_json(value),
                "content-encoding" => wishes.encoded |= !value.as_bytes().eq_ignore_ascii_case(b"identity"),
                "request-timeout" => {
                    let within = read("Request-Timeout", value, duration)?;
                    if wishes.within.replace(within).is_some() {
                        let problem = "it is there more than once".into();
                        return Err(HeaderError { header: "Request-Timeout", problem });
                    }
                }
                "odeon-criticality" => wishes.criticality = read("Odeon-Criticality", value, criticality)?,
                "traceparent" => wishes.trace = value.to_str().ok().and_then(|t| t.parse().ok()),
                "x-request-id" => wishes.request = Some(read("X-Request-Id", value, request_id)?),
                _ => {}
            }
        }
        Ok(wishes)
    }
}

fn read<T>(
    header: &'static str,
    value: &HeaderValue,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, HeaderError> {
    let text = value.to_str().map_err(|_| "printable ASCII was expected".to_string());
    text.and_then(|text| parse(text.trim())).map_err(|problem| HeaderError { header, problem })
}

fn criticality(text: &str) -> Result<Criticality, String> {
    shortened(text).parse().map_err(|e: odeon::core::criticality::ParseCriticalityError| e.to_string())
}

fn request_id(text: &str) -> Result<Uuid, String> {
    let id = Uuid::try_parse(text).map_err(|_| {
        format!("{:?} is no UUID such as 018f3b9c-7c1a-7bbf-8a5e-3d1f0c2b4a69", shortened(text))
    })?;
    if id.is_nil() { Err("the nil UUID names no request".into()) } else { Ok(id) }
}

/// A time in seconds, such as `2` or `0.5`, or with a unit, such as `500ms`, `2s` or `1m`: more than nothing,
/// [`WITHIN_MAX`] at most.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = || {
        let max = WITHIN_MAX.as_secs();
        let text = shortened(text);
        format!("{text:?} is no time: expected seconds such as 2 or 0.5, or 500ms, 2s, 1m; {max} s at most")
    };
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let (number, unit) =
        units.iter().find_map(|(u, f)| Some((text.strip_suffix(u)?, *f))).unwrap_or((text, 1.0));
    // f64 reads more forms than a header should have
    let plain = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: f64 = number.parse().ok().filter(|_| plain).ok_or_else(expected)?;
    let within = Duration::try_from_secs_f64(seconds * unit).map_err(|_| expected())?;
    if within.is_zero() || within > WITHIN_MAX { Err(expected()) } else { Ok(within) }
}

/// `application/json`, with or without parameters.
fn is_json(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let kind = bytes.split(|b| *b == b';').next().unwrap_or(bytes);
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use proptest::prelude::*;

    fn wishes(name: &'static str, value: &str) -> Result<Wishes, HeaderError> {
        let value = HeaderValue::from_str(value).expect("a header value");
        Wishes::read(&HeaderMap::from_iter([(HeaderName::from_static(name), value)]))
    }

    #[test]
    fn a_time_out_is_read_in_every_documented_form() {
        for (text, millis) in [
            ("2", 2_000),
            ("0.5", 500),
            ("500ms", 500),
            ("2s", 2_000),
            ("1m", 60_000),
            (" 1.5s ", 1_500),
            ("300", 300_000),
        ] {
            let within = wishes("request-timeout", text).expect(text).within;
            assert_eq!(within, Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_time_out_that_cannot_be_kept_is_refused() {
        for text in
            ["", "soon", "-1", "0", "0.0", "1e3", "inf", "NaN", "301", "6m", "5h", "ms", ".5", "1.2.3"]
        {
            let error = wishes("request-timeout", text).expect_err(text);
            assert!(error.to_string().starts_with("Request-Timeout: "), "{error}");
        }
    }

    #[test]
    fn two_time_outs_are_none() {
        let name = HeaderName::from_static("request-timeout");
        let mut headers = HeaderMap::new();
        headers.append(&name, HeaderValue::from_static("1"));
        headers.append(&name, HeaderValue::from_static("2"));
        let error = Wishes::read(&headers).expect_err("which one is it?");
        assert_eq!(error.to_string(), "Request-Timeout: it is there more than once");
    }

    #[test]
    fn a_body_that_is_encoded_is_known_by_its_header() {
        for (text, encoded) in
            [("gzip", true), ("identity", false), ("Identity", false), ("identity, br", true)]
        {
            assert_eq!(wishes("content-encoding", text).expect(text).encoded, encoded, "{text}");
        }
    }

    #[test]
    fn a_request_id_is_a_uuid_and_a_class_is_one_of_four() {
        let id = "018f3b9c-7c1a-7bbf-8a5e-000000000001";
        assert_eq!(wishes("x-request-id", id).expect("a UUID").request, id.parse().ok());
        assert!(wishes("x-request-id", "42").is_err());
        assert!(wishes("x-request-id", "00000000-0000-0000-0000-000000000000").is_err());
        let class = wishes("odeon-criticality", "sheddable").expect("a class").criticality;
        assert_eq!(class, Criticality::Sheddable);
        let error = wishes("odeon-criticality", "urgent").expect_err("no class");
        assert!(error.to_string().contains("expected critical, high, normal or sheddable"), "{error}");
    }

    #[test]
    fn a_trace_that_cannot_be_read_is_none() {
        assert_eq!(wishes("traceparent", "nonsense").expect("ignored").trace, None);
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(wishes("traceparent", good).expect("a trace").trace.is_some_and(|t| t.sampled));
    }

    #[test]
    fn json_is_known_with_parameters_and_in_any_case() {
        for text in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
            assert!(wishes("content-type", text).expect(text).json, "{text}");
        }
        for text in ["text/json", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            assert!(!wishes("content-type", text).expect(text).json, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_long_header_is_told_in_few_words() {
        let long = "9".repeat(5_000);
        for name in ["request-timeout", "odeon-criticality", "x-request-id"] {
            let error = wishes(name, &long).expect_err(name).to_string();
            assert!(error.len() < 300 && error.contains("9999"), "{error}");
            assert!(error.contains("such as") || error.contains("expected"), "it says what to do: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(which in 0..5_usize, value in proptest::collection::vec(any::<u8>(), 0..60)) {
            const NAMES: [&str; 5] =
                ["content-type", "request-timeout", "odeon-criticality", "traceparent", "x-request-id"];
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(HeaderName::from_static(NAMES[which]), value)]);
                let _ = Wishes::read(&headers);
            }
        }

        #[test]
        fn a_time_out_is_more_than_nothing_and_bounded(text in "[0-9.]{1,12}(ms|s|m)?") {
            if let Ok(within) = duration(&text) {
                prop_assert!(!within.is_zero() && within <= WITHIN_MAX);
            }
        }
    }
}
