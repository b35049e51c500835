//! What `up` suggests to type: lines that work as they stand.

use crate::directory::DIRECTORY_DEFAULT;
use crate::program::Suggestion;
use crate::remote::Remote;
use crate::sample;
use odeon::Node;
use odeon::core::ServiceName;
use odeon::directory::{ServiceDescription, ServiceKind};
use odeon_actors::management::api::ServiceDetail;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};
use std::path::Path;

/// Most calls that are suggested.
pub(super) const SUGGESTIONS_MAX: usize = 4;
/// The key of an entity that nobody has named.
const KEY: &str = "one";

/// A command line that works when it is typed.
pub(super) struct Typed<'a> {
    pub(super) program: &'a str,
    pub(super) directory: &'a Path,
}

impl Typed<'_> {
    pub(super) fn with(&self, command: &str, arguments: &str) -> String {
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

pub(super) fn curl(suggestion: &Suggestion, host: &str) -> String {
    let Suggestion { service, key, method, arguments } = suggestion;
    let key = key.as_ref().map(|key| format!("/{key}")).unwrap_or_default();
    let body = quoted(arguments);
    // the gateway writes a namespace so
    let service = service.replace('/', ".");
    format!("curl -s -H 'content-type: application/json' -d {body} http://{host}/v1/{service}{key}/{method}")
}

pub(super) fn call(suggestion: &Suggestion) -> String {
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
pub(super) fn from_schemas(node: &Node) -> Vec<Suggestion> {
    node.services().iter().filter_map(|status| from_schema(node, &status.description)).collect()
}

fn from_schema(node: &Node, description: &ServiceDescription) -> Option<Suggestion> {
    let service = node.dynamic(&description.name)?;
    let mut generator = SchemaGenerator::default();
    let arguments = service.schema(0, &mut generator).arguments.to_value();
    let definitions: Map<String, Value> = generator.take_definitions(true);
    Some(Suggestion {
        service: description.name.to_string(),
        key: (description.kind == ServiceKind::Entity).then(|| KEY.into()),
        method: description.methods.first()?.name.into(),
        arguments: sample::of(&arguments, &definitions).to_string(),
    })
}

/// The same as a running node tells it, at most one for each kind of service.
pub(super) async fn from_remote(node: &Remote) -> Vec<Suggestion> {
    let Ok(services) = node.services().await else { return Vec::new() };
    let first = |kind| services.services.iter().find(|service| service.kind == kind);
    let mut suggestions = Vec::new();
    for summary in [ServiceKind::Stateless, ServiceKind::Entity].into_iter().filter_map(first) {
        let Ok(name) = summary.name.parse::<ServiceName>() else { continue };
        suggestions.extend(node.service(&name).await.ok().and_then(|detail| from_detail(&detail)));
    }
    suggestions
}

fn from_detail(service: &ServiceDetail) -> Option<Suggestion> {
    let method = service.methods.first()?;
    let definitions = service.definitions.clone().into_iter().collect();
    Some(Suggestion {
        service: service.summary.name.clone(),
        key: (service.summary.kind == ServiceKind::Entity).then(|| KEY.into()),
        method: method.name.clone(),
        arguments: sample::of(&method.arguments, &definitions).to_string(),
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
