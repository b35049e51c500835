//! How important a request is: chosen at its root, the same along its whole chain.

use serde::{Deserialize, Serialize};

/// The class of a request. It steers mailboxes, shedding, restarts and alerts. Ordered: the most critical is
/// the least value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Criticality {
    /// The business stops without it: a checkout, a life-cycle message. Never shed in favour of another class.
    Critical = 0,
    /// A user waits for it.
    High = 1,
    /// The default.
    #[default]
    Normal = 2,
    /// First to go under overload: a recommendation, a prefetch.
    Sheddable = 3,
}

impl Criticality {
    /// All classes, the most critical first.
    pub const ALL: [Criticality; 4] = [Self::Critical, Self::High, Self::Normal, Self::Sheddable];

    /// Position in [`Criticality::ALL`].
    pub const fn level(self) -> usize {
        self as usize
    }

    /// The class at a position of [`Criticality::ALL`]; positions beyond the last are the last.
    pub const fn from_level(level: usize) -> Self {
        match level {
            0 => Self::Critical,
            1 => Self::High,
            2 => Self::Normal,
            _ => Self::Sheddable,
        }
    }

    /// The name used on the wire and in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Sheddable => "sheddable",
        }
    }
}

impl std::fmt::Display for Criticality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no criticality.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no criticality: expected critical, high, normal or sheddable")]
pub struct ParseCriticalityError(String);

impl std::str::FromStr for Criticality {
    type Err = ParseCriticalityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or_else(|| ParseCriticalityError(text.into()))
    }
}
