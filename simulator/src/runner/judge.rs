//! From what a run left behind to a verdict, and from two runs to whether the seed replays.

use super::Told;
use super::demand;
use super::verdict::Verdict;
use super::zygote::Run;
use odeon_simulator_os::process::{self, Ending};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of one seed after its run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// All that was found, each in one line or a few.
    pub findings: Vec<String>,
    /// The hash over the run; `None` when the process ended before it could say.
    pub hash: Option<u64>,
    /// How long the simulated world existed.
    pub simulated: Duration,
    /// The log, when it was kept: all of a replay's, the end of a failure's.
    pub lines: Vec<String>,
    /// The end of what the run printed; for a hung run, where it was stuck.
    pub printed: String,
    /// How often it came to each point.
    pub reached: BTreeMap<String, u64>,
}

/// Judges a single run.
pub(super) fn judge(seed: u64, limit: Duration, run: Run) -> Outcome {
    let Run { ending, told, printed } = run;
    let mut outcome = Outcome {
        seed,
        verdict: Verdict::Passed,
        findings: Vec::new(),
        hash: None,
        simulated: Duration::ZERO,
        lines: Vec::new(),
        printed,
        reached: BTreeMap::new(),
    };
    if let Some(sudden) = sudden_end(ending, told.is_some(), limit) {
        outcome.find(sudden.0, sudden.1);
    }
    if let Some(told) = told {
        outcome.take(told);
    }
    outcome
}

/// The finding on a process that did not end by itself after its report.
fn sudden_end(ending: Ending, reported: bool, limit: Duration) -> Option<(Verdict, String)> {
    match ending {
        Ending::Exited(0) if reported => None,
        Ending::Exited(status) => {
            Some((Verdict::Died, format!("the process exited with status {status} before its report")))
        }
        Ending::Signalled(signal) => {
            let name = process::signal_name(signal);
            Some((Verdict::Died, format!("{name} ({signal}) ended the process")))
        }
        Ending::OverLimit => {
            Some((Verdict::Hung, format!("still running after {limit:?} of wall time; it was killed")))
        }
    }
}

/// The end of a log usually tells what failed.
const LAST_EVENTS: usize = 20;

impl Outcome {
    /// The end of the log, when it was kept.
    pub fn last_events(&self) -> &[String] {
        &self.lines[self.lines.len().saturating_sub(LAST_EVENTS)..]
    }

    pub(super) fn find(&mut self, verdict: Verdict, finding: String) {
        self.findings.push(format!("{verdict}: {finding}"));
        if self.verdict == Verdict::Passed || verdict < self.verdict {
            self.verdict = verdict;
        }
    }

    fn take(&mut self, told: Told) {
        let Told { panics, report } = told;
        self.hash = Some(report.hash);
        self.simulated = report.virtual_time;
        self.lines = report.lines;
        self.reached = report.reached;
        for violation in report.violations {
            match demand::missing_progress(&violation) {
                Some(missing) => self.find(Verdict::NotLive, missing),
                None => self.find(Verdict::Unsafe, violation),
            }
        }
        // The world may have recorded the panic of a script as well, with the moment.
        let unrecorded = |text: &String| {
            let (_, message) = text.split_once(": ").unwrap_or(("", text));
            !report.panics.iter().any(|recorded| recorded.contains(message))
        };
        for panic in panics.into_iter().filter(unrecorded) {
            self.find(Verdict::Panicked, panic);
        }
        for panic in report.panics {
            self.find(Verdict::Panicked, panic);
        }
        for leak in report.leaks {
            self.find(Verdict::Leaked, leak);
        }
    }
}

/// In what two runs of one seed differ, in words; `None` when they agree or when one did not end by itself.
pub(super) fn difference(first: &Run, second: &Run) -> Option<String> {
    if first.ending != second.ending && first.ending != Ending::OverLimit {
        return Some(format!("one run ended by {:?}, the other by {:?}", first.ending, second.ending));
    }
    let (Some(one), Some(two)) = (&first.told, &second.told) else { return None };
    let (one_report, two_report) = (&one.report, &two.report);
    if let Some(difference) = first_different_line(&one_report.lines, &two_report.lines) {
        return Some(difference);
    }
    if one_report.hash != two_report.hash {
        return Some(format!("the hashes are {:016x} and {:016x}", one_report.hash, two_report.hash));
    }
    if one_report.statistics != two_report.statistics {
        return Some(format!(
            "one run counted {:?}, the other {:?}",
            one_report.statistics, two_report.statistics
        ));
    }
    (one != two).then(|| format!("one run found {}, the other {}", found(one), found(two)))
}

