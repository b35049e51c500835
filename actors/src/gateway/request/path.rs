//! What a path names.

use super::shortened;
use crate::http::Problem;
use http::StatusCode;
use odeon::core::id::{KEY_MAX, NameError};
use odeon::core::{Retry, ServiceName};
use std::borrow::Cow;

/// Longest name of a method that is looked for, in bytes.
const METHOD_MAX: usize = 255;

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
    /// No method has so long a name.
    #[error("the name of the method has {len} bytes: {METHOD_MAX} at most")]
    MethodTooLong {
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
            Self::Encoding(_)
            | Self::Service(_)
            | Self::MethodTooLong { .. }
            | Self::KeyTooLong { .. }
            | Self::KeyEmpty => Problem::new(StatusCode::BAD_REQUEST, "bad-path", "The path cannot be read"),
        };
        problem.detail(self.to_string()).not_executed(Retry::Never)
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
    pub(in crate::gateway) fn read(
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
        let (key, method) = (key.map(read_key).transpose()?, decode(method)?);
        match method.len() {
            len if len > METHOD_MAX => Err(PathError::MethodTooLong { len }),
            _ => Ok(Self { service, key, method }),
        }
    }
}

/// The service that a segment of a path names.
pub(crate) fn read_service(segment: &str) -> Result<ServiceName, PathError> {
    let text = decode(segment)?;
    let name = match text.split_once(NAMESPACE_SEPARATOR) {
        Some((namespace, name)) => ServiceName::new(namespace, name),
        None => ServiceName::new(ServiceName::DEFAULT_NAMESPACE, &text),
    };
    Ok(name.map_err(|mut error| {
        if let NameError::TooLong { name, .. } = &mut error {
            *name = shortened(name).into_owned();
        }
        error
    })?)
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
pub(crate) fn decode(segment: &str) -> Result<Cow<'_, str>, PathError> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let bad = || PathError::Encoding(shortened(segment).into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(path: &str) -> Result<Target<'_>, PathError> {
        Target::parse(path)
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
    fn what_is_wrong_with_a_long_path_is_told_in_few_words() {
        let long = "m".repeat(60_000);
        for path in [
            format!("/v1/{long}/greet"),
            format!("/v1/greeter/{long}"),
            format!("/v1/counter/%{long}/add"),
            format!("/v1/counter/{long}/add"),
        ] {
            let error = target(&path).expect_err("it is too long").to_string();
            assert!(error.len() < 300, "{error}");
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
        fn a_key_comes_out_as_it_went_in(key in "\\PC{1,60}") {
            let path = format!("/v1/counter/{}/add", encode(&key));
            let target = Target::parse(&path).expect("an encoded key");
            prop_assert_eq!(target.key.as_deref(), Some(key.as_str()));
        }
    }
}
