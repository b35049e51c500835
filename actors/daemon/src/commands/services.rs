//! `services`: what can be called.

mod catalogue;

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::shown;
use crate::terminal::{Table, Terminal, Tone};
use catalogue::Catalogue;
use clap::Args;
use odeon::core::ServiceName;
use odeon::directory::ServiceKind;
use odeon_actors::management::api::{MethodDetail, ServiceDetail, ServiceElsewhere, Services};
use serde_json::Value;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon services
  odeon services counter
  odeon services --versions
  odeon services checkout --json | jq '.methods[].arguments'";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only this service, with its methods
    name: Option<ServiceName>,
    /// What all members of the cluster offer: versions, how many nodes have each, and which
    #[arg(long, conflicts_with = "name")]
    versions: bool,
    /// Print JSON; for one service with its schemas
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints them.
///
/// # Errors
/// The node cannot be asked, or has no such service.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let terminal = invocation.terminal;
    match &arguments.name {
        Some(name) => {
            let detail = remote.service(name).await?;
            if arguments.json { terminal.json(&detail)? } else { print(&terminal, &detail)? }
        }
        None if arguments.versions => {
            let catalogue = Catalogue::of(&remote.members().await?);
            if arguments.json { terminal.json(&catalogue)? } else { terminal.table(&catalogue.table())? }
        }
        None => {
            let services = remote.services().await?;
            if arguments.json { terminal.json(&services)? } else { list(&terminal, &services)? }
        }
    }
    Ok(Code::Done)
}

fn list(terminal: &Terminal, services: &Services) -> Result<(), Failure> {
    terminal.table(&table(services))?;
    if !services.elsewhere.is_empty() {
        terminal.line("\nOn other nodes, called through this one:")?;
        terminal.table(&elsewhere(&services.elsewhere))?;
    }
    Ok(())
}

fn elsewhere(services: &[ServiceElsewhere]) -> Table {
    let mut table = Table::new().text("service").text("kind").text("contract").text("methods").text("nodes");
    for service in services {
        table.push([
            service.name.clone(),
            kind(service.kind).into(),
            format!("{} {}", service.contract, service.version),
            service.methods.join(", "),
            service.nodes.join(", "),
        ]);
    }
    table
}

fn table(services: &Services) -> Table {
    let mut table = Table::new()
        .text("service")
        .text("kind")
        .text("contract")
        .number("handled")
        .number("refused")
        .number("expired")
        .number("panics")
        .number("restarts");
    for service in &services.services {
        let books = &service.books;
        table.push([
            service.name.clone(),
            kind(service.kind).into(),
            format!("{} {}", service.contract, service.version),
            books.handled.to_string(),
            books.refused.values().sum::<u64>().to_string(),
            books.expired.to_string(),
            books.panics.to_string(),
            books.restarts.to_string(),
        ]);
    }
    table
}

fn kind(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Stateless => "stateless",
        ServiceKind::Entity => "entity",
        ServiceKind::Singleton => "singleton",
    }
}

fn print(terminal: &Terminal, detail: &ServiceDetail) -> Result<(), Failure> {
    let summary = &detail.summary;
    terminal.line(format_args!(
        "{}  {}  contract {} {}",
        terminal.paint(Tone::Strong, &summary.name),
        kind(summary.kind),
        summary.contract,
        summary.version
    ))?;
    for method in &detail.methods {
        terminal.line("")?;
        terminal.line(format_args!("  {}", signature(terminal, method)))?;
        for line in method.about.lines() {
            terminal.line(format_args!("    {}", shown::line(line)))?;
        }
        terminal.line(format_args!(
            "    {}",
            terminal.paint(Tone::Quiet, format_args!("POST {}", method.path))
        ))?;
    }
    Ok(())
}

/// A method in one line: `add(amount: integer) -> integer, or an error`.
fn signature(terminal: &Terminal, method: &MethodDetail) -> String {
    let arguments: Vec<_> =
        arguments(method).map(|(name, schema)| format!("{name}: {}", type_name(schema))).collect();
    let name = terminal.paint(Tone::Strong, &method.name);
    let mut line = format!("{name}({})", arguments.join(", "));
    if let Some(answer) = &method.answer {
        line.push_str(&format!(" -> {}", type_name(answer)));
    }
    if let Some(error) = &method.error {
        line.push_str(&format!(", or {}", type_name(error)));
    }
    let traits = [(method.cast, "no answer"), (method.read, "repeatable"), (method.exclusive, "alone")];
    let traits: Vec<_> = traits.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    if !traits.is_empty() {
        line.push_str(&terminal.paint(Tone::Quiet, format_args!("  [{}]", traits.join(", "))));
    }
    line
}

/// The arguments of a method: what is required in the author's order, then the rest.
fn arguments(method: &MethodDetail) -> impl Iterator<Item = (&str, &Value)> {
    let schema = &method.arguments;
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object();
    let rest = properties.into_iter().flatten().map(|(name, _)| name.as_str());
    let rest: Vec<&str> = rest.filter(|name| !required.contains(name)).collect();
    required.into_iter().chain(rest).map(|name| (name, &schema["properties"][name]))
}

/// A schema in a word or two.
fn type_name(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        return target.rsplit('/').next().unwrap_or(target).into();
    }
    let one = |kind: &Value| match kind.as_str() {
        Some("array") => format!("[{}]", type_name(&schema["items"])),
        Some("null") => "nothing".into(),
        Some(kind) => kind.to_owned(),
        None => "anything".into(),
    };
    match (&schema["type"], schema["anyOf"].as_array()) {
        (Value::Array(kinds), _) => kinds.iter().map(one).collect::<Vec<_>>().join(" or "),
        (Value::Null, Some(choices)) => choices.iter().map(type_name).collect::<Vec<_>>().join(" or "),
        (Value::Null, None) => schema["title"].as_str().unwrap_or("anything").into(),
        (kind, _) => one(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_shown_in_a_word_or_two() {
        assert_eq!(type_name(&json!({ "type": "string" })), "string");
        assert_eq!(type_name(&json!({ "type": "array", "items": { "$ref": "#/$defs/Line" } })), "[Line]");
        assert_eq!(type_name(&json!({ "type": ["integer", "null"] })), "integer or nothing");
        let optional = json!({ "anyOf": [{ "$ref": "#/$defs/Receipt" }, { "type": "null" }] });
        assert_eq!(type_name(&optional), "Receipt or nothing");
        assert_eq!(type_name(&json!(true)), "anything");
    }

    #[test]
    fn a_method_is_shown_with_its_arguments_answer_and_traits() {
        let method: MethodDetail = serde_json::from_value(json!({
            "name": "add", "path": "/v1/counter/{key}/add", "exclusive": true, "cast": false, "read": false,
            "arguments": {
                "properties": { "amount": { "type": "integer" }, "by": { "type": "string" }, "why": {} },
                "required": ["by", "amount"],
            },
            "answer": { "type": "integer" },
            "error": { "$ref": "#/$defs/CountError" },
        }))
        .expect("a method");
        let line = signature(&Terminal::plain(), &method);
        let expected = "add(by: string, amount: integer, why: anything) -> integer, or CountError  [alone]";
        assert_eq!(line, expected);
    }
}
