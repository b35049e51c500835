//! `cluster`: the authority of a cluster and the certificates of its nodes, in one directory; and the group of nodes that
//! agrees on the members, asked through one of them.

mod certificate;
pub(crate) mod files;
mod init;
mod remove;
mod report;
mod show;
mod status;
mod upgrade;
mod voters;

use super::block_on;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::{Args, Subcommand};
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster init --name shop --directory shop-cluster --nodes north,south,west
  odeon cluster certificate east --directory shop-cluster --days 90
  odeon cluster show --directory shop-cluster
  odeon cluster voters
  odeon cluster remove north@3";

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
    /// Show the group that agrees on the members, as a node sees it; exit code 1 without a leader
    #[command(after_help = status::EXAMPLES)]
    Status(status::Arguments),
    /// Show who votes on the members, who may, and who only follows
    #[command(after_help = voters::EXAMPLES)]
    Voters(voters::Arguments),
    /// Raise the feature level by one, once all nodes can read it: there is no way back
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade(upgrade::Arguments),
    /// Remove a node that will not come back: others get its work at once
    #[command(after_help = remove::EXAMPLES)]
    Remove(remove::Arguments),
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
        Command::Status(arguments) => block_on(status::run(invocation, arguments)),
        Command::Voters(arguments) => block_on(voters::run(invocation, arguments)),
        Command::Upgrade(arguments) => block_on(upgrade::run(invocation, arguments)),
        Command::Remove(arguments) => block_on(remove::run(invocation, arguments)),
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}
