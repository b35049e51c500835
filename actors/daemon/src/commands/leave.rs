//! `leave`: the node gives its work away, stops in order, and is a member no more.

use super::{drain, stop};
use crate::duration;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use clap::Args;
use serde::Serialize;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon leave
  odeon leave --within 60s --dir /var/lib/odeon";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long what runs may take to finish; a few seconds later the node ends all the same [default: as configured]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    within: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Left {
    /// The node that has left.
    node: String,
}

/// As `stop`; but nothing is done unless the cluster knows of it first.
///
/// # Errors
/// The cluster group does not take it, and the node goes on; or the node does not end in order.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let Arguments { within, json, target } = arguments;
    target.is_one()?;
    let remote = Remote::find(target)?;
    let (members, _) = drain::drained(&remote).await?;
    stop::begin(&remote, target, *within).await?.ended().await?;
    match json {
        true => invocation.terminal.json(&Left { node: members.node })?,
        false => invocation.terminal.line(format_args!("{} has left.", members.node))?,
    }
    Ok(Code::Done)
}
