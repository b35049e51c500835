//! Panics are log lines like all others, in words or in JSON.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook, take_hook};

/// Filters for `odeon` let it through as well.
const TARGET: &str = "odeon::panic";

/// From now on panics go into the log: one event each, with a backtrace if `RUST_BACKTRACE` asks for it. One that the
/// filter keeps out, or before there is a log, is written as before: none is lost.
pub(crate) fn log() {
    let before = take_hook();
    set_hook(Box::new(move |panic| match tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
        true => tell(panic),
        false => before(panic),
    }));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let current = std::thread::current();
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        target: TARGET,
        thread = current.name().unwrap_or("unnamed"),
        place = panic.location().map(tracing::field::display),
        backtrace = captured.then(|| tracing::field::display(&backtrace)),
        "panicked: {}",
        panic.payload_as_str().unwrap_or("with a value that is no text")
    );
}