fn found(told: &Told) -> String {
    let report = &told.report;
    let all = [&told.panics, &report.panics, &report.violations, &report.leaks];
    let all: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join("; ") }
}

fn first_different_line(one: &[String], two: &[String]) -> Option<String> {
    let length = one.len().max(two.len());
    let at = (0..length).find(|&at| one.get(at) != two.get(at))?;
    let line = |lines: &[String]| lines.get(at).map_or("(the log ends)".to_owned(), Clone::clone);
    let before = at.checked_sub(1).map(|at| format!("\n  after:  {}", one[at])).unwrap_or_default();
    Some(format!(
        "the first different line is {}{before}\n  first:  {}\n  second: {}",
        at + 1,
        line(one),
        line(two)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Report;

    fn run(change: impl FnOnce(&mut Told)) -> Run {
        let mut told = Told { panics: Vec::new(), report: Report::default() };
        change(&mut told);
        Run { ending: Ending::Exited(0), told: Some(told), printed: String::new() }
    }

    fn verdict(run: Run) -> Verdict {
        judge(1, Duration::from_secs(30), run).verdict
    }

    #[test]
    fn each_kind_of_failure_has_its_own_verdict() {
        assert_eq!(verdict(run(|_| {})), Verdict::Passed);
        assert_eq!(verdict(run(|told| told.report.violations.push("lost".into()))), Verdict::Unsafe);
        assert_eq!(verdict(run(|told| told.report.violations.push("not live: x".into()))), Verdict::NotLive);
        assert_eq!(verdict(run(|told| told.report.panics.push("at 3 s".into()))), Verdict::Panicked);
        assert_eq!(verdict(run(|told| told.panics.push("the script: no".into()))), Verdict::Panicked);
        assert_eq!(verdict(run(|told| told.report.leaks.push("open".into()))), Verdict::Leaked);
        let silent = |ending| Run { ending, told: None, printed: String::new() };
        assert_eq!(verdict(silent(Ending::Exited(0))), Verdict::Died);
        assert_eq!(verdict(silent(Ending::Signalled(11))), Verdict::Died);
        assert_eq!(verdict(silent(Ending::OverLimit)), Verdict::Hung);
    }

    #[test]
    fn a_broken_promise_outweighs_what_came_with_it() {
        let outcome = judge(
            1,
            Duration::from_secs(30),
            run(|told| {
                told.report.leaks.push("open".into());
                told.report.violations.push("not live: x".into());
                told.report.violations.push("lost".into());
            }),
        );
        assert_eq!(outcome.verdict, Verdict::Unsafe);
        assert_eq!(outcome.findings, ["not live: x", "safety violated: lost", "leaked: open"]);
    }

    #[test]
    fn a_panic_that_the_world_recorded_is_told_once() {
        let both = run(|told| {
            told.panics.push("the script: boom".into());
            told.report.panics.push("at 2 s: boom".into());
        });
        assert_eq!(judge(1, Duration::from_secs(30), both).findings, ["panicked: at 2 s: boom"]);
    }

    #[test]
    fn two_runs_that_differ_are_told_apart_by_their_first_different_line() {
        let with = |lines: [&str; 2]| run(|told| told.report.lines = lines.map(str::to_owned).to_vec());
        assert_eq!(difference(&with(["a", "b"]), &with(["a", "b"])), None);
        let told = difference(&with(["a", "b"]), &with(["a", "c"])).expect("they differ");
        assert_eq!(told, "the first different line is 2\n  after:  a\n  first:  b\n  second: c");
        let hash = difference(&run(|told| told.report.hash = 1), &run(|_| {})).expect("they differ");
        assert!(hash.contains("hashes"), "{hash}");
        assert!(difference(&run(|told| told.panics.push("x".into())), &run(|_| {})).is_some());
    }
}
