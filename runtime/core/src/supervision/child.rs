//! What a supervisor knows of a child: data, so that supervision, fitting and the tree read the same.

use super::Exit;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The name of a child, unique among the children of its supervisor.
pub type ChildName = Arc<str>;

/// Whether a child that ended by itself begins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After a failure; not after an end in order.
    Transient,
    /// Never. When it ends, or is stopped for the sake of another, it is forgotten.
    Temporary,
}

impl Restart {
    /// Whether a child that ended so begins again.
    pub fn follows(self, exit: &Exit) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => !exit.is_normal(),
            Self::Temporary => false,
        }
    }

    /// Its name as printed and configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }
}

/// The specification of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSpec {
    /// What it is called; unique among its siblings.
    pub name: ChildName,
    /// Whether it begins again when it ends by itself.
    pub restart: Restart,
    /// Longest start; then it is killed, and its start counts as failed. `Duration::MAX`: its own affair, which is
    /// right for a supervisor, because its children have limits.
    pub start_within: Duration,
    /// Longest orderly stop; then it is killed. Zero: it is killed at once. `Duration::MAX`: as above.
    pub stop_within: Duration,
}

impl ChildSpec {
    /// Longest start unless said otherwise.
    pub const START_WITHIN: Duration = Duration::from_secs(30);
    /// Longest orderly stop unless said otherwise.
    pub const STOP_WITHIN: Duration = Duration::from_secs(5);

    /// A permanent child with the limits that suit most.
    pub fn permanent(name: &str) -> Self {
        Self {
            name: name.into(),
            restart: Restart::Permanent,
            start_within: Self::START_WITHIN,
            stop_within: Self::STOP_WITHIN,
        }
    }

    /// The same, restarted otherwise.
    #[must_use]
    pub fn restarted(self, restart: Restart) -> Self {
        Self { restart, ..self }
    }

    /// The same, with other limits to its start and its stop.
    #[must_use]
    pub fn within(self, start: Duration, stop: Duration) -> Self {
        Self { start_within: start, stop_within: stop, ..self }
    }

    /// The same without limits of its own: for a child that is a supervisor.
    #[must_use]
    pub fn unlimited(self) -> Self {
        self.within(Duration::MAX, Duration::MAX)
    }
}
