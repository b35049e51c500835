//! `status`: the node at one look.

use crate::duration::show;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::{Terminal, Tone};
use clap::Args;
use odeon_actors::management::api::Status;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon status
  odeon status --json
  odeon status --node http://127.0.0.1:8081 --token-file /var/lib/odeon/token";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints it. A node that is not ready is a failure, so that scripts can wait for it.
///
/// # Errors
/// The node cannot be asked.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let status = Remote::find(&arguments.target)?.status().await?;
    let terminal = invocation.terminal;
    if arguments.json {
        terminal.json(&status)?;
    } else {
        print(&terminal, &status)?;
    }
    Ok(if status.ready { Code::Done } else { Code::Failed })
}

fn print(terminal: &Terminal, status: &Status) -> Result<(), Failure> {
    let state = match (status.stopping, status.ready) {
        (true, _) => terminal.paint(Tone::Warning, "stopping"),
        (false, true) => terminal.paint(Tone::Good, "ready"),
        (false, false) => terminal.paint(Tone::Bad, "not ready"),
    };
    let mut rows = vec![
        ("node", format!("{} {state}", terminal.paint(Tone::Strong, &status.node))),
        ("uptime", show(Duration::from_millis(status.uptime_ms))),
        ("version", status.version.clone()),
        ("services", status.services.to_string()),
        ("executors", status.executors.to_string()),
    ];
    rows.extend(status.withheld.iter().map(|why| ("not ready", terminal.paint(Tone::Bad, why))));
    rows.extend(status.resident_bytes.map(|bytes| ("memory", format!("{:.1} MB", bytes as f64 / 1e6))));
    if let Some(gateway) = &status.gateway {
        rows.push(("http", format!("http://{}", gateway.address)));
        rows.push(("connections", gateway.connections.to_string()));
        let seen = gateway.responses.iter().filter(|(_, count)| **count > 0);
        let responses: Vec<_> = seen.map(|(class, count)| format!("{count} with {class}")).collect();
        let responses = if responses.is_empty() { "none".into() } else { responses.join(", ") };
        rows.push(("responses", responses));
    }
    for (name, value) in rows {
        terminal
            .line(format_args!("{}  {value}", terminal.paint(Tone::Quiet, format_args!("{name:<11}"))))?;
    }
    Ok(())
}
