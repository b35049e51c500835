//! Reads the path and the headers of a request: pure, for any bytes that a client may send.
//!
//! Paths are `/v1/{service}/{method}` and `/v1/{service}/{key}/{method}`. Each segment is percent-decoded after the
//! path was split. A service in another namespace than `default` is written `namespace.name`, so that no proxy on
//! the way can take the slash of `namespace/name` for a separator.

use crate::http::Problem;
use http::{HeaderMap, HeaderValue, StatusCode};
use odeon::core::id::{KEY_MAX, NameError};
use odeon::core::{Criticality, ServiceName, TraceContext};
use std::borrow::Cow;
use std::time::Duration;
use uuid::Uuid;

/// Longest time that a request may ask for.
pub const WITHIN_MAX: Duration = Duration::from_secs(300);

/// The separator of namespace and name in a path.
const NAMESPACE_SEPARATOR: char = '.';

/// What a path names. `S` is what its first segment was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a, S = ServiceName> {
    /// The service.
    pub service: S,
    /// The key of an entity.
    pub key: Option<Cow<'a, str>>,
    /// The method; any text.
    pub method: Cow<'a, str>,
}

/// Why a path names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is none of the known forms.
    #[error(
        "there is nothing at this path: calls go to /v1/{{service}}/{{method}} or /v1/{{service}}/{{key}}/{{method}}"
    )]
    Unknown,
    /// A percent sign without two hexadecimal digits, or bytes that are no text.
    #[error("the path does not decode: {0:?} is not percent-encoded UTF-8")]
    Encoding(String),
    /// The service cannot have that name.
    #[error("the path names no service: {0}")]
    Service(#[from] NameError),
    /// The key is longer than any entity's.
    #[error("the key has {len} bytes: {KEY_MAX} at most")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The key is empty.
    #[error("the key is empty")]
    KeyEmpty,
}

impl PathError {
    pub(crate) fn problem(&self) -> Problem {
        let problem = match self {
            Self::Unknown => {
                Problem::new(StatusCode::NOT_FOUND, "unknown-path", "There is nothing at this path")
            }
            Self::Encoding(_) | Self::Service(_) | Self::KeyTooLong { .. } | Self::KeyEmpty => {
                Problem::new(StatusCode::BAD_REQUEST, "bad-path", "The path cannot be read")
            }
        };
        problem.detail(self.to_string())
    }
}

impl<'a> Target<'a> {
    /// What a path names.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        Self::read(path, read_service)
    }
}

impl<'a, S> Target<'a, S> {
    /// What a path names, its service read by `service`.
    pub(super) fn read(
        path: &'a str,
        service: impl FnOnce(&'a str) -> Result<S, PathError>,
    ) -> Result<Self, PathError> {
        let mut segments = path.strip_prefix("/v1/").ok_or(PathError::Unknown)?.split('/');
        let (first, second) = (segments.next(), segments.next());
        let (Some(segment), Some(second)) = (first, second) else { return Err(PathError::Unknown) };
        let (key, method) = match (segments.next(), segments.next()) {
            (None, _) => (None, second),
            (Some(third), None) => (Some(second), third),
            (Some(_), Some(_)) => return Err(PathError::Unknown),
        };
        if segment.is_empty() || method.is_empty() {
            return Err(PathError::Unknown);
        }
        let service = service(segment)?;
        Ok(Self { service, key: key.map(read_key).transpose()?, method: decode(method)? })
    }
}

/// The service that a segment of a path names.
pub(crate) fn read_service(segment: &str) -> Result<ServiceName, PathError> {
    let text = decode(segment)?;
    let name = match text.split_once(NAMESPACE_SEPARATOR) {
        Some((namespace, name)) => ServiceName::new(namespace, name),
        None => ServiceName::new(ServiceName::DEFAULT_NAMESPACE, &text),
    };
    Ok(name?)
}

/// The segment that names a service: what [`Target::parse`] reads.
pub fn service_segment(service: &ServiceName) -> String {
    if service.namespace() == ServiceName::DEFAULT_NAMESPACE {
        service.name().into()
    } else {
        format!("{}{NAMESPACE_SEPARATOR}{}", service.namespace(), service.name())
    }
}

fn read_key(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let key = decode(segment)?;
    match key.len() {
        0 => Err(PathError::KeyEmpty),
        len if len > KEY_MAX => Err(PathError::KeyTooLong { len }),
        _ => Ok(key),
    }
}

/// Percent-decoding after RFC 3986, section 2.1.
pub(super) fn decode(segment: &str) -> Result<Cow<'_, str>, PathError> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let bad = || PathError::Encoding(segment.into());
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(bad);
        let (high, low) = (digit()?, digit()?);
        decoded.push((high << 4 | low) as u8);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| bad())
}

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
                "request-timeout" => wishes.within = Some(read("Request-Timeout", value, duration)?),
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
    text.parse().map_err(|e: odeon::core::criticality::ParseCriticalityError| e.to_string())
}

