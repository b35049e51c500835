//! Why handlers are being dropped: what their unanswered replies tell the callers.

use odeon_core::UnknownCause;
use std::cell::Cell;

thread_local! {
    /// Set while this thread drops what a killed activation left.
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

/// What is known of the reason when a reply is dropped unanswered.
pub(crate) fn cause() -> UnknownCause {
    if std::thread::panicking() {
        UnknownCause::Panicked
    } else if KILLING.get() {
        UnknownCause::Killed
    } else {
        UnknownCause::Unanswered
    }
}
