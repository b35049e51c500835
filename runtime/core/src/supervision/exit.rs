//! How an activation ended: what a supervisor decides by.

use crate::id::ActivationId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why an activation was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Its supervisor stops it, or the whole node stops.
    Shutdown,
    /// It asked for it itself.
    Own,
    /// An entity was idle for long enough.
    Passivated,
    /// Something it is linked to ended.
    Linked,
}

/// How an activation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "exit")]
pub enum Exit {
    /// In order, as asked.
    #[error("stopped ({reason:?})")]
    Stopped {
        /// Why it was asked to.
        reason: StopReason,
    },
    /// Its constructor failed, or took too long.
    #[error("could not start: {problem}")]
    StartFailed {
        /// What a person should read.
        problem: String,
    },
    /// A handler, a task of it, or its start or stop panicked.
    #[error("panicked in {method}: {text}")]
    Panicked {
        /// The panic's message.
        text: String,
        /// What was running.
        method: String,
    },
    /// It ended by an error of its own, after it had started.
    #[error("failed: {problem}")]
    Failed {
        /// What a person should read.
        problem: String,
    },
    /// Dropped at an await on request, or because its orderly stop took too long.
    #[error("killed")]
    Killed,
    /// A handler ran past its deadline and the grace after it.
    #[error("{method} ran past its deadline and grace")]
    Overran {
        /// The handler.
        method: String,
    },
    /// Something it is linked to ended abnormally.
    #[error("linked {to} ended: {why}")]
    Linked {
        /// The other.
        to: ActivationId,
        /// How that one ended.
        why: String,
    },
    /// The node that it was on is not heard of any more, or has begun anew: how it ended there, or whether it goes on,
    /// is not known. Only what watches it, or is linked to it, is told this.
    #[error("its node {node} is down: {problem}")]
    NodeDown {
        /// Which incarnation of which node.
        node: String,
        /// What was the matter.
        problem: String,
    },
    /// It is not watched: nothing is known of how it ends.
    #[error("it cannot be watched: {problem}")]
    Unwatched {
        /// Why not.
        problem: String,
    },
    /// A supervisor stopped its children because one of them failed too often.
    #[error("gave up after {restarts} restarts within {window:?}: {child} {why}")]
    GaveUp {
        /// The child whose failure was one too many.
        child: String,
        /// Restarts that were answered within the window.
        restarts: u32,
        /// The window.
        window: Duration,
        /// How the child ended.
        why: String,
    },
}

impl Exit {
    /// In order: not a failure.
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }
}
