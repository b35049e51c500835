//! Whom a failure concerns.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which children begin again when one of them must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// That one: the children do not need each other.
    #[default]
    OneForOne,
    /// All: none of them is of use without the others.
    OneForAll,
    /// That one and those started after it, which may depend on it.
    RestForOne,
}

impl Strategy {
    /// The positions, in order of start, of those that begin again when the child at `failed` must; `count` is the
    /// number of children.
    pub fn concerned(self, failed: usize, count: usize) -> Range<usize> {
        match self {
            Self::OneForOne => failed..failed + 1,
            Self::OneForAll => 0..count,
            Self::RestForOne => failed..count,
        }
    }

    /// Whether children may begin again without regard to each other.
    pub fn is_independent(self) -> bool {
        match self {
            Self::OneForOne => true,
            Self::OneForAll | Self::RestForOne => false,
        }
    }

    /// Its name as printed and configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneForOne => "one-for-one",
            Self::OneForAll => "one-for-all",
            Self::RestForOne => "rest-for-one",
        }
    }
}
