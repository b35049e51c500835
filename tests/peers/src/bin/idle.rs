//! What a node costs that has nothing to do: resident memory and CPU time of the program `odeon`.

use anyhow::{Context, Result};
use clap::Parser;
use odeon_peers::machine;
use odeon_peers::servers::{DAEMON, Running, daemon};
use std::path::PathBuf;
use std::time::Duration;

/// Starts `odeon node` with the example services, calls it once, and watches it do nothing.
#[derive(Debug, Parser)]
struct Options {
    /// Seconds of watching.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// The program.
    #[arg(long, default_value = DAEMON)]
    daemon: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let running = Running::start(|address, folder| Ok(daemon(&options.daemon, address, folder)))
        .context("cargo build --release in the main workspace makes the program")?;
    let time = Duration::from_secs(options.seconds);
    let before = machine::cpu_time(running.id())?;
    std::thread::sleep(time);
    let used = machine::cpu_time(running.id())?.saturating_sub(before);
    let resident = machine::resident_of(running.id())? as f64 / 1e6;
    println!("{}\n", machine::describe());
    println!("| idle node | |\n|---|---|");
    println!("| resident memory | {resident:.1} MB |");
    println!(
        "| CPU time in {} s | {} ms ({:.2} % of a core) |",
        options.seconds,
        used.as_millis(),
        share(used, time)
    );
    Ok(())
}

/// In percent.
fn share(used: Duration, of: Duration) -> f64 {
    100.0 * used.as_secs_f64() / of.as_secs_f64()
}
