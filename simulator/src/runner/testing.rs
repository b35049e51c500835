//! Under `cargo test`: what the attribute `#[odeon_simulator::test]` expands to.

use super::environment::Wishes;
use super::explore::{Failure, Plan, Summary};
use super::story::{self, Tone};
use super::verdict::Verdict;
use super::{Case, Shape};
use crate::Simulation;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::time::Duration;

/// A test as its attribute describes it; the attribute's documentation says what each means.
#[derive(Clone, Copy, Debug)]
pub struct TestCase {
    /// `module_path!()` and the name of the function, the crate in front.
    pub path: &'static str,
    /// The cargo package.
    pub package: &'static str,
    /// The crate: of the library, of a test file, or of a binary.
    pub target: &'static str,
    /// The name of the binary, when the test stands in one.
    pub binary: Option<&'static str>,
    /// How many seeds run, from 0.
    pub seeds: u64,
    /// Executors of each host.
    pub executors: Option<usize>,
    /// A world without faults.
    pub calm: bool,
    /// Run each seed twice and compare.
    pub twice: bool,
    /// Keep each log.
    pub keep_lines: bool,
    /// Wall time of a seed.
    pub limit: Duration,
    /// The script.
    pub script: fn(&mut Simulation),
}

impl TestCase {
    /// The path as the test harness knows it: without the crate.
    fn harness_path(&self) -> &'static str {
        self.path.split_once("::").map_or(self.path, |(_, path)| path)
    }

    /// The command that shows this seed again.
    fn command(&self, seed: u64) -> String {
        let target = match self.binary {
            Some(binary) => format!("--bin {binary}"),
            None if self.target == self.package.replace('-', "_") => "--lib".to_owned(),
            None => format!("--test {}", self.target),
        };
        let (package, path) = (self.package, self.harness_path());
        format!("ODEON_SEED={seed} cargo test -p {package} {target} -- --exact {path} --nocapture")
    }
}

/// Runs a simulation test.
///
/// # Panics
/// When a seed fails, which is how a test says so; the message tells the first failures and how to replay them.
pub fn test(test: TestCase) {
    let wishes = match Wishes::from_environment() {
        Ok(wishes) => wishes,
        Err(error) => panic!("{error}"),
    };
    let shape = Shape { executors: test.executors, calm: test.calm };
    let case = Case::of_test(test.harness_path(), shape, test.script);
    let mut plan = Plan::of(wishes.seeds.unwrap_or(0..test.seeds));
    plan.twice = test.twice || wishes.twice;
    plan.keep_lines = test.keep_lines;
    plan.limit = test.limit;
    if let Some(jobs) = wishes.jobs.and_then(NonZeroUsize::new) {
        plan.jobs = jobs;
    }
    match wishes.seed {
        Some(seed) => replay(&case, seed, &plan),
        None => explore(&test, &case, &plan),
    }
}

fn explore(test: &TestCase, case: &Case, plan: &Plan) {
    let summary = match case.explore(plan, |_, _| {}) {
        Ok(summary) => summary,
        Err(error) => panic!("{error}"),
    };
    say(&story::tell_summary(&summary, Tone::Plain));
    if summary.verdict() != Verdict::Passed {
        panic!("{}", tell(test, &summary));
    }
}

fn tell(test: &TestCase, summary: &Summary) -> String {
    let replay = |failure: &Failure| test.command(failure.outcome.seed);
    let failures = story::tell_failures(summary, Tone::Plain, replay);
    format!("{}{failures}", story::tell_summary(summary, Tone::Plain))
}

fn replay(case: &Case, seed: u64, plan: &Plan) {
    let replay = match case.replay(seed, plan) {
        Ok(replay) => replay,
        Err(error) => panic!("{error}"),
    };
    say(&story::tell_replay(&replay, true, Tone::Plain));
    if replay.outcome.verdict != Verdict::Passed {
        panic!("seed {seed}: {}\n{}", replay.outcome.verdict, replay.outcome.findings.join("\n"));
    }
}

/// Prints through the macro, because the test harness captures only that.
#[expect(clippy::print_stdout, reason = "a test harness shows what a test prints")]
fn say(text: &str) {
    print!("{text}");
    // A closed pipe is the reader's choice.
    let _ = io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_replay_names_package_target_and_test() {
        let mut test = TestCase {
            path: "runner::deep::a_sentence",
            package: "odeon-simulator",
            target: "runner",
            binary: None,
            seeds: 1,
            executors: None,
            calm: false,
            twice: false,
            keep_lines: false,
            limit: Duration::from_secs(1),
            script: |_| {},
        };
        let tail = "-- --exact deep::a_sentence --nocapture";
        assert_eq!(
            test.command(22),
            format!("ODEON_SEED=22 cargo test -p odeon-simulator --test runner {tail}")
        );
        test.target = "odeon_simulator";
        assert!(test.command(1).contains("-p odeon-simulator --lib --"));
        test.binary = Some("odeon-sim");
        assert!(test.command(1).contains("-p odeon-simulator --bin odeon-sim --"));
    }
}
