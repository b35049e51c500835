//! The one place of this package that reads the wall clock: ids of requests tell when they were made.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; zero if the clock stands before that.
#[expect(
    clippy::disallowed_methods,
    reason = "the node's wheel tells no time of day, and no decision hangs on this"
)]
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
