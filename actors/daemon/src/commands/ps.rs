//! `ps`: activations.

use crate::duration::show;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::shown;
use crate::terminal::Table;
use clap::Args;
use odeon::core::ServiceName;
use odeon_actors::management::api::CellSummary;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon ps
  odeon ps counter --entities 100
  odeon ps --json | jq '.cells[] | select(.waiting > 0)'";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only this service
    service: Option<ServiceName>,
    /// How many activations of each service are listed: the busiest
    #[arg(long, value_name = "N", default_value_t = 20)]
    entities: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Of a cell with a longer key the middle is not shown.
const CELL_CHARACTERS_MAX: usize = 64;

/// Prints them.
///
/// # Errors
/// The node cannot be asked, or has no such service.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let mut processes = remote.processes(arguments.entities).await?;
    if let Some(service) = &arguments.service {
        // an error for a service that does not exist: an empty list would look like one that is idle
        remote.service(service).await?;
        processes.cells.retain(|cell| cell.service == service.to_string());
    }
    let terminal = invocation.terminal;
    if arguments.json {
        terminal.json(&processes)?;
        return Ok(Code::Done);
    }
    terminal.table(&table(&processes.cells))?;
    if processes.unlisted > 0 && arguments.service.is_none() {
        terminal
            .line(format_args!("and {} more: --entities N lists more of each service", processes.unlisted))?;
    }
    Ok(Code::Done)
}

fn table(cells: &[CellSummary]) -> Table {
    let mut table = Table::new()
        .text("service")
        .text("cell")
        .text("phase")
        .number("waiting")
        .number("begun")
        .number("expired")
        .number("lost")
        .number("restarts")
        .text("note");
    for cell in cells {
        table.push([
            cell.service.clone(),
            shown::within(&cell.cell, CELL_CHARACTERS_MAX),
            cell.phase.clone(),
            cell.waiting.to_string(),
            cell.begun.to_string(),
            cell.expired.to_string(),
            cell.lost.to_string(),
            cell.restarts.to_string(),
            note(cell),
        ]);
    }
    table
}

/// What stands out: a stuck handler, or how it ended the last time.
fn note(cell: &CellSummary) -> String {
    match (cell.polling_ms, &cell.last_exit) {
        (Some(ms), _) => {
            let method = cell.current.as_deref().unwrap_or("a handler");
            format!("in {method} for {}", show(Duration::from_millis(ms)))
        }
        (None, Some(exit)) => exit.clone(),
        (None, None) => String::new(),
    }
}
