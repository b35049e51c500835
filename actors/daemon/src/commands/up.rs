//! `up`: a node for people. Says where it is, what to try and how it ends.

use crate::aside::Aside;
use crate::at_work::{self, AtWork};
use crate::config::{Flags, Settings};
use crate::directory::DIRECTORY_DEFAULT;
use crate::exit::{Code, Failure};
use crate::log;
use crate::program::{Invocation, Suggestion};
use crate::sample;
use crate::signals::OnHangup;
use crate::terminal::Tone;
use clap::Args;
use odeon::App;
use odeon::Node;
use odeon::directory::{ServiceDescription, ServiceKind};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon up
  odeon up --dir /tmp/demo --http 127.0.0.1:0
  odeon up --config odeon.toml --log info";

/// Which log lines are written by default: what a person should look at.
const LOG_DEFAULT: &str = "warn";
/// Most calls that are suggested.
const SUGGESTIONS_MAX: usize = 4;

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration file (TOML); flags beat it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Runs until Ctrl-C.
///
/// # Errors
/// The configuration cannot be used, or the node cannot start.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments, app: App) -> Result<Code, Failure> {
    let settings = Settings::load(&arguments.flags, arguments.config.as_deref())?;
    let mut log = log::start(arguments.flags.log.as_deref(), settings.log.as_deref(), LOG_DEFAULT)?;
    let terminal = invocation.terminal;
    terminal.progress(format_args!("Starting {} in {} ...", settings.name, settings.directory.display()))?;
    let aside = Aside::start(std::io::stdout())?;
    let ended = at_work::run(
        &settings,
        &mut log,
        app,
        OnHangup::End,
        |at_work| aside.line(&banner(invocation, &settings, at_work)),
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

/// A command line that works when it is typed.
struct Typed<'a> {
    program: &'a str,
    directory: &'a Path,
}

impl Typed<'_> {
    fn with(&self, command: &str, arguments: &str) -> String {
        let mut line = format!("{} {command}", self.program);
        if !arguments.is_empty() {
            line.push(' ');
            line.push_str(arguments);
        }
        if self.directory != Path::new(DIRECTORY_DEFAULT) {
            line.push_str(" --dir ");
            line.push_str(&quoted(&self.directory.display().to_string()));
        }
        line
    }
}

fn curl(suggestion: &Suggestion, host: &str) -> String {
    let Suggestion { service, key, method, arguments } = suggestion;
    let key = key.as_ref().map(|key| format!("/{key}")).unwrap_or_default();
    let body = quoted(arguments);
    // the gateway writes a namespace so
    let service = service.replace('/', ".");
    format!("curl -s -H 'content-type: application/json' -d {body} http://{host}/v1/{service}{key}/{method}")
}

fn call(suggestion: &Suggestion) -> String {
    let Suggestion { service, key, method, arguments } = suggestion;
    let key = key.as_ref().map(|key| format!("#{key}")).unwrap_or_default();
    format!("{} {method} {}", quoted(&format!("{service}{key}")), quoted(arguments))
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The first method of each service that takes its arguments, with sample arguments.
fn from_schemas(node: &Node) -> Vec<Suggestion> {
    node.services().iter().filter_map(|status| from_schema(node, &status.description)).collect()
}

fn from_schema(node: &Node, description: &ServiceDescription) -> Option<Suggestion> {
    let service = node.dynamic(&description.name)?;
    let mut generator = SchemaGenerator::default();
    let arguments = service.schema(0, &mut generator).arguments.to_value();
    let definitions: Map<String, Value> = generator.take_definitions(true);
    Some(Suggestion {
        service: description.name.to_string(),
        key: (description.kind == ServiceKind::Entity).then(|| "one".into()),
        method: description.methods.first()?.name.into(),
        arguments: sample::of(&arguments, &definitions).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion() -> Suggestion {
        Suggestion {
            service: "counter".into(),
            key: Some("apples".into()),
            method: "add".into(),
            arguments: r#"{"note":"it's"}"#.into(),
        }
    }

    #[test]
    fn a_suggestion_is_quoted_for_a_shell() {
        let line = curl(&suggestion(), "127.0.0.1:8080");
        assert!(
            line.contains(r#"-d '{"note":"it'\''s"}' http://127.0.0.1:8080/v1/counter/apples/add"#),
            "{line}"
        );
        assert_eq!(call(&suggestion()), r#"'counter#apples' add '{"note":"it'\''s"}'"#);
    }

    #[test]
    fn a_command_names_the_directory_unless_it_is_the_usual_one() {
        let usual = Typed { program: "odeon", directory: Path::new(".odeon") };
        assert_eq!(usual.with("tree", ""), "odeon tree");
        let other = Typed { program: "target/odeon", directory: Path::new("/tmp/a b") };
        assert_eq!(other.with("stop", ""), "target/odeon stop --dir '/tmp/a b'");
    }
}