fn request_id(text: &str) -> Result<Uuid, String> {
    let id = Uuid::try_parse(text).map_err(|_| format!("{text:?} is no UUID"))?;
    if id.is_nil() { Err("the nil UUID names no request".into()) } else { Ok(id) }
}

/// A time in seconds, such as `2` or `0.5`, or with a unit, such as `500ms`, `2s` or `1m`: more than nothing,
/// [`WITHIN_MAX`] at most.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = || {
        let max = WITHIN_MAX.as_secs();
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

    fn target(path: &str) -> Result<Target<'_>, PathError> {
        Target::parse(path)
    }

    fn wishes(name: &'static str, value: &str) -> Result<Wishes, HeaderError> {
        let value = HeaderValue::from_str(value).expect("a header value");
        Wishes::read(&HeaderMap::from_iter([(HeaderName::from_static(name), value)]))
    }

    #[test]
    fn a_path_names_a_service_a_method_and_maybe_a_key() {
        let plain = target("/v1/greeter/greet").expect("a call");
        assert_eq!(
            (plain.service.to_string().as_str(), plain.key, &*plain.method),
            ("greeter", None, "greet")
        );
        let keyed = target("/v1/counter/ada/add").expect("a call");
        assert_eq!((keyed.key.as_deref(), &*keyed.method), (Some("ada"), "add"));
    }

    #[test]
    fn a_namespace_is_written_before_a_dot() {
        let named = target("/v1/shop.cart/ada/add").expect("a call");
        assert_eq!(named.service.to_string(), "shop/cart");
        assert_eq!(service_segment(&named.service), "shop.cart");
        let plain = target("/v1/default.greeter/greet").expect("a call");
        assert_eq!(service_segment(&plain.service), "greeter");
        assert!(matches!(target("/v1/shop%2Fcart/add"), Err(PathError::Service(_))));
    }

    #[test]
    fn a_key_may_be_any_text_when_it_is_encoded() {
        let keyed = target("/v1/counter/a%2Fb%20%C3%A9%25/add").expect("a call");
        assert_eq!(keyed.key.as_deref(), Some("a/b é%"));
    }

    #[test]
    fn a_path_that_names_nothing_says_why() {
        for unknown in
            ["", "/", "/v1", "/v1/", "/v1/greeter", "/v1/greeter/", "/v2/a/b", "/v1//b", "/v1/a/b/c/d"]
        {
            assert_eq!(target(unknown), Err(PathError::Unknown), "{unknown}");
        }
        assert_eq!(target("/v1/counter//add"), Err(PathError::KeyEmpty));
        for bad in ["%", "%4", "%zz", "%C3", "%+1"] {
            let path = format!("/v1/counter/{bad}/add");
            assert!(matches!(target(&path), Err(PathError::Encoding(_))), "{bad}");
        }
        let long = format!("/v1/counter/{}/add", "k".repeat(KEY_MAX + 1));
        assert_eq!(target(&long), Err(PathError::KeyTooLong { len: KEY_MAX + 1 }));
        let fits = format!("/v1/counter/{}/add", "k".repeat(KEY_MAX));
        assert!(target(&fits).is_ok());
        assert!(matches!(target("/v1/Greeter/greet"), Err(PathError::Service(_))));
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

    fn encode(text: &str) -> String {
        text.bytes().map(|b| format!("%{b:02X}")).collect()
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "(/v1/)?[ -~é%/]{0,80}") {
            let _ = Target::parse(&path);
        }

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
        fn a_key_comes_out_as_it_went_in(key in "\\PC{1,60}") {
            let path = format!("/v1/counter/{}/add", encode(&key));
            let target = Target::parse(&path).expect("an encoded key");
            prop_assert_eq!(target.key.as_deref(), Some(key.as_str()));
        }

        #[test]
        fn a_time_out_is_more_than_nothing_and_bounded(text in "[0-9.]{1,12}(ms|s|m)?") {
            if let Ok(within) = duration(&text) {
                prop_assert!(!within.is_zero() && within <= WITHIN_MAX);
            }
        }
    }
}
