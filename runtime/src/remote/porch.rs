//! How many may be on the way in at the same time: whoever dials costs memory before it is known who it is.

use super::endpoint::Incoming;
use crate::reach::reached;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Dialers whose handshakes are under way, at the most; others are refused, and dial again.
const DIALERS_MAX: usize = 512;
/// From so many on each has to show first that it can be reached where it says that it is.
const DIALERS_TRUSTED: usize = 64;

/// Where dialers wait until they are let in or turned away.
pub(super) struct Porch(Arc<Semaphore>);

impl Default for Porch {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(DIALERS_MAX)))
    }
}

impl Porch {
    /// A place for a dialer, which it has until that is dropped. None: it was sent away.
    pub(super) fn take(&self, dialer: Incoming) -> Option<(Incoming, OwnedSemaphorePermit)> {
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            reached!(PORCH_FULL);
            dialer.turn_away();
            return None;
        };
        let others = DIALERS_MAX - 1 - self.0.available_permits();
        if others >= DIALERS_TRUSTED && !dialer.is_reachable() {
            reached!(PROVES_ADDRESS);
            dialer.ask_again();
            return None;
        }
        Some((dialer, place))
    }
}
