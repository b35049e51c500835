//! `cluster certificate`: the certificate of one node, or of a client.

use super::files::Files;
use super::report::Report;
use super::{DAYS_MAX, days};
use crate::date;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use odeon::core::NodeName;
use odeon::remote::Subject;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster certificate east --directory shop-cluster
  odeon cluster certificate north --directory shop-cluster --days 90 --overwrite
  odeon cluster certificate reports --client --directory shop-cluster";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The name of the node, or of the client
    name: NodeName,
    /// For a program outside of the cluster, which calls services and is no node
    #[arg(long)]
    client: bool,
    /// The directory that `cluster init` made
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// How long it holds, but no longer than the authority
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
    days: u64,
    /// Replace the one that is there
    #[arg(long)]
    overwrite: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Issues it.
///
/// # Errors
/// There is no authority, there is a certificate already, or the files cannot be written.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let files = Files::at(&arguments.directory);
    let authority = files.read_authority()?;
    let Arguments { name, client, .. } = arguments;
    let subject = if *client { Subject::Client(name.clone()) } else { Subject::Node(name.clone()) };
    let directory = files.of(&subject);
    if directory.exists() && !arguments.overwrite {
        return Err(Failure::failed(format_args!("{} exists already", directory.display()))
            .advice("--overwrite replaces it; the one in use goes on holding until it expires"));
    }
    let now = date::now();
    let days = days(arguments.days);
    let issued =
        if *client { authority.issue_client(name, days, now) } else { authority.issue(name, days, now) };
    files.write(&subject, &issued.map_err(Failure::failed)?)?;
    let report = Report::of(&files, &authority, &[subject], now);
    report.print(&invocation.terminal, arguments.json)?;
    Ok(Code::Done)
}
