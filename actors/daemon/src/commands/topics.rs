//! `topics`: who is told of what is published.

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::shown;
use crate::terminal::{Table, Terminal, Tone};
use clap::Args;
use odeon::core::ServiceName;
use odeon_actors::management::api::{TopicDetail, Topics};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon topics
  odeon topics prices
  odeon topics prices --json | jq -r '.members[].node' | sort | uniq -c";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only this topic, with its members
    name: Option<ServiceName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Of a member with a longer key the middle is not shown.
const KEY_CHARACTERS_MAX: usize = 64;

/// Prints them.
///
/// # Errors
/// The node cannot be asked, or knows of no members.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let terminal = invocation.terminal;
    match &arguments.name {
        Some(name) => {
            let topic = remote.topic(name).await?;
            if arguments.json { terminal.json(&topic)? } else { print(&terminal, &topic)? }
        }
        None => {
            let topics = remote.topics().await?;
            if arguments.json { terminal.json(&topics)? } else { list(&terminal, &topics)? }
        }
    }
    Ok(Code::Done)
}

fn list(terminal: &Terminal, topics: &Topics) -> Result<(), Failure> {
    if topics.topics.is_empty() {
        return Ok(terminal.line("No topic has members that this node knows of.")?);
    }
    let mut table = Table::new().text("name").text("contract").number("members");
    for topic in &topics.topics {
        table.push([
            topic.name.clone(),
            format!("{} {}", topic.contract, topic.version),
            topic.members.to_string(),
        ]);
    }
    Ok(terminal.table(&table)?)
}

fn print(terminal: &Terminal, topic: &TopicDetail) -> Result<(), Failure> {
    let name = terminal.paint(Tone::Strong, &topic.name);
    let (contract, version) = (&topic.contract, &topic.version);
    terminal.line(format_args!("{name}  contract {contract} {version}"))?;
    let mut table = Table::new().text("member").text("node");
    for member in &topic.members {
        let name = match &member.key {
            Some(key) => format!("{}#{}", member.service, shown::within(key, KEY_CHARACTERS_MAX)),
            None => member.service.clone(),
        };
        table.push([name, member.node.clone()]);
    }
    Ok(terminal.table(&table)?)
}
