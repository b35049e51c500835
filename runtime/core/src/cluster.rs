//! The identity of a cluster: what its certificates name, and what two clusters of one name differ by.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name that a person gives a cluster, in bytes: with the random part it fits a DNS label.
pub const CLUSTER_NAME_MAX: usize = 46;
/// Hexadecimal digits of the random part.
const RANDOM_DIGITS: usize = 16;

/// A cluster: the name that a person gave it and a random part, `shop-01c4f9e2d83b5a76`. Two clusters that were
/// both called `shop` are two clusters. At most 63 bytes, and a DNS label as it stands (RFC 1123).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(Arc<str>);

/// Why a text is no cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterIdError {
    /// The name cannot be used.
    #[error(
        "{name:?} is no name for a cluster: use a-z, 0-9 and '-', beginning with a letter, not ending with '-', \
         {CLUSTER_NAME_MAX} bytes at most"
    )]
    Name {
        /// The text.
        name: String,
    },
    /// The random part is missing: this is a name, not an id.
    #[error("{text:?} is no cluster id: it ends with '-' and {RANDOM_DIGITS} digits of 0-9a-f")]
    RandomPart {
        /// The text.
        text: String,
    },
}

impl ClusterId {
    /// A new cluster of this name; `random` tells it from others of the name.
    ///
    /// # Errors
    /// [`ClusterIdError::Name`].
    pub fn new(name: &str, random: u64) -> Result<Self, ClusterIdError> {
        let fits = |(i, b): (usize, u8)| b.is_ascii_lowercase() || i > 0 && (b.is_ascii_digit() || b == b'-');
        let long = name.is_empty() || name.len() > CLUSTER_NAME_MAX;
        if long || name.ends_with('-') || !name.bytes().enumerate().all(fits) {
            return Err(ClusterIdError::Name { name: name.into() });
        }
        Ok(Self(format!("{name}-{random:0RANDOM_DIGITS$x}").into()))
    }

    /// All of it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a person gave it.
    pub fn name(&self) -> &str {
        &self.0[..self.0.len() - RANDOM_DIGITS - 1]
    }
}

impl FromStr for ClusterId {
    type Err = ClusterIdError;

    fn from_str(text: &str) -> Result<Self, ClusterIdError> {
        let missing = || ClusterIdError::RandomPart { text: text.into() };
        let (name, digits) = text.rsplit_once('-').ok_or_else(missing)?;
        let lower = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits.len() != RANDOM_DIGITS || !lower {
            return Err(missing());
        }
        Self::new(name, u64::from_str_radix(digits, 16).map_err(|_| missing())?)
    }
}

impl TryFrom<String> for ClusterId {
    type Error = ClusterIdError;

    fn try_from(text: String) -> Result<Self, ClusterIdError> {
        text.parse()
    }
}

impl From<ClusterId> for String {
    fn from(cluster: ClusterId) -> Self {
        cluster.0.to_string()
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_a_dns_label_and_survives_its_text_form() {
        let longest = "x".repeat(CLUSTER_NAME_MAX);
        for (name, random) in [("shop", 7), ("a", u64::MAX), ("shop-eu-1", 0), (&longest, 1)] {
            let cluster = ClusterId::new(name, random).expect("a cluster");
            assert_eq!(cluster.name(), name);
            assert!(cluster.as_str().len() <= 63, "{cluster}");
            assert_eq!(cluster.as_str().parse(), Ok(cluster.clone()));
        }
        assert_eq!(ClusterId::new("shop", 7).map(String::from), Ok("shop-0000000000000007".into()));
    }

    #[test]
    fn what_is_no_dns_label_is_refused() {
        for name in ["", "Shop", "1shop", "-shop", "shop-", "my_shop", "shop.eu", &"x".repeat(47)] {
            assert_eq!(ClusterId::new(name, 1), Err(ClusterIdError::Name { name: name.into() }));
        }
        for text in
            ["shop", "shop-1", "shop-000000000000000G", "shop-000000000000000A", "shop-+00000000000000a"]
        {
            assert_eq!(
                text.parse::<ClusterId>(),
                Err(ClusterIdError::RandomPart { text: text.into() }),
                "{text}"
            );
        }
        assert!("-0000000000000001".parse::<ClusterId>().is_err());
    }
}
