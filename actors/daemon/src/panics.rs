//! Panics are log lines like all others, in words or in JSON.

use crate::log::Lines;
use crate::shown;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook};

/// Filters for `odeon` let it through as well.
const TARGET: &str = "odeon::panic";

/// From now on panics go into the log: one event each, with a backtrace if `RUST_BACKTRACE` asks for it. One that the
/// filter keeps out is a line all the same: none is lost.
pub(crate) fn log(lines: Lines) {
    set_hook(Box::new(move |panic| match tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
        true => tell(panic),
        false => lines.push(plain(panic).as_bytes()),
    }));
}

fn plain(panic: &PanicHookInfo<'_>) -> String {
    let current = std::thread::current();
    let thread = current.name().unwrap_or("unnamed");
    format!("thread {thread} {}\n", shown::line(&panic.to_string()))
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
