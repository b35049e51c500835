//! `cluster status`: the cluster group as the replica of a node sees it.

use crate::duration::show;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::{Terminal, Tone};
use clap::Args;
use odeon_actors::management::api::{ClusterStatus, ReplicaRole};
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster status
  odeon cluster status --json | jq .leader";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints it. A group without a leader that is known, or a replica that has ended, is a failure, so that scripts can
/// watch for it.
///
/// # Errors
/// The node cannot be asked, or has no cluster group.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let status = Remote::find(&arguments.target)?.cluster().await?;
    match arguments.json {
        true => invocation.terminal.json(&status)?,
        false => print(&invocation.terminal, &status)?,
    }
    let is_well = status.leader.is_some() && status.failure.is_none();
    Ok(if is_well { Code::Done } else { Code::Failed })
}

fn print(terminal: &Terminal, status: &ClusterStatus) -> Result<(), Failure> {
    let role = match status.role {
        ReplicaRole::Learner if status.replicas.is_empty() => {
            terminal.paint(Tone::Warning, "is in no group yet")
        }
        ReplicaRole::Leader => terminal.paint(Tone::Good, "leads"),
        ReplicaRole::Follower => terminal.paint(Tone::Good, "votes and follows"),
        ReplicaRole::Candidate => terminal.paint(Tone::Warning, "votes and wants to be elected"),
        ReplicaRole::Learner => terminal.paint(Tone::Good, "follows and does not vote"),
        ReplicaRole::Ended => terminal.paint(Tone::Bad, "has ended"),
    };
    let leader = match &status.leader {
        Some(leader) => leader.clone(),
        None => terminal.paint(Tone::Bad, "none that is known here: a majority of the voters has to run"),
    };
    let names = |votes| {
        let names = status.replicas.iter().filter(|replica| replica.votes == votes);
        let names: Vec<&str> = names.map(|replica| &*replica.node).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    let index = |index: Option<u64>| index.map_or_else(|| "none".into(), |index| index.to_string());
    let mut rows = vec![
        ("node", terminal.paint(Tone::Strong, &status.node)),
        ("replica", format!("{}, which {role}", status.replica)),
        ("leader", leader),
        ("term", status.term.to_string()),
    ];
    let heard = status.quorum_heard_ms.map(|heard| format!("{} ago", show(Duration::from_millis(heard))));
    rows.extend(heard.map(|heard| ("majority", heard)));
    rows.extend([
        ("last", index(status.last)),
        ("applied", index(status.applied)),
        ("snapshot", index(status.snapshot)),
        ("voters", names(true)),
        ("learners", names(false)),
    ]);
    rows.extend(status.failure.iter().map(|failure| ("failure", terminal.paint(Tone::Bad, failure))));
    for (name, value) in rows {
        terminal
            .line(format_args!("{}  {value}", terminal.paint(Tone::Quiet, format_args!("{name:<11}"))))?;
    }
    Ok(())
}
