//! The runner's side: spreads seeds over jobs, compares where each seed runs twice, and looks closer at the
//! first failures.

use super::judge::{self, Outcome};
use super::time::Stopwatch;
use super::verdict::Verdict;
use super::wire::Request;
use super::zygote::{Conditions, Zygote};
use super::{Case, ExploreError};
use crate::Options;
use crate::reach::Reach;
use crate::token::{BinaryPrint, Token};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Failures that are looked at closely: more of them rarely tell more.
const FAILURES_TOLD_MAX: usize = 5;
/// After so many hung seeds, each of which costs all of its wall time, the others are not run.
const HANGS_MAX: usize = 5;
/// How often a watcher hears of the progress.
const PROGRESS_PERIOD: Duration = Duration::from_millis(100);

/// Which seeds run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many seeds run at once.
    pub jobs: NonZeroUsize,
    /// Run each seed in two processes, the second under other conditions, and compare.
    pub twice: bool,
    /// Keep the log of each run, not only of those that are looked at again. Slower.
    pub keep_lines: bool,
    /// Wall time after which a run is killed.
    pub limit: Duration,
    /// Set by whoever wants no further seed to begin: those that run are ended, and the summary tells of what was done.
    pub stop: Arc<AtomicBool>,
}

impl Plan {
    /// Wall time that a run may take, unless someone says otherwise.
    pub const LIMIT_DEFAULT: Duration = Duration::from_secs(30);

    /// These seeds once, one job for each CPU.
    pub fn of(seeds: Range<u64>) -> Plan {
        let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Plan {
            seeds,
            jobs,
            twice: false,
            keep_lines: false,
            limit: Plan::LIMIT_DEFAULT,
            stop: Arc::default(),
        }
    }
}

/// How far an exploration has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Seeds that are done.
    pub done: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Simulated time of all seeds together.
    pub simulated: Duration,
    /// Wall time.
    pub wall: Duration,
}

/// The result of an exploration.
#[derive(Debug)]
pub struct Summary {
    /// The case.
    pub case: String,
    /// Its seeds.
    pub seeds: Range<u64>,
    /// How far it came.
    pub progress: Progress,
    /// Why it did not come all the way, if it did not.
    pub unfinished: Option<Unfinished>,
    /// Every failing seed, in order. The first five have been run again with their logs.
    pub failures: Vec<Failure>,
    /// The system places processes at random addresses and refuses to do otherwise, so that orders which
    /// depend on addresses may not replay.
    pub random_addresses: bool,
    /// What the seeds came to.
    pub reach: Reach,
}

impl Summary {
    /// The verdict on the first failing seed, or that all passed.
    pub fn verdict(&self) -> Verdict {
        self.failures.first().map_or(Verdict::Passed, |failure| failure.outcome.verdict)
    }
}

/// Why seeds were not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// Too many others hung.
    Hangs,
    /// [`Plan::stop`] was set.
    Stopped,
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is known of it.
    pub outcome: Outcome,
    /// Its token; without fingerprints when the program's file could not be read.
    pub token: Token,
    /// What the seed means.
    pub options: Options,
}

/// One seed, looked at closely.
#[derive(Debug)]
pub struct Replay {
    /// What is known of it, with its log.
    pub outcome: Outcome,
    /// As in [`Summary`].
    pub random_addresses: bool,
}

