//! What can be typed: the subcommands, their common flags, and their help.

use crate::commands::{
    self, bench, call, cluster, config, doctor, drain, dump, leave, links, members, new, node, ps, services,
    status, stop, topics, tree, up,
};
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
    /// Start a cluster of three nodes for people: prints URLs and what to try, runs until Ctrl-C
    #[command(after_help = up::EXAMPLES)]
    Up(up::Arguments),
    /// Start a node for machines: no banner, JSON log lines, stops on SIGTERM
    #[command(after_help = node::EXAMPLES)]
    Node(node::Arguments),
    /// Show whether the node is up and ready, and what it has done
    #[command(after_help = status::EXAMPLES)]
    Status(status::Arguments),
    /// List activations: what runs, what waits in mailboxes
    #[command(after_help = ps::EXAMPLES)]
    Ps(ps::Arguments),
    /// List services, or show the methods, arguments and schemas of one
    #[command(after_help = services::EXAMPLES)]
    Services(services::Arguments),
    /// Call a method of a service or an entity
    #[command(after_help = call::EXAMPLES)]
    Call(call::Arguments),
    /// Show the supervision tree: mailboxes, restarts and their reasons, stuck handlers
    #[command(after_help = tree::EXAMPLES)]
    Tree(tree::Arguments),
    /// Show the links to other nodes: who is connected, what became of messages, rates
    #[command(after_help = links::EXAMPLES)]
    Links(links::Arguments),
    /// List topics, or show the members of one: who is told of what is published to it
    #[command(after_help = topics::EXAMPLES)]
    Topics(topics::Arguments),
    /// Show the members of the cluster, and those that are none any more and why
    #[command(after_help = members::EXAMPLES)]
    Members(members::Arguments),
    /// Tell all that shows why a node misbehaves: stuck handlers, queues, timers, last events
    #[command(after_help = dump::EXAMPLES)]
    Dump(dump::Arguments),
    /// Measure a method: load over HTTP through the gateway
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Arguments),
    /// Write a small project with a service, a test and a README
    #[command(after_help = new::EXAMPLES)]
    New(new::Arguments),
    /// Make a cluster's authority and certificates; show and change the group that agrees on its members
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(cluster::Arguments),
    /// Show the effective configuration, as a file that says all of it
    #[command(after_help = config::EXAMPLES)]
    Config(config::Arguments),
    /// Say what keeps a node from starting, joining or being fast, and what to do; before its first start, too
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Arguments),
    /// Stop the node in order and wait until it has ended
    #[command(after_help = stop::EXAMPLES)]
    Stop(stop::Arguments),
    /// Have the node take no more work: it is not ready, and goes on to run
    #[command(after_help = drain::EXAMPLES)]
    Drain(drain::Arguments),
    /// Have the node leave its cluster: drain it, stop it in order and wait until it has ended
    #[command(after_help = leave::EXAMPLES)]
    Leave(leave::Arguments),
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
        Command::New(arguments) => new::run(invocation, &arguments),
        Command::Cluster(arguments) => cluster::run(invocation, &arguments),
        Command::Config(arguments) => config::run(invocation, &arguments),
        Command::Doctor(arguments) => commands::block_on(doctor::run(invocation, &arguments, app())),
        Command::Status(arguments) => commands::block_on(status::run(invocation, &arguments)),
        Command::Ps(arguments) => commands::block_on(ps::run(invocation, &arguments)),
        Command::Services(arguments) => commands::block_on(services::run(invocation, &arguments)),
        Command::Call(arguments) => commands::block_on(call::run(invocation, &arguments)),
        Command::Tree(arguments) => commands::block_on(tree::run(invocation, &arguments)),
        Command::Links(arguments) => commands::block_on(links::run(invocation, &arguments)),
        Command::Topics(arguments) => commands::block_on(topics::run(invocation, &arguments)),
        Command::Members(arguments) => commands::block_on(members::run(invocation, &arguments)),
        Command::Dump(arguments) => commands::block_on(dump::run(invocation, &arguments)),
        Command::Bench(arguments) => commands::block_on(bench::run(invocation, &arguments)),
        Command::Stop(arguments) => commands::block_on(stop::run(invocation, &arguments)),
        Command::Drain(arguments) => commands::block_on(drain::run(invocation, &arguments)),
        Command::Leave(arguments) => commands::block_on(leave::run(invocation, &arguments)),
    }
}

/// The definition, with the name of the program in its examples: a program with services of its own has the same
/// commands.
fn command(name: &str) -> clap::Command {
    CommandLine::command()
        .bin_name(name.to_owned())
        .after_help(CODES)
        .mut_subcommands(|sub| explained(sub, name))
}

/// A subcommand, and all below it, with examples in the name of the program and the exit codes.
fn explained(sub: clap::Command, own: &str) -> clap::Command {
    let mut examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
    // where a command begins, not where Odeon is spoken of
    for before in ["  ", "| "] {
        examples = examples.replace(&format!("{before}odeon "), &format!("{before}{own} "));
    }
    sub.after_help(format!("{examples}\n\n{CODES}")).mut_subcommands(|below| explained(below, own))
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
        let all = command("hello");
        let below = all.get_subcommands().flat_map(clap::Command::get_subcommands);
        for sub in all.get_subcommands().chain(below).filter(|c| c.get_name() != "help") {
            let help = sub.clone().render_help().to_string();
            assert!(help.contains("Examples:\n  hello "), "{help}");
            assert!(!help.contains("  odeon ") && !help.contains("| odeon "), "{help}");
            assert!(help.contains("Exit codes:"), "{help}");
        }
    }
}
