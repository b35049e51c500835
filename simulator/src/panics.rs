//! Panics of programs under simulation: tokio swallows those of tasks, so a hook notes them for the report.

use odeon_simulator_os as os;
use std::panic::{PanicHookInfo, panic_any, set_hook, take_hook};
use std::sync::Once;

/// What a program under simulation panics with on purpose.
struct OnPurpose;

/// Panics as part of a scenario: a handler that fails so is what is tried out, and no reason for the run to fail.
///
/// # Panics
/// Always.
pub fn panic_on_purpose() -> ! {
    panic_any(OnPurpose)
}

/// Installs the hook, once in the process. Panics of other threads and of scripts go to the hook before it.
pub(crate) fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            if panic.payload().is::<OnPurpose>() {
                return;
            }
            let noted = os::with(|kernel| kernel.note_panic(&describe(panic)));
            if noted != Some(true) {
                previous(panic);
            }
        }));
    });
}

/// What was said, and where in the source.
fn describe(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("a payload that is no text");
    match panic.location() {
        Some(place) => format!("{said} ({}:{})", place.file(), place.line()),
        None => said.to_owned(),
    }
}
