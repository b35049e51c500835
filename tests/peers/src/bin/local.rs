//! Actors in one process: Odeon, ractor, tokio's channels, actix and Erlang do the same work in interleaved rounds.

use anyhow::{Context, Result};
use clap::Parser;
use odeon_peers::rounds::{Numbers, run_child};
use odeon_peers::systems::{Erlang, System};
use odeon_peers::workload::{Sample, Sizes, Workload};
use odeon_peers::{machine, table};
use std::process::Command;
use std::time::Duration;

/// No measurement takes this long.
const WITHIN: Duration = Duration::from_secs(180);

/// Measures actors in one process against each other and prints a table.
#[derive(Debug, Parser)]
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
    /// Measure one system in this process.
    #[arg(long, hide = true, num_args = 0)]
    child: bool,
}

fn all_or<T: clap::ValueEnum + Clone>(chosen: &[T]) -> Vec<T> {
    if chosen.is_empty() { T::value_variants().to_vec() } else { chosen.to_vec() }
}

fn child(options: &Options) -> Result<()> {
    let (system, workload) = (options.systems.first(), options.only.first());
    let (system, workload) = (system.context("which system?")?, workload.context("which workload?")?);
    let samples = system.measure(*workload, &Sizes::of(options.quick))?;
    println!("{}", serde_json::to_string(&samples)?);
    // what is still running need not end in order
    std::process::exit(0)
}

/// One measurement in a process of its own.
fn measure(system: System, workload: Workload, quick: bool, erlang: Option<&Erlang>) -> Result<Vec<Sample>> {
    if let (System::Erlang, Some(erlang)) = (system, erlang) {
        return Sample::read_all(&run_child(erlang.command(workload, &Sizes::of(quick)), WITHIN)?);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", "--systems", &system.name(), "--only", &workload.name()]);
    if quick {
        command.arg("--quick");
    }
    Ok(serde_json::from_str(&run_child(command, WITHIN)?)?)
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.child {
        return child(&options);
    }
    let mut systems = all_or(&options.systems);
    let erlang = Erlang::compile();
    if let Err(problem) = &erlang
        && systems.contains(&System::Erlang)
    {
        eprintln!("ERLANG IS SKIPPED: {problem:#}");
        systems.retain(|s| *s != System::Erlang);
    }
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
                match measure(*system, workload, options.quick, erlang.as_ref().ok()) {
                    Ok(samples) => numbers.add(round, &system.name(), &samples),
                    Err(problem) => eprintln!("NOT MEASURED: {problem:#}"),
                }
            }
        }
    }
    let names: Vec<_> = systems.iter().map(|s| s.name()).collect();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&numbers.all())?);
        return Ok(());
    }
    println!("{machine}; medians of {rounds} rounds, in brackets the median of the ratios to ractor\n");
    println!("{}", table::by_system(&numbers, &names, "ractor"));
    for (system, to) in [
        ("odeon", "ractor"),
        ("odeon2", "ractor"),
        ("odeon", "ractor1"),
        ("odeon", "erlang"),
        ("odeon2", "erlang"),
    ] {
        println!("{}", table::ratios(&numbers, system, to));
    }
    Ok(())
}
