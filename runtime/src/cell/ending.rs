//! Why handlers are being dropped: what their unanswered replies tell the callers.

use odeon_core::UnknownCause;
use std::cell::Cell;

thread_local! {
    /// Set while this thread drops what a killed activation, or a panic beside it, left.
    static KILLING: Cell<bool> = const { Cell::new(false) };
}

/// Drops a killed activation's handlers.
pub(super) fn kill<T>(drop_all: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            KILLING.set(false);
        }
    }
    KILLING.set(true);
    let _reset = Reset;
    drop_all()
}

/// Polls one handler of several. If it panics, only its own caller learns of a panic: those beside it are dropped
/// while the panic goes up through the activation, and are killed.
#[inline]
pub(super) fn alone_in_panic<T>(poll: impl FnOnce() -> T) -> T {
    struct OthersAreKilled;
    impl Drop for OthersAreKilled {
        // comes to pass in a panic only, after what the handler itself held was dropped
        fn drop(&mut self) {
            KILLING.set(true);
        }
    }
    let others = OthersAreKilled;
    let polled = poll();
    std::mem::forget(others);
    polled
}

/// The panic was caught.
pub(super) fn caught() {
    KILLING.set(false);
}

/// What is known of the reason when a reply is dropped unanswered.
pub(crate) fn cause() -> UnknownCause {
    if KILLING.get() {
        UnknownCause::Killed
    } else if std::thread::panicking() {
        UnknownCause::Panicked
    } else {
        UnknownCause::Unanswered
    }
}
