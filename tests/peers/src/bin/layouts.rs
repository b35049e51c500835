//! How shall a node use threads? The three layouts do the same work in interleaved rounds.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use odeon_peers::layouts::{Layout, Work};
use odeon_peers::load::{Posted, Wrk};
use odeon_peers::rounds::{Numbers, run_child};
use odeon_peers::servers::Running;
use odeon_peers::workload::{Metric, Sample, Sizes};
use odeon_peers::{machine, table};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// No measurement takes this long.
const WITHIN: Duration = Duration::from_secs(120);

/// Measures the three layouts against each other and prints the table of the decision record.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds: each measures every layout once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of load for each measurement over HTTP, after one second that does not count.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Little work, one round: only to see that all runs.
    #[arg(long)]
    quick: bool,
    /// All numbers as JSON.
    #[arg(long)]
    json: bool,
    /// Begins the order of the layouts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The layout of this process.
    #[arg(long, hide = true)]
    layout: Option<Layout>,
    /// Measure in this process.
    #[arg(long, hide = true)]
    work: Option<Work>,
    /// Serve in this process.
    #[arg(long, hide = true)]
    serve: Option<SocketAddr>,
}

impl Options {
    fn child(&self, layout: Layout) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--layout", &layout.name()]);
        if self.quick {
            command.arg("--quick");
        }
        Ok(command)
    }

    fn measure(&self, layout: Layout, work: Work) -> Result<Vec<Sample>> {
        let mut command = self.child(layout)?;
        command.args(["--work", &work.name()]);
        Ok(serde_json::from_str(&run_child(command, WITHIN)?)?)
    }

    fn measure_http(&self, layout: Layout, posted: Posted, wrk: &Wrk) -> Result<Vec<Sample>> {
        let running = Running::start(|address, _| {
            let mut command = self.child(layout)?;
            command.args(["--serve", &address.to_string()]);
            Ok(command)
        })?;
        wrk.post(&running.url(), posted, Duration::from_secs(1))?;
        let before = machine::cpu_time(running.id())?;
        let time = Duration::from_secs(if self.quick { 1 } else { self.seconds });
        let report = wrk.post(&running.url(), posted, time)?;
        let used = machine::cpu_time(running.id())?.saturating_sub(before);
        let (requests, cpu) = match posted {
            Posted::Service => (Metric::ServiceRequests, Metric::ServiceCpu),
            Posted::Entities => (Metric::EntityRequests, Metric::EntityCpu),
        };
        let of = |wanted, named| {
            let sample = report.samples(used).into_iter().find(|s| s.metric == wanted);
            sample.map(|s| Sample::new(named, s.value))
        };
        Ok([of(Metric::Requests, requests), of(Metric::CpuPerRequest, cpu)].into_iter().flatten().collect())
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(address) = options.serve {
        return options.layout.context("which layout?")?.serve(address);
    }
    if let Some(work) = options.work {
        let samples = options.layout.context("which layout?")?.measure(work, &Sizes::of(options.quick))?;
        println!("{}", serde_json::to_string(&samples)?);
        // what is still running need not end in order
        std::process::exit(0);
    }
    let wrk = Wrk::prepare();
    if let Err(problem) = &wrk {
        eprintln!("HTTP IS SKIPPED: {problem:#}");
    }
    let machine = machine::describe();
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut numbers = Numbers::default();
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let mut order = Layout::value_variants().to_vec();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        let mut note = |layout: Layout, measured: Result<Vec<Sample>>| match measured {
            Ok(samples) => numbers.add(round, &layout.name(), &samples),
            Err(problem) => eprintln!("NOT MEASURED: {}: {problem:#}", layout.name()),
        };
        for work in Work::value_variants() {
            chance.shuffle(&mut order);
            for layout in order.iter().filter(|l| l.has(*work)) {
                note(*layout, options.measure(*layout, *work));
            }
        }
        for posted in [Posted::Service, Posted::Entities] {
            chance.shuffle(&mut order);
            for layout in order.iter().filter(|_| wrk.is_ok()) {
                note(
                    *layout,
                    wrk.as_ref().map_or(Ok(vec![]), |wrk| options.measure_http(*layout, posted, wrk)),
                );
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&numbers.all())?);
        return Ok(());
    }
    println!("{machine}; medians of {rounds} rounds, in brackets the median of the ratios to one executor\n");
    let names: Vec<_> = Layout::value_variants().iter().map(|l| l.name()).collect();
    println!("{}", table::by_system(&numbers, &names, &Layout::One.name()));
    Ok(())
}
