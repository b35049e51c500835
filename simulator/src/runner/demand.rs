//! Liveness, in the words of a script: something has to happen within a limit of virtual time.

use crate::Simulation;
use std::time::Duration;

/// Marks the violations of a report that tell of missing progress, not of a broken promise.
const MARK: &str = "not live: ";

impl Simulation {
    /// Runs until `done` holds; when `limit` of virtual time passes before that, the seed fails as *not live*.
    ///
    /// `what` completes the sentence "this did not happen: …". Heal the faults first: a network that stays cut
    /// owes nobody any progress. Returns whether `done` held, so that the script can stop early.
    pub fn demand(&mut self, what: &str, limit: Duration, done: impl FnMut(&mut Simulation) -> bool) -> bool {
        let happened = self.run_until(limit, done);
        if !happened {
            self.violation(format!("{MARK}{what}, within {limit:?}"));
        }
        happened
    }
}

/// What did not happen, when this violation of a report tells of missing progress.
pub(super) fn missing_progress(violation: &str) -> Option<String> {
    // The world may put the moment in front.
    violation.contains(MARK).then(|| violation.replacen(MARK, "", 1))
}
