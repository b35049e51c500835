//! `cluster`: the authority of a cluster and the certificates of its nodes, in one directory.

mod certificate;
pub(crate) mod files;
mod init;
mod report;
mod show;

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::{Args, Subcommand};
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster init --name shop --directory shop-cluster --nodes north,south,west
  odeon cluster certificate east --directory shop-cluster --days 90
  odeon cluster show --directory shop-cluster";

/// Ten years: an authority outlives what it signs. It is the most that can be asked for, too.
const DAYS_MAX: u64 = 3_650;

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the authority of a new cluster, and certificates for its first nodes
    #[command(after_help = init::EXAMPLES)]
    Init(init::Arguments),
    /// Issue the certificate of one more node or of a client, or replace one
    #[command(after_help = certificate::EXAMPLES)]
    Certificate(certificate::Arguments),
    /// Show the cluster's id, its authority, and until when each certificate holds
    #[command(after_help = show::EXAMPLES)]
    Show(show::Arguments),
}

/// Runs one of them.
///
/// # Errors
/// Why it did not do what was asked.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    match &arguments.command {
        Command::Init(arguments) => init::run(invocation, arguments),
        Command::Certificate(arguments) => certificate::run(invocation, arguments),
        Command::Show(arguments) => show::run(invocation, arguments),
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}
