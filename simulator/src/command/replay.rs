//! `odeon-sim replay`.

use super::{CommandError, ReplayArguments, case, json, tone};
use crate::runner::{ExploreError, Verdict, tell_replay};
use crate::scenario::Scenario;
use crate::token::{BinaryPrint, Token};
use std::io::{self, Write};

pub(super) fn replay(scenarios: &[Scenario], arguments: &ReplayArguments) -> Result<Verdict, CommandError> {
    let token: Token = arguments.token.parse()?;
    let case = case(scenarios, &token)?;
    let options = case.options(token.seed);
    let binary = BinaryPrint::of_this_program().map_err(ExploreError::Start)?;
    for difference in token.differences(&options, binary) {
        // Without standard error nobody would read the warning.
        let _ = writeln!(io::stderr(), "warning: {difference}");
    }
    let replay = case.replay(token.seed, &arguments.common.plan(token.seed..token.seed.saturating_add(1)))?;
    let mut out = io::stdout().lock();
    if arguments.common.json {
        let token = Token::of(case.name(), &options, binary);
        json::print(&mut out, &json::replay(&replay, &token, &options, arguments.log))?;
    } else {
        let tone = tone(&out);
        out.write_all(tell_replay(&replay, arguments.log, tone).as_bytes())?;
        writeln!(out, "  {options:?}")?;
    }
    out.flush()?;
    Ok(replay.outcome.verdict)
}
