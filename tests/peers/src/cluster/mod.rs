//! A cluster of real nodes: how long it takes to form, what it costs when idle, what callers see of a node that dies or
//! stops in order, and when others notice.
//!
//! Reading order: [`node`] is a node as its directory shows it, [`started`] makes clusters of them with the program
//! `odeon`, and [`keeper`] lets none outlive the measurement; [`callers`] are the load over [`http`], [`ledger`] is what
//! they have seen; [`turns`] is what the rounds of [`crash`] and [`handoff`] share, [`watch`] what other nodes notice;
//! [`formation`] and [`directory`] stand for themselves; [`report`] prints.

pub mod callers;
pub mod crash;
pub mod directory;
pub mod formation;
pub mod handoff;
pub mod http;
pub mod keeper;
pub mod ledger;
pub mod node;
pub mod report;
pub mod started;
pub mod turns;
pub mod watch;

use anyhow::{Context, Result};
use clap::ValueEnum;
use report::Report;
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Five processes that are started at once become a cluster.
    Formation,
    /// Memory and CPU time of nodes that do nothing.
    Idle,
    /// Callers go on while a node is killed.
    Crash,
    /// Others notice that: the same kills.
    Detect,
    /// Callers go on while a node is stopped in order.
    Handoff,
    /// All nodes hear of a new service.
    Directory,
}

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program `odeon`.
    pub daemon: PathBuf,
    /// How often each workload is done that has rounds.
    pub rounds: usize,
    /// Little work: only to see that all runs.
    pub quick: bool,
    /// Begins what is left to chance.
    pub seed: u64,
}

/// Measures these workloads, one after another. One that fails is reported to whoever waits, and has no numbers.
///
/// # Errors
/// There is no program, or the system gives no runtime.
pub fn measure(workloads: &[Workload], settings: &Settings) -> Result<Report> {
    let daemon = settings.daemon.display();
    anyhow::ensure!(
        settings.daemon.exists(),
        "there is no {daemon}: cargo build --release in the main workspace makes it"
    );
    // one thread is enough for callers, and leaves the rest of the machine to the nodes
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let has = |workload| workloads.contains(&workload);
    let mut report = Report::default();
    let mut take = |workload: &str, result: Result<Report>| match result {
        Ok(more) => report.extend(more),
        Err(problem) => eprintln!("{workload} NOT MEASURED: {problem:#}"),
    };
    if has(Workload::Formation) {
        take("formation", runtime.block_on(formation::formation(settings)));
    }
    if has(Workload::Idle) {
        take("idle", runtime.block_on(formation::idle(settings)));
    }
    if has(Workload::Crash) || has(Workload::Detect) {
        let kills = runtime.block_on(crash::kills(settings)).context("kills");
        take(
            "crash",
            kills.map(|kills| {
                let mut report = Report::default();
                if has(Workload::Crash) {
                    report.extend(kills.of_callers());
                }
                if has(Workload::Detect) {
                    report.extend(kills.of_others());
                }
                report
            }),
        );
    }
    if has(Workload::Handoff) {
        take("handoff", runtime.block_on(handoff::handoff(settings)));
    }
    if has(Workload::Directory) {
        take("directory", directory::directory(settings));
    }
    Ok(report)
}
