//! Which version of the protocol two nodes speak. It is settled once, in the handshake, so no frame carries it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A version of the protocol between nodes; counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The versions that a node speaks: these two and all between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub oldest: Version,
    /// The newest.
    pub newest: Version,
}

impl VersionRange {
    /// What this build speaks.
    pub const SPOKEN: Self = Self { oldest: Version(1), newest: Version(1) };

    /// Whether it speaks this version.
    pub fn contains(self, version: Version) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.oldest, self.newest)
    }
}

/// Two nodes have no version in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no version of the protocol in common: one speaks {ours}, the other {theirs}")]
pub struct NoCommonVersion {
    /// What the one who asks speaks.
    pub ours: VersionRange,
    /// What the other speaks.
    pub theirs: VersionRange,
}

/// The newest version that both speak. Both sides come to the same.
///
/// # Errors
/// [`NoCommonVersion`], also where a range is upside down.
pub fn agree(ours: VersionRange, theirs: VersionRange) -> Result<Version, NoCommonVersion> {
    let newest = ours.newest.min(theirs.newest);
    if ours.contains(newest) && theirs.contains(newest) {
        Ok(newest)
    } else {
        Err(NoCommonVersion { ours, theirs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_on_the_newest_version_that_both_speak() {
        let ranges = || {
            (0..6).flat_map(|oldest| {
                (0..6).map(move |newest| VersionRange { oldest: Version(oldest), newest: Version(newest) })
            })
        };
        for ours in ranges() {
            for theirs in ranges() {
                let common = (0..6).map(Version).filter(|v| ours.contains(*v) && theirs.contains(*v)).max();
                assert_eq!(agree(ours, theirs).ok(), common, "{ours} and {theirs}");
                assert_eq!(agree(theirs, ours).ok(), common, "{theirs} and {ours}");
            }
        }
    }
}
