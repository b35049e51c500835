//! What the commands print for programs: one object, whose field names stay.

use super::run::replay_command;
use crate::Options;
use crate::reach::Row;
use crate::runner::{Failure, Outcome, Replay, Summary, Unfinished, Verdict};
use crate::scenario::Scenario;
use crate::token::Token;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Debug, Serialize)]
pub(super) struct ScenarioObject<'a> {
    name: &'a str,
    about: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct SummaryObject<'a> {
    scenario: &'a str,
    seeds: SeedsObject,
    verdict: Verdict,
    passed: u64,
    failed: u64,
    simulated_seconds: f64,
    wall_seconds: f64,
    gave_up: bool,
    interrupted: bool,
    random_addresses: bool,
    failures: Vec<FailureObject<'a>>,
    reach: Vec<Row>,
}

/// The end is not among the seeds.
#[derive(Debug, Serialize)]
struct SeedsObject {
    from: u64,
    to: u64,
}

#[derive(Debug, Serialize)]
struct FailureObject<'a> {
    #[serde(flatten)]
    outcome: OutcomeObject<'a>,
    token: String,
    replay: String,
}

#[derive(Debug, Serialize)]
struct OutcomeObject<'a> {
    seed: u64,
    verdict: Verdict,
    findings: &'a [String],
    /// Hexadecimal: numbers of 64 bits lose digits in some readers.
    hash: Option<String>,
    simulated_seconds: f64,
    /// The last events, or all of them when asked for.
    events: &'a [String],
    printed: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct ReplayObject<'a> {
    #[serde(flatten)]
    outcome: OutcomeObject<'a>,
    token: String,
    random_addresses: bool,
    options: &'a Options,
}

pub(super) fn scenarios(scenarios: &[Scenario]) -> Vec<ScenarioObject<'_>> {
    scenarios.iter().map(|scenario| ScenarioObject { name: scenario.name, about: scenario.about }).collect()
}

pub(super) fn summary(summary: &Summary) -> SummaryObject<'_> {
    let progress = &summary.progress;
    SummaryObject {
        scenario: &summary.case,
        seeds: SeedsObject { from: summary.seeds.start, to: summary.seeds.end },
        verdict: summary.verdict(),
        passed: progress.done - progress.failed,
        failed: progress.failed,
        simulated_seconds: progress.simulated.as_secs_f64(),
        wall_seconds: progress.wall.as_secs_f64(),
        gave_up: summary.unfinished == Some(Unfinished::Hangs),
        interrupted: summary.unfinished == Some(Unfinished::Stopped),
        random_addresses: summary.random_addresses,
        failures: summary.failures.iter().map(failure).collect(),
        reach: summary.reach.rows(),
    }
}

fn failure(failure: &Failure) -> FailureObject<'_> {
    FailureObject {
        outcome: outcome(&failure.outcome, failure.outcome.last_events()),
        token: failure.token.to_string(),
        replay: replay_command(failure),
    }
}

pub(super) fn replay<'a>(
    replay: &'a Replay,
    token: &Token,
    options: &'a Options,
    log: bool,
) -> ReplayObject<'a> {
    let events = if log { &replay.outcome.lines } else { replay.outcome.last_events() };
    ReplayObject {
        outcome: outcome(&replay.outcome, events),
        token: token.to_string(),
        random_addresses: replay.random_addresses,
        options,
    }
}

fn outcome<'a>(outcome: &'a Outcome, events: &'a [String]) -> OutcomeObject<'a> {
    OutcomeObject {
        seed: outcome.seed,
        verdict: outcome.verdict,
        findings: &outcome.findings,
        hash: outcome.hash.map(|hash| format!("{hash:016x}")),
        simulated_seconds: outcome.simulated.as_secs_f64(),
        events,
        printed: &outcome.printed,
    }
}

pub(super) fn print(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, object)?;
    writeln!(out)
}
