//! What can be typed: the subcommands, their common flags, and their help.

use crate::commands::{config, node, up};
use crate::exit::{CODES, Code, Failure};
use crate::program::Invocation;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use odeon::App;
use std::ffi::OsString;
use std::io;

/// Write services as actors, run them on a node, call them over HTTP.
#[derive(Debug, Parser)]
#[command(name = "odeon", version, arg_required_else_help = true, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node for people: prints URLs and what to try, runs until Ctrl-C
    #[command(after_help = up::EXAMPLES)]
    Up(up::Arguments),
    /// Start a node for machines: no banner, JSON log lines, stops on SIGTERM
    #[command(after_help = node::EXAMPLES)]
    Node(node::Arguments),
    /// Show the effective configuration, as a file that says all of it
    #[command(after_help = config::EXAMPLES)]
    Config(config::Arguments),
}

/// Parses and runs.
///
/// # Errors
/// Why the command did not do what was asked.
pub(crate) fn run(
    invocation: &Invocation,
    arguments: Vec<OsString>,
    app: impl FnOnce() -> App,
) -> Result<Code, Failure> {
    let matches = command(&invocation.name).try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| CommandLine::from_arg_matches(&matches));
    let command = match parsed {
        Ok(line) => line.command,
        Err(error) => return explain(&error),
    };
    match command {
        Command::Up(arguments) => up::run(invocation, &arguments, app()),
        Command::Node(arguments) => node::run(&arguments, app()),
        Command::Config(arguments) => config::run(invocation, &arguments),
    }
}

/// The definition, with the name of the program in its examples: a program with services of its own has the same
/// commands.
fn command(name: &str) -> clap::Command {
    let own = name.to_owned();
    CommandLine::command().bin_name(own.clone()).after_help(CODES).mut_subcommands(|sub| {
        let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
        sub.after_help(format!("{}\n\n{CODES}", examples.replace("odeon ", &format!("{own} "))))
    })
}

/// Help and version are no failures; everything else is one of usage.
fn explain(error: &clap::Error) -> Result<Code, Failure> {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Done,
        _ => Code::Usage,
    };
    match error.print() {
        Err(gone) if gone.kind() != io::ErrorKind::BrokenPipe => Err(gone.into()),
        _ => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command("odeon").debug_assert();
    }

    #[test]
    fn every_command_has_examples_in_the_name_of_the_program_and_lists_the_exit_codes() {
        for sub in command("hello").get_subcommands().filter(|c| c.get_name() != "help") {
            let help = sub.clone().render_help().to_string();
            assert!(help.contains("Examples:\n  hello "), "{help}");
            assert!(!help.contains("odeon "), "{help}");
            assert!(help.contains("Exit codes:"), "{help}");
        }
    }
}
