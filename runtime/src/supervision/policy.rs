//! What a service's author decides about failures of its activations.

use odeon_core::supervision::{Backoff, RestartLimits};
use std::time::Duration;

/// What follows the failure of an activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It begins again, each time after a longer wait. When it fails too often it rests for the quiet time: an
    /// entity then begins again with its next message, an instance by itself. No other activation is concerned.
    #[default]
    Restart,
    /// It begins again. When it fails too often, all activations of the service end, and the failure goes to the
    /// supervisor of the services, which begins the service again, or gives up and ends the node.
    Escalate,
    /// It is gone. An entity begins again with its next message, an instance never.
    End,
}

/// What happens when an activation fails: it panicked, was killed, could not start, or ran past its grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// What follows.
    pub on_failure: OnFailure,
    /// How often it may fail and how long it waits, for each activation by itself.
    pub limits: RestartLimits,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::Restart,
            limits: RestartLimits {
                restarts_max: 10,
                window: Duration::from_secs(10),
                backoff: Backoff { min: Duration::from_millis(20), max: Duration::from_secs(2) },
                quiet: Duration::from_secs(10),
            },
        }
    }
}
