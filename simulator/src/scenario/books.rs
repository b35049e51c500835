//! What the programs of a scenario write and its script reads.

use std::sync::{Arc, Mutex, PoisonError};

/// Books that several programs share with their script. A program that crashes leaves them as they are.
#[derive(Default)]
pub(super) struct Books<T>(Arc<Mutex<T>>);

impl<T> Clone for Books<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Books<T> {
    /// Reads or writes them.
    pub(super) fn open<R>(&self, visit: impl FnOnce(&mut T) -> R) -> R {
        visit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
