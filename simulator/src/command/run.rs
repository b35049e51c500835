//! `odeon-sim run`.

use super::interrupt::Interrupt;
use super::progress::ProgressLine;
use super::{CommandError, RunArguments, case, json, tone};
use crate::runner::{Failure, Unfinished, Verdict, tell_failures, tell_reach, tell_summary};
use crate::scenario::Scenario;
use crate::token::Token;
use std::io::{self, Write};

/// Gives back the exit code.
pub(super) fn run(scenarios: &[Scenario], arguments: &RunArguments) -> Result<u8, CommandError> {
    let first = Token { scenario: arguments.scenario.clone(), seed: arguments.seeds.start, prints: None };
    let case = case(scenarios, &first)?;
    let mut plan = arguments.common.plan(arguments.seeds.clone());
    plan.jobs = arguments.jobs.unwrap_or(plan.jobs);
    // a zygote has one thread, and comes no further
    case.serve_if_zygote();
    let interrupt = Interrupt::listen().map_err(CommandError::Signals)?;
    plan.stop = interrupt.stop.clone();
    let seeds = plan.seeds.end - plan.seeds.start;
    let mut line = ProgressLine::on_standard_error(case.name(), seeds);
    let summary = case.explore(&plan, |progress, failed| line.show(progress, failed));
    line.clear();
    let summary = summary?;
    let mut out = io::stdout().lock();
    if arguments.common.json {
        json::print(&mut out, &json::summary(&summary))?;
    } else {
        let tone = tone(&out);
        out.write_all(tell_failures(&summary, tone, replay_command).as_bytes())?;
        if !summary.failures.is_empty() {
            writeln!(out)?;
        }
        if arguments.reach {
            out.write_all(tell_reach(&summary).as_bytes())?;
        }
        out.write_all(tell_summary(&summary, tone).as_bytes())?;
    }
    out.flush()?;
    Ok(match (summary.verdict(), summary.unfinished) {
        (Verdict::Passed, Some(Unfinished::Stopped)) => interrupt.exit_code(),
        (verdict, _) => verdict.exit_code(),
    })
}

/// What to type to see a failing seed again: this program, as it was called.
pub(super) fn replay_command(failure: &Failure) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "odeon-sim".to_owned());
    format!("{program} replay {} --log", failure.token)
}
