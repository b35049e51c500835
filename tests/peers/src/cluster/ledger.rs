//! What the attempts of one key amount to: waits, outcomes, and whether the counter has counted what it should.

use super::callers::{Attempt, End};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

fn is_answered(attempt: &&Attempt) -> bool {
    matches!(attempt.end, End::Answered(_))
}

/// When the first answer came to a request that began after this.
pub fn first_answer(attempts: &[Attempt], after: Duration) -> Option<Duration> {
    Some(attempts.iter().filter(is_answered).find(|attempt| attempt.began > after)?.ended)
}

/// How many answers there are.
pub fn answers(attempts: &[Attempt]) -> usize {
    attempts.iter().filter(is_answered).count()
}

/// The times between successive answers, of which the later one came after `from` and the earlier one before `to`.
fn gaps(attempts: &[Attempt], from: Duration, to: Duration) -> Vec<Duration> {
    let ends: Vec<Duration> = attempts.iter().filter(is_answered).map(|attempt| attempt.ended).collect();
    let within = ends.windows(2).filter(|pair| pair[1] >= from && pair[0] <= to);
    within.map(|pair| pair[1] - pair[0]).collect()
}

/// The longest time without an answer between these.
pub fn gap_longest(attempts: &[Attempt], from: Duration, to: Duration) -> Duration {
    gaps(attempts, from, to).into_iter().max().unwrap_or_default()
}

/// The median time between two answers up to this.
pub fn gap_usual(attempts: &[Attempt], to: Duration) -> Duration {
    let mut gaps = gaps(attempts, Duration::ZERO, to);
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or_default()
}

/// How requests ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// With an answer.
    pub answered: u64,
    /// Not executed, by the names of the problems.
    pub not_executed: BTreeMap<String, u64>,
    /// Unknown, by the names of the problems.
    pub unknown: BTreeMap<String, u64>,
    /// Otherwise, by what was said.
    pub failed: BTreeMap<String, u64>,
    /// The connection broke; the caller went on to the next node.
    pub broken: u64,
    /// Nobody took the connection; the caller went on to the next node.
    pub refused: u64,
}

impl Outcomes {
    /// Of these.
    pub fn of<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Self {
        let mut outcomes = Self::default();
        for attempt in attempts {
            match &attempt.end {
                End::Answered(_) => outcomes.answered += 1,
                End::NotExecuted(name) => *outcomes.not_executed.entry(name.clone()).or_default() += 1,
                End::Unknown(name) => *outcomes.unknown.entry(name.clone()).or_default() += 1,
                End::Failed(name) => *outcomes.failed.entry(name.clone()).or_default() += 1,
                End::Broken => outcomes.broken += 1,
                End::Refused => outcomes.refused += 1,
            }
        }
        outcomes
    }

    /// Requests that came to a node and have no answer.
    pub fn failures(&self) -> u64 {
        [&self.not_executed, &self.unknown, &self.failed].into_iter().flat_map(BTreeMap::values).sum()
    }
}

impl fmt::Display for Outcomes {
    /// Such as `12 answered, 3 not executed (unreachable 3)`. What has not happened is left out, but for answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered", self.answered)?;
        let named =
            [("not executed", &self.not_executed), ("unknown", &self.unknown), ("failed", &self.failed)];
        for (what, names) in named.iter().filter(|(_, names)| !names.is_empty()) {
            let each: Vec<_> = names.iter().map(|(name, count)| format!("{name} {count}")).collect();
            write!(f, ", {} {what} ({})", names.values().sum::<u64>(), each.join(", "))?;
        }
        for (what, count) in [("broken connections", self.broken), ("refused connections", self.refused)] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.broken += other.broken;
        self.refused += other.refused;
        for (ours, theirs) in [
            (&mut self.not_executed, other.not_executed),
            (&mut self.unknown, other.unknown),
            (&mut self.failed, other.failed),
        ] {
            for (name, count) in theirs {
                *ours.entry(name).or_default() += count;
            }
        }
    }
}

/// Whether what a counter says in the end fits what its only caller has seen: each answer counted once, and of what
/// may have run each once or not at all. With its node dies what a counter held: then it may begin anew once, and what
/// was seen before is over.
///
/// # Errors
/// It does not fit.
pub fn check(key: &str, attempts: &[Attempt], total: i64, may_begin_anew: bool) -> Result<()> {
    let (mut answered, mut perhaps, mut perhaps_since_answer) = (0, 0, 0);
    let (mut last, mut begun_anew) = (0, 0);
    for attempt in attempts {
        match attempt.end {
            End::Answered(value) => {
                if value <= last {
                    begun_anew += 1;
                    // what was under way at the end of the old one may have come to the new one
                    (answered, perhaps) = (0, perhaps_since_answer);
                }
                (answered, last, perhaps_since_answer) = (answered + 1, value, 0);
            }
            End::Unknown(_) | End::Broken | End::Failed(_) => {
                perhaps += 1;
                perhaps_since_answer += 1;
            }
            End::NotExecuted(_) | End::Refused => {}
        }
    }
    ensure!(begun_anew <= i64::from(may_begin_anew), "{key} has begun anew {begun_anew} times");
    ensure!(
        (answered..=answered + perhaps).contains(&total),
        "{key} has counted {total}, but {answered} were answered and {perhaps} more may have run"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each takes 2 ms, a pause of 1 ms before it.
    fn seen(ends: &[End]) -> Vec<Attempt> {
        let at = |ms: usize| Duration::from_millis(ms as u64);
        let attempt = |(n, end): (usize, &End)| Attempt {
            began: at(3 * n + 1),
            ended: at(3 * n + 3),
            end: end.clone(),
        };
        ends.iter().enumerate().map(attempt).collect()
    }

    fn unknown() -> End {
        End::Unknown("timed-out".into())
    }

    #[test]
    fn waits_are_between_answers() {
        let seen = seen(&[End::Answered(1), End::Answered(2), unknown(), End::Refused, End::Answered(3)]);
        let ms = Duration::from_millis;
        assert_eq!(gap_usual(&seen, ms(6)), ms(9), "of two the later one");
        assert_eq!(gap_longest(&seen, ms(0), ms(3)), ms(3));
        assert_eq!(gap_longest(&seen, ms(7), ms(8)), ms(9));
        assert_eq!(first_answer(&seen, ms(4)), Some(ms(15)), "the second one had begun by then");
        assert_eq!(first_answer(&seen, ms(13)), None);
        assert_eq!(Outcomes::of(&seen).failures(), 1);
    }

    #[test]
    fn a_counter_has_counted_each_answer_once_and_of_the_rest_each_at_most_once() {
        let seen = seen(&[End::Answered(1), unknown(), End::Broken, End::Answered(3), End::Refused]);
        for (total, fits) in [(1, false), (2, true), (4, true), (5, false)] {
            assert_eq!(check("k", &seen, total, false).is_ok(), fits, "{total}");
        }
    }

    #[test]
    fn a_counter_whose_node_has_died_begins_anew_once() {
        let once = seen(&[End::Answered(1), End::Answered(2), unknown(), End::Answered(2), End::Answered(3)]);
        assert!(check("k", &once, 3, true).is_ok() && check("k", &once, 2, true).is_ok());
        assert!(check("k", &once, 4, true).is_err(), "only one more may have run");
        assert!(check("k", &once, 3, false).is_err());
        let twice = seen(&[End::Answered(1), End::Answered(1), End::Answered(1)]);
        assert!(check("k", &twice, 1, true).is_err());
    }
}
