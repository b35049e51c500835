//! Names and identities. Each is a type of its own, so that one cannot be taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest part of a name, in bytes: it must fit a gossip digest and a label.
pub const NAME_MAX: usize = 63;
/// Longest node name, in bytes: a gossip digest carries one for each node.
pub const NODE_NAME_MAX: usize = 16;
/// Longest entity key, in bytes.
pub const KEY_MAX: usize = 512;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than allowed.
    #[error("{name:?} has {len} bytes: a {what} has {max} at most")]
    TooLong {
        /// The text.
        name: String,
        /// Its length in bytes.
        len: usize,
        /// What it was to name.
        what: &'static str,
        /// The most bytes allowed.
        max: usize,
    },
    /// A character that does not belong.
    #[error(
        "{name:?}: {character:?} at position {at} is not allowed; use a-z, 0-9, '-' and '_', beginning with a letter"
    )]
    Character {
        /// The text.
        name: String,
        /// The first bad character.
        character: char,
        /// Its position in characters, from 1.
        at: usize,
    },
}

fn check_part(name: &str, what: &'static str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > max {
        return Err(NameError::TooLong { name: name.into(), len: name.len(), what, max });
    }
    for (i, c) in name.chars().enumerate() {
        let fits = c.is_ascii_lowercase() || (i > 0 && (c.is_ascii_digit() || c == '-' || c == '_'));
        if !fits {
            return Err(NameError::Character { name: name.into(), character: c, at: i + 1 });
        }
    }
    Ok(())
}

/// `namespace/name` of a service; `default/` is implied and not printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl ServiceName {
    /// The namespace that is implied.
    pub const DEFAULT_NAMESPACE: &'static str = "default";

    /// A name in a namespace.
    ///
    /// # Errors
    /// [`NameError`] when either part is empty, too long or has a character that does not belong.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NameError> {
        check_part(namespace, "namespace", NAME_MAX)?;
        check_part(name, "service name", NAME_MAX)?;
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    /// The part before the slash.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The part behind the slash.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new(Self::DEFAULT_NAMESPACE, text),
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.namespace == Self::DEFAULT_NAMESPACE {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a node, unique in its cluster; at most [`NODE_NAME_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is a name, without making one of it.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long or has a character that does not belong.
    pub fn check(text: &str) -> Result<(), NameError> {
        check_part(text, "node name", NODE_NAME_MAX)
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0.to_string()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A node as it is from one start to the next: what was meant for an earlier incarnation is not for a later one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId {
    /// Its name, which it keeps.
    pub name: NodeName,
    /// Grows with each start, and each time the node was removed while alive. Written to disk before it is used.
    pub incarnation: u64,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.incarnation)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A cell of a node: counted from 1, never used twice within an incarnation of the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActivationId(pub u64);

impl fmt::Display for ActivationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for ActivationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_namespace_is_implied_and_not_printed() {
        let short: ServiceName = "greeter".parse().expect("a name");
        let long: ServiceName = "default/greeter".parse().expect("a name");
        assert_eq!(short, long);
        assert_eq!(long.to_string(), "greeter");
        let other: ServiceName = "shop/cart".parse().expect("a name");
        assert_eq!(other.to_string(), "shop/cart");
    }

    #[test]
    fn a_bad_name_is_refused_with_the_place_of_the_fault() {
        let error = "Greeter".parse::<ServiceName>().expect_err("a capital");
        assert!(error.to_string().contains("'G' at position 1"), "{error}");
        assert_eq!("".parse::<ServiceName>(), Err(NameError::Empty));
        assert_eq!("a/".parse::<ServiceName>(), Err(NameError::Empty));
        assert!("a/b/c".parse::<ServiceName>().is_err());
        assert!(matches!("x".repeat(17).parse::<NodeName>(), Err(NameError::TooLong { max: 16, .. })));
    }

    #[test]
    fn a_name_survives_its_text_form() {
        let name: ServiceName = "shop/cart-2_b".parse().expect("a name");
        assert_eq!(String::from(name.clone()).parse::<ServiceName>(), Ok(name));
    }
}
