//! The address of a service as it is typed: `greeter`, or `counter#apples` for an entity.

use odeon::core::ServiceName;
use odeon::core::id::NameError;
use odeon_actors::gateway::request::service_segment;
use std::fmt::Write;
use std::str::FromStr;

/// A service, or an entity of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) service: ServiceName,
    pub(crate) key: Option<String>,
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (service, key) = match text.split_once('#') {
            Some((service, key)) => (service, Some(key.to_owned())),
            None => (text, None),
        };
        Ok(Self { service: service.parse()?, key })
    }
}

impl Address {
    /// The path of a method on the gateway.
    pub(crate) fn path(&self, method: &str) -> String {
        let mut path = format!("/v1/{}", service_segment(&self.service));
        for segment in self.key.iter().map(String::as_str).chain([method]) {
            path.push('/');
            push_encoded(&mut path, segment);
        }
        path
    }
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986, section 2.3.
fn push_encoded(path: &mut String, segment: &str) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(byte.into());
        } else {
            write!(path, "%{byte:02X}").expect("a string takes everything");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_path_that_the_gateway_reads_back() {
        let path = |text: &str| text.parse::<Address>().map(|address| address.path("add"));
        assert_eq!(path("greeter"), Ok("/v1/greeter/add".into()));
        assert_eq!(path("shop/cart#a/b c"), Ok("/v1/shop.cart/a%2Fb%20c/add".into()));
        assert_eq!(path("counter#é#1"), Ok("/v1/counter/%C3%A9%231/add".into()));
        assert!(path("Counter").is_err());
    }
}
