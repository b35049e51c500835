//! `tree`: the supervision tree.

use crate::duration::show;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::{Terminal, Tone};
use clap::Args;
use odeon::{LastExit, Load, TreeNode, TreeNodeKind};
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon tree
  odeon tree --entities 20
  odeon tree --watch
  odeon tree --json | jq '.children[].name'";

/// How often a watch looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A poll that has lasted so long is a stuck handler.
const STUCK_AFTER_MS: u64 = 100;

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How many activations of each service are listed: the busiest
    #[arg(long, value_name = "N", default_value_t = 5)]
    entities: usize,
    /// Look again each second, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints it.
///
/// # Errors
/// The node cannot be asked.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let terminal = invocation.terminal;
    loop {
        let tree = remote.tree(arguments.entities).await?.root;
        if arguments.json {
            terminal.json(&tree)?;
            return Ok(Code::Done);
        }
        if arguments.watch {
            terminal.clear()?;
        }
        for line in lines(&terminal, &tree) {
            terminal.line(line)?;
        }
        if !arguments.watch {
            return Ok(Code::Done);
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// The tree as lines.
fn lines(terminal: &Terminal, root: &TreeNode) -> Vec<String> {
    let mut lines = vec![describe(terminal, root)];
    below(terminal, root, "", &mut lines);
    lines
}

fn below(terminal: &Terminal, node: &TreeNode, indent: &str, lines: &mut Vec<String>) {
    for failure in &node.failures {
        let text = terminal.paint(Tone::Bad, format_args!("! {}", ended(failure)));
        lines.push(format!("{indent}{}{text}", if node.children.is_empty() { "   " } else { "│  " }));
    }
    let rest = (node.unlisted > 0).then(|| format!("{} more", node.unlisted));
    let count = node.children.len() + usize::from(rest.is_some());
    for (i, child) in node.children.iter().enumerate() {
        let is_last = i + 1 == count;
        let (branch, deeper) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{indent}{branch}{}", describe(terminal, child)));
        below(terminal, child, &format!("{indent}{deeper}"), lines);
    }
    lines.extend(rest.map(|rest| format!("{indent}└─ {}", terminal.paint(Tone::Quiet, rest))));
}

/// One line: what it is, how it is, what it has to do.
fn describe(terminal: &Terminal, node: &TreeNode) -> String {
    let mut parts = vec![terminal.paint(Tone::Strong, &node.name)];
    let kind = match node.kind {
        TreeNodeKind::Supervisor => node.strategy.as_deref(),
        TreeNodeKind::Part => Some("part"),
        TreeNodeKind::Stateless => Some("stateless"),
        TreeNodeKind::Entities => Some("entities"),
        TreeNodeKind::Singleton => Some("singleton"),
        TreeNodeKind::Cell => None,
    };
    parts.extend(kind.map(|kind| terminal.paint(Tone::Quiet, kind)));
    let tone = match node.phase.as_str() {
        "up" => Tone::Good,
        "starting" | "stopping" => Tone::Warning,
        _ => Tone::Bad,
    };
    parts.push(terminal.paint(tone, &node.phase));
    if let Some(load) = &node.load {
        parts.push(work(load));
        parts.extend(held(load).map(|text| terminal.paint(Tone::Quiet, text)));
        parts.extend(stuck(load).map(|text| terminal.paint(Tone::Bad, text)));
    }
    if node.restarts > 0 {
        parts.push(terminal.paint(Tone::Warning, format_args!("restarts {}", node.restarts)));
    }
    // a service tells its failures in lines of their own
    if let Some(exit) = node.last_exit.as_ref().filter(|_| node.failures.is_empty()) {
        let tone = if exit.exit.is_normal() { Tone::Quiet } else { Tone::Bad };
        parts.push(terminal.paint(tone, format_args!("last {}", ended(exit))));
    }
    parts.join("  ")
}

fn work(load: &Load) -> String {
    let mut text = format!("waiting {}", load.waiting);
    if load.waiting > 0 {
        text.push_str(&format!(" ({})", bytes(load.waiting_bytes)));
    }
    text.push_str(&format!("  begun {}", load.begun));
    for (name, count) in [("expired", load.expired), ("lost", load.lost)] {
        if count > 0 {
            text.push_str(&format!("  {name} {count}"));
        }
    }
    text
}

/// What to say of a handler that waits for something.
fn held(load: &Load) -> Option<String> {
    let held = Duration::from_millis(load.held_ms?);
    Some(format!("in {} for {}", load.current.as_deref()?, show(held)))
}

/// What to say of a handler that does not let others run.
fn stuck(load: &Load) -> Option<String> {
    let lasted = load.polling_ms.filter(|ms| *ms >= STUCK_AFTER_MS)?;
    let method = load.current.as_ref().map(|method| format!(" in {method}")).unwrap_or_default();
    Some(format!("STUCK{method} for {}", show(Duration::from_millis(lasted))))
}

fn ended(exit: &LastExit) -> String {
    let of = exit.of.as_ref().map(|of| format!("{of} ")).unwrap_or_default();
    format!("{of}{}, {} ago", exit.reason, show(Duration::from_millis(exit.ago_ms)))
}

/// A size for people.
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::core::supervision::Exit;

    fn node(name: &str, kind: TreeNodeKind, children: Vec<TreeNode>) -> TreeNode {
        TreeNode { name: name.into(), kind, phase: "up".into(), children, ..TreeNode::default() }
    }

    #[test]
    fn a_tree_shows_who_is_below_whom_and_what_went_wrong() {
        let exit = Exit::Panicked { text: "boom".into(), method: "add".into() };
        let failure = LastExit { reason: exit.to_string(), exit, of: Some("apples".into()), ago_ms: 1500 };
        let mut apples = node("apples", TreeNodeKind::Cell, vec![]);
        apples.load = Some(Load {
            waiting: 3,
            waiting_bytes: 1200,
            begun: 7,
            polling_ms: Some(250),
            current: Some("add".into()),
            ..Load::default()
        });
        let mut pears = node("pears", TreeNodeKind::Cell, vec![]);
        pears.load =
            Some(Load { begun: 1, held_ms: Some(1_500), current: Some("add".into()), ..Load::default() });
        let mut counter = node("counter", TreeNodeKind::Entities, vec![apples, pears]);
        counter.failures = vec![failure];
        counter.restarts = 1;
        counter.unlisted = 2;
        let greeter = node("greeter", TreeNodeKind::Stateless, vec![]);
        let root = node("node", TreeNodeKind::Supervisor, vec![counter, greeter]);
        let plain = Terminal::plain();
        let expected = [
            "node  up",
            "├─ counter  entities  up  restarts 1",
            "│  │  ! apples panicked in add: boom, 1.50s ago",
            "│  ├─ apples  up  waiting 3 (1.2 kB)  begun 7  STUCK in add for 250ms",
            "│  ├─ pears  up  waiting 0  begun 1  in add for 1.50s",
            "│  └─ 2 more",
            "└─ greeter  stateless  up",
        ];
        assert_eq!(lines(&plain, &root), expected);
    }
}
