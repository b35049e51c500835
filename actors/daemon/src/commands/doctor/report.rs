//! What the checks came to: one line each, in groups, and a summary; for programs the same in JSON.

use crate::exit::{Code, Failure};
use crate::shown;
use crate::terminal::{Terminal, Tone};
use serde::Serialize;
use std::fmt::Display;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// The node works, but not as well as it could, or not for much longer.
    Warning,
    /// The node cannot start, join or serve like this.
    Failed,
    /// Nothing was proven either way.
    Skipped,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    Configuration,
    DataDirectory,
    Ports,
    Limits,
    Clock,
    Certificates,
    Reachability,
    Node,
}

/// A check that was made, or why it was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) group: Group,
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// What was measured.
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::DataDirectory => "Data directory",
            Self::Ports => "Ports",
            Self::Limits => "Limits of the system",
            Self::Clock => "Clock",
            Self::Certificates => "Certificates",
            Self::Reachability => "Reachability",
            Self::Node => "The running node",
        }
    }

    pub(super) fn ok(self, name: impl Display, found: impl Display) -> Check {
        self.check(name, Outcome::Ok, found, None)
    }

    pub(super) fn warning(self, name: impl Display, found: impl Display, advice: impl Display) -> Check {
        self.check(name, Outcome::Warning, found, Some(advice.to_string()))
    }

    pub(super) fn failed(self, name: impl Display, found: impl Display, advice: impl Display) -> Check {
        self.check(name, Outcome::Failed, found, Some(advice.to_string()))
    }

    pub(super) fn skipped(self, name: impl Display, why: impl Display) -> Check {
        self.check(name, Outcome::Skipped, why, None)
    }

    /// What a node would not have started with.
    pub(super) fn failure(self, name: impl Display, failure: Failure) -> Check {
        self.check(name, Outcome::Failed, failure.problem, failure.advice)
    }

    fn check(
        self,
        name: impl Display,
        outcome: Outcome,
        found: impl Display,
        advice: Option<String>,
    ) -> Check {
        Check { group: self, name: name.to_string(), outcome, found: found.to_string(), advice }
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warning => Tone::Warning,
            Self::Failed => Tone::Bad,
            Self::Skipped => Tone::Quiet,
        }
    }
}

/// As many checks ended so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    ok: usize,
    warnings: usize,
    failed: usize,
    skipped: usize,
}

impl Summary {
    fn of(checks: &[Check]) -> Self {
        let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
        Self {
            ok: count(Outcome::Ok),
            warnings: count(Outcome::Warning),
            failed: count(Outcome::Failed),
            skipped: count(Outcome::Skipped),
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self { failed: 1.., .. } => Tone::Bad,
            Self { warnings: 1.., .. } => Tone::Warning,
            _ => Tone::Good,
        }
    }
}

/// `3 ok, 1 warning, 1 failed, 2 skipped`, what there is none of left out.
impl Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let warnings = if self.warnings == 1 { "warning" } else { "warnings" };
        let counts =
            [(self.ok, "ok"), (self.warnings, warnings), (self.failed, "failed"), (self.skipped, "skipped")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        f.write_str(&counts.join(", "))
    }
}

/// Printed as it comes, for people; at the end, for programs.
#[derive(Debug)]
pub(super) struct Report {
    terminal: Terminal,
    json: bool,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Whole<'a> {
    summary: Summary,
    checks: &'a [Check],
}

impl Report {
    pub(super) fn new(terminal: Terminal, json: bool) -> Self {
        Self { terminal, json, checks: Vec::new() }
    }

    /// What takes long now; only where somebody watches.
    pub(super) fn progress(&self, what: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        Ok(self.terminal.progress(self.terminal.paint(Tone::Quiet, format_args!("… {what}")))?)
    }

    /// The checks of a group.
    pub(super) fn add(&mut self, checks: Vec<Check>) -> Result<(), Failure> {
        if let Some(first) = checks.first().filter(|_| !self.json) {
            let title = self.terminal.paint(Tone::Strong, first.group.title());
            let gap = if self.checks.is_empty() { "" } else { "\n" };
            self.terminal.line(format_args!("{}{gap}{title}", self.terminal.progressed()))?;
            let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
            for check in &checks {
                self.terminal.line(check.lines(&self.terminal, width))?;
            }
        }
        self.checks.extend(checks);
        Ok(())
    }

    /// The end of it: the summary, and what the program ends with.
    pub(super) fn end(self) -> Result<Code, Failure> {
        let summary = Summary::of(&self.checks);
        if self.json {
            self.terminal.json(&Whole { summary, checks: &self.checks })?;
        } else {
            self.terminal.line(format_args!("\n{}", self.terminal.paint(summary.tone(), summary)))?;
        }
        Ok(if summary.failed > 0 { Code::Failed } else { Code::Done })
    }
}

impl Check {
    /// Below a title: what was found behind its name, further lines and the advice below that.
    fn lines(&self, terminal: &Terminal, width: usize) -> String {
        let outcome = terminal.paint(self.outcome.tone(), format_args!("{:<7}", self.outcome.word()));
        let room = " ".repeat(width.saturating_sub(self.name.chars().count()));
        let below = format!("\n{}", " ".repeat(2 + 7 + 2 + width + 2));
        let found = shown::lines(&self.found).replace('\n', &below);
        let mut text = format!("  {outcome}  {}{room}  {found}", shown::line(&self.name));
        if let Some(advice) = &self.advice {
            text.push_str(&below);
            text.push_str(&format!("→ {}", shown::line(advice)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_what_to_do_stands_below() {
        let check = Group::Ports.warning("http", "two\nlines", "look");
        let text = check.lines(&Terminal::plain(), 6);
        assert_eq!(text, "  warning  http    two\n                   lines\n                   → look");
        let check = Group::Ports.ok("\x1b[2J", "x");
        assert_eq!(check.lines(&Terminal::plain(), 2), "  ok       \\u{1b}[2J  x");
    }

    #[test]
    fn a_summary_says_how_many_ended_how_and_leaves_out_what_there_is_none_of() {
        let checks = [
            Group::Clock.ok("a", "x"),
            Group::Clock.warning("b", "x", "y"),
            Group::Clock.skipped("c", "x"),
            Group::Clock.ok("d", "x"),
        ];
        assert_eq!(Summary::of(&checks).to_string(), "2 ok, 1 warning, 1 skipped");
        assert_eq!(Summary::of(&checks[..1]).to_string(), "1 ok");
    }
}
