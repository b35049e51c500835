//! Addresses to listen on, as they are typed.

use serde::{Deserialize, Deserializer, de};
use std::net::SocketAddr;

/// The text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address to listen on: expected IP:PORT, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080; port 0 \
     picks a free one, and names are not looked up"
)]
pub(crate) struct ListenError(String);

/// Reads one.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, ListenError> {
    text.parse().map_err(|_| ListenError(text.into()))
}

/// For `#[serde(deserialize_with)]` on an optional one.
pub(super) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse(&text).map_err(de::Error::custom)).transpose()
}
