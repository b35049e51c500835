//! `up --nodes 1`: one node, in this very process and in no cluster.

use super::suggest::{SUGGESTIONS_MAX, Typed, call, curl, from_schemas};
use crate::aside::Aside;
use crate::at_work::{self, AtWork};
use crate::config::Settings;
use crate::exit::{Code, Failure};
use crate::log;
use crate::program::Invocation;
use crate::signals::StartedBy;
use crate::terminal::Tone;
use odeon::App;
use std::path::Path;

/// Which log lines are written by default: what a person should look at.
const LOG_DEFAULT: &str = "warn";

/// Runs until Ctrl-C.
///
/// # Errors
/// The configuration cannot be used, or the node cannot start.
pub(super) fn run(
    invocation: &Invocation,
    settings: &Settings,
    log_flag: Option<&str>,
    app: App,
) -> Result<Code, Failure> {
    let mut log = log::start(log_flag, settings.log.as_deref(), LOG_DEFAULT)?;
    let terminal = invocation.terminal;
    terminal.progress(format_args!("Starting {} in {} ...", settings.name, settings.directory.display()))?;
    let aside = Aside::start(std::io::stdout())?;
    let ended = at_work::run(
        settings,
        &mut log,
        app,
        StartedBy::Person,
        |at_work| aside.line(&banner(invocation, settings, at_work)),
        |_, _| drop(aside.line("\nStopping. Once more ends it at once.")),
    )?;
    match (ended.code, ended.killed) {
        (Code::Done, 0) => aside.last("Stopped.")?,
        (Code::Done, killed) => {
            let text = format_args!("Stopped; {killed} did not end in time.");
            aside.last(&terminal.paint(Tone::Warning, text))?;
        }
        (Code::Failed, _) => {
            aside.last(&terminal.paint(Tone::Bad, "Ended, but it did not stop in order."))?
        }
        _ => {}
    }
    Ok(ended.code)
}

fn banner(invocation: &Invocation, settings: &Settings, at_work: &AtWork) -> String {
    let terminal = invocation.terminal;
    let mut lines = Vec::new();
    let here = &at_work.whereabouts;
    let directory = settings.directory.display();
    let typed = Typed { program: &invocation.typed, directory: &settings.directory };
    let state = match at_work.is_ready {
        true => terminal.paint(Tone::Good, "is up"),
        false => terminal.paint(Tone::Warning, "is up, but not all services are ready"),
    };
    lines.push(format!(
        "Node {} {state} (process {}, files in {directory}).\n",
        terminal.paint(Tone::Strong, &here.name),
        here.pid
    ));
    lines.push(format!("  services    http://{}/v1/...  described in /openapi.json", here.http));
    lines.push(format!(
        "  management  http://{}  with the token in {}",
        here.management,
        Path::new(&settings.directory).join("token").display()
    ));
    if let Some(cluster) = &at_work.cluster {
        let (address, identity) = (cluster.address(), cluster.identity());
        lines.push(format!("  links       {address} (UDP)  as {identity}; see {}", typed.with("links", "")));
    }
    lines.push(String::new());
    let mut suggestions = invocation.suggestions.clone();
    if suggestions.is_empty() {
        suggestions = from_schemas(&at_work.node);
    }
    suggestions.truncate(SUGGESTIONS_MAX);
    lines.push("Try, in another terminal:\n".into());
    for suggestion in &suggestions {
        lines.push(format!("  {}", curl(suggestion, &here.http.to_string())));
    }
    lines.push(String::new());
    if let Some(suggestion) = suggestions.first() {
        lines.push(format!("  {}", typed.with("call", &call(suggestion))));
        lines.push(format!("  {}", typed.with("bench", &call(suggestion))));
    }
    for name in ["tree", "services"] {
        lines.push(format!("  {}", typed.with(name, "")));
    }
    lines.push(format!("\nCtrl-C stops it; so does {}.", typed.with("stop", "")));
    format!("{}{}", terminal.progressed(), lines.join("\n"))
}
