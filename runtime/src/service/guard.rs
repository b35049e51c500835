//! Authors' code that reads and writes values runs where a panic would harm others: on the task of a link, under the lock
//! of a lane, in a connection of the gateway. There it is an error like any other.

use super::context::panic_text;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Reads or writes a value. A panic is told as what was wrong with it.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // what is left half done is thrown away by who called
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("a panic: {}", panic_text(&*panic))))
}
