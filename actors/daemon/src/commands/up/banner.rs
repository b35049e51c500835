//! What people read once several nodes are up.

use super::process::{AGAIN_AFTER, Process};
use super::suggest::{Typed, curl, from_remote};
use crate::directory::Directory;
use crate::duration::show;
use crate::launched::directory_of;
use crate::program::{Invocation, Suggestion};
use crate::remote::Remote;
use crate::terminal::{Table, Tone};
use odeon::core::ClusterId;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// An entity is called through so many nodes: enough to see that it is one.
const THROUGH_MAX: usize = 3;
/// How long a node may take to tell what it has.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Where they are, and what to try.
pub(super) async fn banner(
    invocation: &Invocation,
    root: &Path,
    cluster: &ClusterId,
    nodes: &[Process],
) -> String {
    let terminal = invocation.terminal;
    let typed = Typed { program: &invocation.typed, directory: root };
    let found: Vec<_> = nodes.iter().filter_map(Process::whereabouts).collect();
    let up = match found.len() == nodes.len() && nodes.iter().all(Process::is_settled) {
        true => terminal.paint(Tone::Good, "is up"),
        false => terminal.paint(Tone::Warning, "is up, but not all of it"),
    };
    let mut lines = vec![format!(
        "Cluster {} {up}: {} nodes, files in {}.\n",
        terminal.paint(Tone::Strong, cluster),
        found.len(),
        root.display()
    )];
    let mut table = Table::new().text("node").number("process").text("services").text("management");
    for here in &found {
        let url = |address| format!("http://{address}");
        table.push([here.name.clone(), here.pid.to_string(), url(here.http), url(here.management)]);
    }
    lines.extend(table.lines(&terminal).iter().map(|line| format!("  {line}")));
    lines.push("\nTry, in another terminal:\n".into());
    let suggestions = match invocation.suggestions.is_empty() {
        true => of_the_first(nodes).await,
        false => invocation.suggestions.clone(),
    };
    let service = suggestions.iter().find(|suggestion| suggestion.key.is_none());
    let entity = suggestions.iter().find(|suggestion| suggestion.key.is_some());
    lines.extend(
        service.zip(found.first()).map(|(call, here)| format!("  {}", curl(call, &here.http.to_string()))),
    );
    if let Some(call) = entity {
        let through =
            found.iter().take(THROUGH_MAX).map(|here| format!("  {}", curl(call, &here.http.to_string())));
        lines.extend(through);
    }
    lines.push(String::new());
    lines.push(format!("  {}", typed.with("members", "")));
    if let Some(last) = found.last() {
        let own = directory_of(root, &last.name);
        lines.push(format!("  {}", Typed { directory: &own, ..typed }.with("tree", "")));
        let (name, pid) = (&last.name, last.pid);
        let again = show(AGAIN_AFTER);
        lines.push(format!("  kill -9 {pid}   # the others go on; {name} is started again after {again}"));
    }
    let logs = directory_of(root, "NAME").join("log");
    lines.push(format!(
        "\nLogs are in {}. Ctrl-C stops all; so does {}.",
        logs.display(),
        typed.with("stop", "")
    ));
    lines.join("\n")
}

async fn of_the_first(nodes: &[Process]) -> Vec<Suggestion> {
    let asked = nodes.iter().find_map(|node| Remote::at(&Directory::at(&node.member.directory)).ok());
    let Some(node) = asked else { return Vec::new() };
    timeout(TOLD_WITHIN, from_remote(&node)).await.unwrap_or_default()
}
