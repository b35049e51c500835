//! `cluster upgrade`: once all nodes run a later version, the cluster may use what that can do.

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use clap::Args;
use odeon_actors::management::api::UpgradeRequest;
use serde::Serialize;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster upgrade
  odeon cluster upgrade --json";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Upgraded {
    level: u32,
    epoch: u64,
}

/// Raises the feature level by one.
///
/// # Errors
/// The node cannot be asked, or the cluster group does not take it.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let level = remote.members().await?.level.saturating_add(1);
    // by its number: if somebody else does the same meanwhile, it is raised once
    let decided = remote.upgrade(&UpgradeRequest { level: Some(level) }).await?;
    let epoch = decided.epoch;
    match arguments.json {
        true => invocation.terminal.json(&Upgraded { level, epoch })?,
        false => invocation.terminal.line(format_args!(
            "The feature level is {level} since epoch {epoch}. Nodes that cannot read it do not join any more."
        ))?,
    }
    Ok(Code::Done)
}
