//! `cluster voters`: who votes on the members, who may, and who only follows.

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::Table;
use clap::Args;
use odeon_actors::management::api::{ClusterStatus, ReplicaSummary};
use serde::Serialize;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster voters
  odeon cluster voters --json | jq '[.replicas[] | select(.votes)] | length'";

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
struct Report<'a> {
    wanted: usize,
    founders: &'a [String],
    eligible: &'a [String],
    leader: Option<&'a str>,
    replicas: &'a [ReplicaSummary],
}

/// Prints them.
///
/// # Errors
/// The node cannot be asked, or has no cluster group.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let status = Remote::find(&arguments.target)?.cluster().await?;
    let terminal = invocation.terminal;
    if arguments.json {
        terminal.json(&Report {
            wanted: status.voters_wanted,
            founders: &status.founders,
            eligible: &status.eligible,
            leader: status.leader.as_deref(),
            replicas: &status.replicas,
        })?;
        return Ok(Code::Done);
    }
    let votes = status.replicas.iter().filter(|replica| replica.votes).count();
    terminal.line(format_args!(
        "{votes} vote, {} are wanted. Founders: {}. Eligible: {}.",
        status.voters_wanted,
        status.founders.join(", "),
        status.eligible.join(", ")
    ))?;
    if status.replicas.is_empty() {
        return Ok(terminal.line("The cluster group is not formed yet.").map(|()| Code::Done)?);
    }
    terminal.table(&table(&status))?;
    let node = status.node.split('@').next().unwrap_or_default();
    match status.leader.as_deref() {
        Some(leader) if leader == node => {}
        Some(leader) => {
            terminal.line(format_args!(
                "How many entries each of them lacks is known to the leader: ask {leader}."
            ))?;
        }
        None => terminal.line("No leader is known here.")?,
    }
    Ok(Code::Done)
}

fn table(status: &ClusterStatus) -> Table {
    let mut table = Table::new().text("node").text("replica").text("votes").text("eligible").text("member");
    table = table.number("lacks");
    let word = |is_so| if is_so { "yes" } else { "no" }.to_owned();
    for replica in &status.replicas {
        let votes = match status.leader.as_ref() {
            Some(leader) if *leader == replica.node && replica.votes => "yes, leads".into(),
            _ => word(replica.votes),
        };
        table.push([
            replica.node.clone(),
            replica.replica.clone(),
            votes,
            word(status.eligible.contains(&replica.node)),
            word(replica.is_member),
            replica.behind.map_or_else(|| "-".into(), |behind| behind.to_string()),
        ]);
    }
    table
}
