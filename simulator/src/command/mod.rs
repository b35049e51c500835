//! The command line of `odeon-sim`. It parses, runs and prints; a program with scenarios of its own calls
//! [`main`] with them and has the same commands.

mod interrupt;
mod json;
mod progress;
mod replay;
mod run;

use crate::runner::{Case, ExploreError, Plan, Shape, Tone, Verdict, parse_seeds};
use crate::scenario::Scenario;
use crate::token::{Token, TokenError};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

const EXAMPLES: &str = "\
Examples:
  odeon-sim list                                  what can be run
  odeon-sim run udp-ping --seeds 1000             the first thousand seeds
  odeon-sim run http-hello --seeds 100..200 --twice
                                                  compare two processes for each seed
  odeon-sim replay udp-ping:22 --log              one seed, with all its events
";

const RUN_EXAMPLES: &str = "\
Examples:
  odeon-sim run node-links                        a hundred seeds
  odeon-sim run node-links --seeds 5000 --reach   and what they came to
  odeon-sim run http-hello --seeds 100..200 --twice
                                                  compare two processes for each seed
";

const REPLAY_EXAMPLES: &str = "\
Examples:
  odeon-sim replay udp-ping:22                    one seed
  odeon-sim replay udp-ping:22:1f3e5a77-9c0d11ee  the same, if the program and the system are the same too
  odeon-sim replay udp-ping:22 --log              with all its events
";

/// Exit codes 1 and 2; the others are those of the verdicts.
const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "odeon-sim",
    version,
    about = "Runs scenarios under virtual time: one process for each seed, and the same again for the same seed",
    after_help = EXAMPLES
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the scenarios
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a scenario under many seeds
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Run one seed again, from a token or from SCENARIO:SEED
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The scenario; `odeon-sim list` names them
    scenario: String,
    /// How many seeds, from 0, or a range without its end
    #[arg(long, value_name = "N|A..B", default_value = "100", value_parser = seeds)]
    seeds: Range<u64>,
    /// How many seeds run at once [default: one for each CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Print how many seeds came to each fault and each rare turn of events, and to which none came
    #[arg(long)]
    reach: bool,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// A token such as udp-ping:22:1f3e5a77-9c0d11ee, or just udp-ping:22
    token: String,
    /// Print every event
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
struct CommonArguments {
    /// Run each seed in two processes with another environment, CPUs and addresses, and compare
    #[arg(long)]
    twice: bool,
    /// Wall time after which a seed is killed and counts as hung
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = limit)]
    limit: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    parse_seeds(text)
        .ok_or_else(|| "expected a number from 1 such as 1000, or a range such as 5..10".to_owned())
}

fn limit(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|limit| !limit.is_zero()).ok_or_else(|| "expected seconds, such as 30 or 0.5".to_owned())
}

/// Why a command could not do its work; it says nothing about any seed.
#[derive(Debug, Error)]
enum CommandError {
    #[error("there is no scenario `{name}`; there are: {known}")]
    NoScenario { name: String, known: String },
    #[error(
        "there is no scenario `{name}` here: it looks like a test. Replay it under cargo:\n  \
         ODEON_SEED={seed} cargo test --workspace -- --exact {name} --nocapture"
    )]
    IsTest { name: String, seed: u64 },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Explore(#[from] ExploreError),
    #[error("signals could not be listened for: {0}")]
    Signals(io::Error),
    #[error("the result could not be printed: {0}")]
    Print(#[from] io::Error),
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            CommandError::NoScenario { .. } | CommandError::IsTest { .. } | CommandError::Token(_) => {
                EXIT_USAGE
            }
            CommandError::Explore(_) | CommandError::Signals(_) | CommandError::Print(_) => EXIT_FAILED,
        }
    }
}

/// Runs the command line of this process with these scenarios.
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    let command = CommandLine::command().after_long_help(format!("{EXAMPLES}\n{}", exit_codes()));
    let matches = command.get_matches();
    let line = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    let result = match &line.command {
        Command::List { json } => list(scenarios, *json).map(Verdict::exit_code),
        Command::Run(arguments) => run::run(scenarios, arguments),
        Command::Replay(arguments) => replay::replay(scenarios, arguments).map(Verdict::exit_code),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        // Whoever closed the pipe has read enough.
        Err(CommandError::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes (of the first failing seed):\n");
    for verdict in Verdict::ALL {
        text.push_str(&format!("  {:>2}  {}\n", verdict.exit_code(), verdict.meaning()));
    }
    text.push_str("   1  the seeds could not be run\n   2  the command line makes no sense\n");
    text.push_str(" 130  no seed failed, and SIGINT ended the run before all had been run; 143 SIGTERM\n");
    text
}

fn list(scenarios: &[Scenario], json: bool) -> Result<Verdict, CommandError> {
    let mut out = io::stdout().lock();
    if json {
        json::print(&mut out, &json::scenarios(scenarios))?;
    } else {
        let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or_default();
        for Scenario { name, about, .. } in scenarios {
            writeln!(out, "{name:width$}  {about}")?;
        }
    }
    Ok(Verdict::Passed)
}

/// The case of a scenario. Both commands come back to it by `run`, where a second process becomes a zygote.
fn case(scenarios: &[Scenario], token: &Token) -> Result<Case, CommandError> {
    let name = &token.scenario;
    if let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == name) {
        return Ok(Case::new(scenario.name, ["run", scenario.name], Shape::default(), scenario.run));
    }
    if name.contains("::") || name.contains('_') {
        return Err(CommandError::IsTest { name: name.clone(), seed: token.seed });
    }
    let known: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    Err(CommandError::NoScenario { name: name.clone(), known: known.join(", ") })
}

impl CommonArguments {
    fn plan(&self, seeds: Range<u64>) -> Plan {
        Plan { twice: self.twice, limit: self.limit, ..Plan::of(seeds) }
    }
}

/// The tone for a stream; `NO_COLOR` (no-color.org) is honoured.
fn tone(stream: &impl IsTerminal) -> Tone {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && stream.is_terminal() { Tone::Coloured } else { Tone::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn each_verdict_has_an_exit_code_of_its_own() {
        let codes: std::collections::BTreeSet<u8> = Verdict::ALL.map(Verdict::exit_code).into();
        assert_eq!(codes.len(), Verdict::ALL.len());
        assert!(!codes.contains(&EXIT_FAILED) && !codes.contains(&EXIT_USAGE));
    }

    #[test]
    fn limits_are_positive_seconds() {
        assert_eq!(limit("0.5"), Ok(Duration::from_millis(500)));
        assert!(["0", "-1", "soon", "inf", "NaN"].iter().all(|wrong| limit(wrong).is_err()));
    }
}
