//! All times of membership in one place, and what must hold between them.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a lost node had answers elsewhere within this time.
pub const MOVED_WITHIN: Duration = Duration::from_secs(5);

/// How long things take, or may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// A node probes another one so often.
    pub probe: Duration,
    /// So many probes without an answer make a node suspect, if nothing else came from it either.
    pub probes_missed: u32,
    /// How long a node may act as a member without word from the cluster group.
    pub lease: Duration,
    /// It renews its lease so often.
    pub renew: Duration,
    /// By which fraction clocks may run differently, below 1.
    pub drift: f64,
    /// The leader of the cluster group tells that it lives so often.
    pub heartbeat: Duration,
    /// A voter that has not heard of one for a time between these wants to be elected.
    pub election_min: Duration,
    /// See [`Times::election_min`].
    pub election_max: Duration,
    /// A voter that is away for so long is replaced by another node, if there is one that may vote.
    pub voter_away: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            probe: Duration::from_millis(300),
            probes_missed: 3,
            lease: Duration::from_millis(2_500),
            renew: Duration::from_millis(600),
            drift: 0.05,
            heartbeat: Duration::from_millis(200),
            election_min: Duration::from_millis(1_000),
            election_max: Duration::from_millis(1_400),
            voter_away: Duration::from_secs(600),
        }
    }
}

/// Times that do not fit to each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// A fraction that is none.
    #[error("drift = {0}: it has to be from 0 to below 1")]
    Drift(String),
    /// One has to be shorter than another.
    #[error("{shorter} ({shorter_is:?}) has to be shorter than {longer} ({longer_is:?})")]
    Order {
        /// What is too long.
        shorter: &'static str,
        /// How long it is.
        shorter_is: Duration,
        /// What is too short.
        longer: &'static str,
        /// How long it is.
        longer_is: Duration,
    },
}

impl Times {
    /// Whether they fit to each other: a node is suspect before its lease ends, loses no lease to one lost renewal or to
    /// an election, voters do not want to be elected between two heartbeats, and what a lost node had is placed anew within
    /// [`MOVED_WITHIN`].
    ///
    /// # Errors
    /// [`TimesError`].
    pub fn check(&self) -> Result<(), TimesError> {
        if !(0.0..1.0).contains(&self.drift) {
            return Err(TimesError::Drift(self.drift.to_string()));
        }
        let holds = self.lease.mul_f64(1.0 - self.drift);
        let suspect = self.probe * self.probes_missed;
        let order = |shorter, shorter_is, longer, longer_is| match shorter_is < longer_is {
            true => Ok(()),
            false => Err(TimesError::Order { shorter, shorter_is, longer, longer_is }),
        };
        order("the time in which a node becomes suspect", suspect, "what a lease holds", holds)?;
        order("two renewals", 2 * self.renew, "what a lease holds", holds)?;
        order("three heartbeats", 3 * self.heartbeat, "election_min", self.election_min)?;
        order("election_min", self.election_min, "election_max", self.election_max)?;
        // the leader is lost with the node, and the next one has to wait until its lease has ended for certain
        let passed_on = self.lease.mul_f64(1.0 + self.drift) + self.election_max;
        order("the end of a lease after an election", passed_on, "what is said of lost nodes", MOVED_WITHIN)?;
        // whoever is renewed just before its leader is lost still holds its lease when there is another one
        order("a renewal and an election", self.renew + self.election_max, "what a lease holds", holds)?;
        order("what a lease holds", holds, "voter_away", self.voter_away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_that_are_there_fit_and_those_that_do_not_are_named() {
        let times = Times::default();
        assert_eq!(times.check(), Ok(()));
        let wrong = |change: fn(&mut Times)| {
            let mut times = Times::default();
            change(&mut times);
            times.check().expect_err("they do not fit").to_string()
        };
        assert!(wrong(|t| t.drift = 1.0).contains("drift = 1"));
        assert!(wrong(|t| t.drift = f64::NAN).contains("drift"));
        assert!(wrong(|t| t.probe = Duration::from_secs(1)).contains("becomes suspect (3s)"));
        assert!(wrong(|t| t.renew = Duration::from_millis(1_200)).contains("two renewals (2.4s)"));
        assert!(wrong(|t| t.heartbeat = Duration::from_millis(400)).contains("three heartbeats"));
        assert!(
            wrong(|t| t.election_max = Duration::from_secs(2)).contains("a renewal and an election (2.6s)")
        );
        assert!(wrong(|t| t.lease = Duration::from_secs(4)).contains("after an election (5.6s)"));
        assert!(wrong(|t| t.election_max = t.election_min).contains("election_max"));
        assert!(wrong(|t| t.voter_away = Duration::from_secs(1)).contains("voter_away"));
    }
}
