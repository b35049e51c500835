//! Two processes on loopback: Odeon's links, Erlang distribution and ractor_cluster in interleaved rounds.

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use odeon_peers::links::{Bench, System, Workload, idle, odeon};
use odeon_peers::rounds::Numbers;
use odeon_peers::{machine, table};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Measures messages between two processes and prints a table.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    /// Rounds: each measures every system once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Little work, one round: only to see that all runs.
    #[arg(long)]
    quick: bool,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Workload>,
    /// Only these systems.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<System>,
    /// All numbers as JSON.
    #[arg(long)]
    json: bool,
    /// Begins the order of the systems.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead of rounds: weighs so many idle links of one node.
    #[arg(long, value_name = "LINKS", num_args = 0..=1, default_missing_value = "1000")]
    idle_links: Option<usize>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What a process does that the measurement has started.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
enum Part {
    /// Has the receivers.
    #[command(hide = true)]
    Receive { system: System, folder: PathBuf },
    /// Does a workload.
    #[command(hide = true)]
    Send { system: System, folder: PathBuf, at: SocketAddr, workload: Workload, count: u64, bytes: usize },
    /// Hosts programs that link themselves to a node.
    #[command(hide = true)]
    Host { folder: PathBuf, at: SocketAddr, first: usize, count: usize },
    /// Waits for so many of them.
    #[command(hide = true)]
    Hub { folder: PathBuf, links: usize },
}

impl Part {
    fn run(self) -> Result<()> {
        match self {
            Self::Receive { system, folder } => odeon::receive(system, &folder),
            Self::Send { system, folder, at, workload, count, bytes } => {
                odeon::send(system, &folder, at, workload, (count, bytes))
            }
            Self::Host { folder, at, first, count } => idle::host(&folder, at, first, count),
            Self::Hub { folder, links } => idle::hub(&folder, links),
        }
    }
}

fn all_or<T: ValueEnum + Clone>(chosen: &[T]) -> Vec<T> {
    if chosen.is_empty() { T::value_variants().to_vec() } else { chosen.to_vec() }
}

fn weigh(bench: &Bench, links: usize) -> Result<()> {
    let machine = machine::describe();
    let weight = idle::weigh(bench.folder(), links)?;
    let grown = weight.after.saturating_sub(weight.before) as f64;
    println!("{machine}\n\n| idle links | |\n|---|---|");
    println!("| links of one node | {links} |");
    println!("| resident before the first | {:.1} MB |", weight.before as f64 / 1e6);
    println!("| added by all | {:.1} MB |", grown / 1e6);
    println!("| each | {:.1} KB |", weight.each() / 1e3);
    if links != 1_000 {
        println!("| a thousand would add (extrapolated) | {:.1} MB |", weight.each() / 1e3);
    }
    Ok(())
}

/// The systems that are there; of the others it says what is missing.
fn present(bench: &Bench, wanted: &[System]) -> Vec<System> {
    let mut systems = all_or(wanted);
    systems.retain(|system| match bench.has(*system) {
        Ok(()) => true,
        Err(problem) => {
            eprintln!("{} IS SKIPPED: {problem:#}", system.name().to_uppercase());
            false
        }
    });
    systems
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(part) = options.part {
        return part.run();
    }
    let bench = Bench::new()?;
    if let Some(links) = options.idle_links {
        return weigh(&bench, links);
    }
    let systems = present(&bench, &options.systems);
    let machine = machine::describe();
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut numbers = Numbers::default();
    let mut chance = fastrand::Rng::with_seed(options.seed);
    for round in 0..rounds {
        for workload in all_or(&options.only) {
            let mut order: Vec<_> = systems.iter().filter(|s| s.takes_part(workload)).collect();
            chance.shuffle(&mut order);
            for system in order {
                eprintln!("round {} of {rounds}: {} {}", round + 1, workload.name(), system.name());
                match bench.measure(*system, workload, options.quick) {
                    Ok(samples) => numbers.add(round, &system.name(), &samples),
                    Err(problem) => eprintln!("NOT MEASURED: {problem:#}"),
                }
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&numbers.all())?);
        return Ok(());
    }
    let names: Vec<_> = systems.iter().map(|s| s.name()).collect();
    println!("{machine}; medians of {rounds} rounds, in brackets the median of the ratios to erlang\n");
    println!("{}", table::by_system(&numbers, &names, "erlang"));
    for (system, to) in [
        ("odeon", "erlang"),
        ("odeon", "erlang-tls"),
        ("odeon", "ractor-cluster"),
        ("odeon2", "odeon"),
        ("odeon-jumbo", "odeon"),
    ] {
        println!("{}", table::ratios(&numbers, system, to));
    }
    Ok(())
}
