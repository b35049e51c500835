//! A cluster of real nodes, started by the program `odeon`: formation, idle cost, crashes, hand-offs.

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use odeon_peers::cluster::report::Report;
use odeon_peers::cluster::{Settings, Workload, keeper, measure};
use odeon_peers::machine;
use odeon_peers::servers::DAEMON;
use serde::Serialize;
use std::path::PathBuf;

/// Measures clusters of processes on loopback and prints a table of what was wanted and what came out.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// Rounds of formation, crash, detect and handoff.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Little work, one round: only to see that all runs.
    #[arg(long)]
    quick: bool,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// The program.
    #[arg(long, default_value = DAEMON)]
    daemon: PathBuf,
    /// All numbers as JSON.
    #[arg(long)]
    json: bool,
    /// Begins what is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What a process does that the measurement has started.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
enum Part {
    /// Runs a program until standard input ends.
    #[command(hide = true)]
    Keep {
        program: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// All that came out, for `--json`.
#[derive(Debug, Serialize)]
struct Measured {
    machine: String,
    rounds: usize,
    #[serde(flatten)]
    report: Report,
}

fn main() -> Result<()> {
    let Options { rounds, quick, only, daemon, json, seed, part } = Options::parse();
    if let Some(Part::Keep { program, arguments }) = part {
        return keeper::keep(&program, &arguments);
    }
    let machine = machine::describe();
    let rounds = if quick { 1 } else { rounds };
    let workloads = if only.is_empty() { Workload::value_variants().to_vec() } else { only };
    let report = measure(&workloads, &Settings { daemon, rounds, quick, seed })?;
    if json {
        println!("{}", serde_json::to_string_pretty(&Measured { machine, rounds, report })?);
        return Ok(());
    }
    println!("{machine}; {rounds} rounds\n\n{}", report.table());
    Ok(())
}
