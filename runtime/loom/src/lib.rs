//! The mailbox of `odeon`, compiled with the synchronisation of loom, and models that explore its interleavings.
//!
//! A package of its own because nothing else in a runtime survives loom: it takes the very file that production
//! compiles and only replaces what that file imports.
#![cfg(test)]

#[allow(unreachable_pub, reason = "it is public in the crate that it belongs to")]
#[path = "../../src/cell/bounds.rs"]
mod bounds;
#[allow(dead_code, reason = "the models need not call everything")]
#[path = "../../src/cell/hand.rs"]
mod hand;
#[allow(dead_code, reason = "the models need not call everything")]
#[path = "../../src/cell/mailbox.rs"]
mod mailbox;
mod models;
#[path = "../../src/cell/queue.rs"]
mod queue;
#[path = "../../src/cell/ring.rs"]
mod ring;

/// Stands in for `runtime/src/cell/sync.rs`.
mod sync {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};

    /// A loom mutex with the face of parking_lot's.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no model panics while it holds the lock")
        }
    }
}