impl Case {
    /// Runs all seeds of the plan. `watch` hears of the progress after each seed and now and then between, on the
    /// calling thread; with it of the seed that failed just now, before anyone has looked at it closely.
    ///
    /// # Errors
    /// When no processes can be started, or one that forks seeds is lost; what the seeds did is in the summary.
    pub fn explore(
        &self,
        plan: &Plan,
        mut watch: impl FnMut(&Progress, Option<&Outcome>),
    ) -> Result<Summary, ExploreError> {
        self.serve_if_zygote();
        let watch_of_wall = Stopwatch::start();
        let mut failures = Vec::new();
        let mut progress = Progress::default();
        let (mut random_addresses, mut hangs, mut reach) = (false, 0, Reach::default());
        let count = plan.seeds.end.saturating_sub(plan.seeds.start);
        let jobs = (plan.jobs.get() as u64).min(count) as usize;
        let (next, gave_up) = (AtomicU64::new(plan.seeds.start), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let (results, heard) = mpsc::channel();
            for nth in 0..jobs {
                let results = results.clone();
                let (next, gave_up) = (&next, &gave_up);
                scope.spawn(move || work(self, plan, nth, next, gave_up, &results));
            }
            drop(results);
            loop {
                let mut failed = None;
                match heard.recv_timeout(PROGRESS_PERIOD) {
                    Ok(Ok(examined)) => {
                        random_addresses |= examined.random_addresses;
                        progress.done += 1;
                        progress.simulated += examined.outcome.simulated;
                        reach.add(&examined.outcome.reached);
                        if examined.outcome.verdict != Verdict::Passed {
                            progress.failed += 1;
                            hangs += usize::from(examined.outcome.verdict == Verdict::Hung);
                            gave_up.store(hangs >= HANGS_MAX, Ordering::Relaxed);
                            failures.push(self.failure(examined.outcome));
                            failed = failures.last().map(|failure: &Failure| &failure.outcome);
                        }
                    }
                    Ok(Err(error)) => {
                        gave_up.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                progress.wall = watch_of_wall.elapsed();
                watch(&progress, failed);
            }
        })?;
        failures.sort_by_key(|failure| failure.outcome.seed);
        self.look_closer(plan, &mut failures)?;
        progress.wall = watch_of_wall.elapsed();
        let (case, seeds) = (self.name().to_owned(), plan.seeds.clone());
        let why = if gave_up.into_inner() { Unfinished::Hangs } else { Unfinished::Stopped };
        let unfinished = (progress.done < count).then_some(why);
        Ok(Summary { case, seeds, progress, unfinished, failures, random_addresses, reach })
    }

    /// Runs one seed and keeps its log.
    ///
    /// # Errors
    /// As [`Case::explore`].
    pub fn replay(&self, seed: u64, plan: &Plan) -> Result<Replay, ExploreError> {
        self.serve_if_zygote();
        let mut pair = Pair::start(self, plan, Conditions::Replay, 0)?;
        let outcome = pair.examine(seed, true)?;
        Ok(Replay { outcome, random_addresses: pair.usual.has_random_addresses() })
    }

    /// A failure keeps the end of its log alone: there may be many failures.
    fn failure(&self, mut outcome: Outcome) -> Failure {
        outcome.lines = outcome.last_events().to_vec();
        let token = Token { scenario: self.name().to_owned(), seed: outcome.seed, prints: None };
        let options = self.options(outcome.seed);
        Failure { outcome, token, options }
    }

    /// Gives all failures their full tokens and the first ones, where the run can say one, their logs.
    fn look_closer(&self, plan: &Plan, failures: &mut [Failure]) -> Result<(), ExploreError> {
        if failures.is_empty() {
            return Ok(());
        }
        if let Ok(binary) = BinaryPrint::of_this_program() {
            for failure in failures.iter_mut() {
                failure.token = Token::of(self.name(), &failure.options, binary);
            }
        }
        let mut pair = None;
        for failure in failures.iter_mut().take(FAILURES_TOLD_MAX) {
            let outcome = &mut failure.outcome;
            // A run without a hash has no log to give, and a hung one would hang again.
            let Some(hash) = outcome.hash.filter(|_| outcome.lines.is_empty()) else { continue };
            let pair = match &mut pair {
                Some(pair) => pair,
                None => pair.insert(Pair::start(
                    self,
                    &Plan { twice: false, ..plan.clone() },
                    Conditions::Usual,
                    0,
                )?),
            };
            let again = pair.examine(outcome.seed, true)?;
            if again.hash.is_some_and(|again| again != hash) && outcome.verdict != Verdict::Nondeterministic {
                outcome.find(
                    Verdict::Nondeterministic,
                    "run again with its log, the seed went another way".into(),
                );
            }
            outcome.lines = again.last_events().to_vec();
        }
        Ok(())
    }
}

/// A seed after its runs.
struct Examined {
    outcome: Outcome,
    random_addresses: bool,
}

/// One job: takes the next seed until none is left.
fn work(
    case: &Case,
    plan: &Plan,
    nth: usize,
    next: &AtomicU64,
    gave_up: &AtomicBool,
    results: &mpsc::Sender<Result<Examined, ExploreError>>,
) {
    let mut pair = match Pair::start(case, plan, Conditions::Usual, nth) {
        Ok(pair) => pair,
        Err(error) => {
            // Without a receiver the exploration has ended already.
            let _ = results.send(Err(error));
            return;
        }
    };
    while !gave_up.load(Ordering::Relaxed) && !plan.stop.load(Ordering::Relaxed) {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= plan.seeds.end {
            return;
        }
        let random_addresses = pair.usual.has_random_addresses();
        let examined =
            pair.examine(seed, plan.keep_lines).map(|outcome| Examined { outcome, random_addresses });
        let lost = examined.is_err();
        if results.send(examined).is_err() || lost {
            return;
        }
    }
}

/// The zygotes of one job: one, or two that a simulation must not be able to tell apart.
struct Pair {
    usual: Zygote,
    other: Option<Zygote>,
    limit: Duration,
}

impl Pair {
    fn start(case: &Case, plan: &Plan, first: Conditions, nth: usize) -> Result<Pair, ExploreError> {
        let usual = Zygote::start(case, first)?;
        let other = plan.twice.then(|| Zygote::start(case, Conditions::Other { nth })).transpose()?;
        Ok(Pair { usual, other, limit: plan.limit })
    }

    fn examine(&mut self, seed: u64, keep_lines: bool) -> Result<Outcome, ExploreError> {
        let request = Request { seed, keep_lines, limit: self.limit };
        let first = self.usual.run(request)?;
        let mut difference = None;
        if let Some(other) = &mut self.other
            && first.told.is_some()
        {
            let second = other.run(request)?;
            difference = judge::difference(&first, &second);
            if difference.is_some() && !keep_lines {
                // The log tells where they part.
                let request = Request { keep_lines: true, ..request };
                let (first, second) = (self.usual.run(request)?, other.run(request)?);
                difference = judge::difference(&first, &second).or(difference);
            }
        }
        let mut outcome = judge::judge(seed, self.limit, first);
        if let Some(difference) = difference {
            outcome.find(
                Verdict::Nondeterministic,
                format!("two processes ran this seed differently: {difference}"),
            );
        }
        Ok(outcome)
    }
}
