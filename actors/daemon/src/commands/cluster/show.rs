//! `cluster show`: until when everything holds.

use super::files::Files;
use super::report::Report;
use crate::date;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster show --directory shop-cluster
  odeon cluster show --directory shop-cluster --json | jq '.nodes[] | select(.days_left < 30)'";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The directory that `cluster init` made
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints it. A certificate that nobody could use is a failure, so that scripts can watch for it.
///
/// # Errors
/// There is no authority, or it cannot be read.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let files = Files::at(&arguments.directory);
    let authority = files.read_authority()?;
    let report = Report::of(&files, &authority, &files.list()?, date::now());
    report.print(&invocation.terminal, arguments.json)?;
    Ok(if report.has_problems() { Code::Failed } else { Code::Done })
}
