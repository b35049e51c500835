//! `cluster certificate`: the certificate of one node.

use super::files::Files;
use super::report::Report;
use super::{DAYS_MAX, days};
use crate::date;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use odeon::core::NodeName;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster certificate east --directory shop-cluster
  odeon cluster certificate north --directory shop-cluster --days 90 --overwrite";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The node's name
    node: NodeName,
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
/// There is no authority, the node has a certificate already, or the files cannot be written.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let files = Files::at(&arguments.directory);
    let authority = files.read_authority()?;
    let node = &arguments.node;
    let directory = files.node(node);
    if directory.exists() && !arguments.overwrite {
        return Err(Failure::failed(format_args!("{} exists already", directory.display()))
            .advice("--overwrite replaces it; the one in use goes on holding until it expires"));
    }
    let now = date::now();
    let credentials = authority.issue(node, days(arguments.days), now).map_err(Failure::failed)?;
    files.write_node(node, &credentials)?;
    let report = Report::of(&files, &authority, std::slice::from_ref(node), now);
    report.print(&invocation.terminal, arguments.json)?;
    Ok(Code::Done)
}
