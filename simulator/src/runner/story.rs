//! What a person reads about seeds, in a failed test and from the command line alike.

use super::explore::{Failure, Replay, Summary, Unfinished};
use super::judge::Outcome;
use super::verdict::Verdict;
use crate::reach::Row;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Lines that a seed printed: so many of the first and of the last.
const PRINTED_LINES_SHOWN: usize = 6;
/// The first lines of the place where a seed hung.
const TRACE_LINES_SHOWN: usize = 30;
/// Names of generic functions in stack traces grow beyond reading.
const TRACE_WIDTH_MAX: usize = 140;
const FAILURES_SHOWN_MAX: usize = 5;

/// Whether text may carry colours: only a terminal wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// For files, pipes and test harnesses.
    Plain,
    /// For terminals.
    Coloured,
}

impl Tone {
    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Tone::Plain => text.to_owned(),
            Tone::Coloured => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        }
    }

    /// The verdict in its colour.
    pub fn verdict(self, verdict: Verdict) -> String {
        let colour = if verdict == Verdict::Passed { "32" } else { "31;1" };
        self.paint(colour, verdict.words())
    }

    fn quiet(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// One line about all seeds, and a warning when addresses are random.
pub fn tell_summary(summary: &Summary, tone: Tone) -> String {
    let progress = &summary.progress;
    let mut kinds = BTreeMap::new();
    for failure in &summary.failures {
        *kinds.entry(failure.outcome.verdict).or_insert(0_u64) += 1;
    }
    let kinds: Vec<String> =
        kinds.iter().map(|(verdict, count)| format!("{count} {}", tone.verdict(*verdict))).collect();
    let result = if kinds.is_empty() {
        format!("all {}", tone.verdict(Verdict::Passed))
    } else {
        format!("{} failed ({})", summary.failures.len(), kinds.join(", "))
    };
    let each = progress.wall.as_secs_f64() * 1e3 / progress.done.max(1) as f64;
    let mut text = format!(
        "{}: {} {} ({}..{}), {result}; {} simulated in {} ({each:.1} ms a seed)\n",
        summary.case,
        progress.done,
        if progress.done == 1 { "seed" } else { "seeds" },
        summary.seeds.start,
        summary.seeds.end,
        tell_span(progress.simulated),
        tell_span(progress.wall),
    );
    text.push_str(match summary.unfinished {
        Some(Unfinished::Hangs) => "too many seeds hung: the others were not run\n",
        Some(Unfinished::Stopped) => "it was stopped: the other seeds were not run\n",
        None => "",
    });
    text.push_str(warn_of_random_addresses(summary.random_addresses));
    text
}

/// A table of how many seeds came to each point.
pub fn tell_reach(summary: &Summary) -> String {
    let rows = summary.reach.rows();
    let width = rows.iter().map(|row| row.point.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:>9}  {:>12}\n", "reached", "seeds", "times");
    for Row { point, seeds, times } in rows {
        // Writing to a string cannot fail.
        let _ = match seeds {
            0 => writeln!(text, "{point:width$}  {:>9}", "never"),
            _ => writeln!(text, "{point:width$}  {seeds:>9}  {times:>12}"),
        };
    }
    text.push('\n');
    text
}

fn warn_of_random_addresses(random: bool) -> &'static str {
    if random {
        "warning: this system places processes at random addresses and refuses to do otherwise; what depends on \
         addresses (the order of some hash maps) may not replay\n"
    } else {
        ""
    }
}

/// The first failures, each with what failed, its last events, and `replay`'s word on how to see it again.
pub fn tell_failures(summary: &Summary, tone: Tone, replay: impl Fn(&Failure) -> String) -> String {
    let mut text = String::new();
    for failure in summary.failures.iter().take(FAILURES_SHOWN_MAX) {
        text.push('\n');
        tell_outcome(&mut text, &failure.outcome, true, tone);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  options: {:?}", failure.options);
        let _ = writeln!(text, "  token: {}\n  replay: {}", failure.token, replay(failure));
    }
    let hidden =
        summary.failures.iter().skip(FAILURES_SHOWN_MAX).map(|failure| failure.outcome.seed.to_string());
    let hidden: Vec<String> = hidden.collect();
    if !hidden.is_empty() {
        text.push_str(&format!("\nfailed too: seeds {}\n", shorten(&hidden)));
    }
    text
}

fn shorten(seeds: &[String]) -> String {
    const SEEDS_NAMED_MAX: usize = 20;
    let named = seeds[..seeds.len().min(SEEDS_NAMED_MAX)].join(", ");
    match seeds.len().checked_sub(SEEDS_NAMED_MAX) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    }
}

/// One seed in full; with `log`, all of its log.
pub fn tell_replay(replay: &Replay, log: bool, tone: Tone) -> String {
    let outcome = &replay.outcome;
    let mut text = String::new();
    if log {
        for line in &outcome.lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    tell_outcome(&mut text, outcome, !log, tone);
    if let Some(hash) = outcome.hash {
        text.push_str(&format!("  hash {hash:016x}, {} simulated\n", tell_span(outcome.simulated)));
    }
    text.push_str(warn_of_random_addresses(replay.random_addresses));
    text
}

fn tell_outcome(text: &mut String, outcome: &Outcome, events: bool, tone: Tone) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "seed {}: {}", outcome.seed, tone.verdict(outcome.verdict));
    for finding in &outcome.findings {
        let _ = writeln!(text, "  {}", finding.replace('\n', "\n  "));
    }
    let printed: Vec<String> = outcome.printed.lines().map(str::to_owned).collect();
    if outcome.verdict == Verdict::Hung {
        let trace: Vec<String> = printed.iter().take(TRACE_LINES_SHOWN).map(|line| cut(line)).collect();
        tell_lines(text, "it was here", &trace, tone);
    } else {
        tell_lines(text, "printed", &both_ends(printed), tone);
    }
    if events {
        tell_lines(text, "last events", outcome.last_events(), tone);
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(TRACE_WIDTH_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The first and the last lines: a panic with its stack trace begins with what matters, other text ends with it.
fn both_ends(mut lines: Vec<String>) -> Vec<String> {
    let hidden = lines.len().saturating_sub(2 * PRINTED_LINES_SHOWN);
    if hidden > 0 {
        let gap = format!("… {hidden} lines …");
        lines.splice(PRINTED_LINES_SHOWN..PRINTED_LINES_SHOWN + hidden, [gap]);
    }
    lines
}

fn tell_lines(text: &mut String, title: &str, lines: &[String], tone: Tone) {
    if lines.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {title}:");
    for line in lines {
        let _ = writeln!(text, "    {}", tone.quiet(line));
    }
}

/// A span as people say it: `850 ms`, `12.3 s`, `4 min 5 s`, `3 h 12 min`.
pub fn tell_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::runner::Progress;
    use crate::token::Token;

    fn outcome(seed: u64) -> Outcome {
        Outcome {
            seed,
            verdict: Verdict::Unsafe,
            findings: vec!["safety violated: 3 acked, 2 kept".into()],
            hash: Some(7),
            simulated: Duration::from_secs(45),
            lines: (0..30).map(|line| format!("event {line}")).collect(),
            printed: String::new(),
            reached: BTreeMap::new(),
        }
    }

    fn failure(seed: u64) -> Failure {
        let token = Token { scenario: "counter".into(), seed, prints: None };
        Failure { outcome: outcome(seed), token, options: Options::calm(seed) }
    }

    fn summary(failing: u64) -> Summary {
        let failures = (0..failing).map(failure).collect();
        let progress = Progress {
            done: 200,
            failed: failing,
            simulated: Duration::from_secs(9_000),
            wall: Duration::from_millis(800),
        };
        Summary {
            case: "counter".into(),
            seeds: 0..200,
            progress,
            unfinished: None,
            failures,
            random_addresses: false,
            reach: Default::default(),
        }
    }

    #[test]
    fn a_summary_says_how_many_seeds_failed_in_which_way() {
        assert_eq!(
            tell_summary(&summary(0), Tone::Plain),
            "counter: 200 seeds (0..200), all passed; 2 h 30 min simulated in 800 ms (4.0 ms a seed)\n"
        );
        let failed = tell_summary(&summary(7), Tone::Plain);
        assert!(failed.contains("7 failed (7 safety violated)"), "{failed}");
    }

    #[test]
    fn the_first_five_failures_are_told_in_full_and_the_others_by_seed() {
        let told =
            tell_failures(&summary(7), Tone::Plain, |failure| format!("again {}", failure.outcome.seed));
        assert!(told.contains("seed 4: safety violated\n  safety violated: 3 acked, 2 kept\n"), "{told}");
        assert!(told.contains("    event 29\n  options: Options { seed: 4,"), "{told}");
        assert!(told.contains(" }\n  token: counter:4\n  replay: again 4\n"), "{told}");
        assert!(!told.contains("event 9\n") && told.contains("event 10\n"), "{told}");
        assert!(!told.contains("again 5") && told.contains("failed too: seeds 5, 6\n"), "{told}");
    }

    #[test]
    fn of_long_printed_text_both_ends_are_told() {
        let printed = both_ends((0..40).map(|line| line.to_string()).collect());
        assert_eq!(printed.len(), 13);
        assert_eq!((&*printed[0], &*printed[5], &*printed[12]), ("0", "5", "39"));
        assert_eq!((&*printed[6], &*printed[7]), ("… 28 lines …", "34"));
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        assert!(!tell_failures(&summary(1), Tone::Plain, |_| String::new()).contains('\u{1b}'));
        assert!(tell_failures(&summary(1), Tone::Coloured, |_| String::new()).contains("\u{1b}[31;1m"));
    }

    #[test]
    fn spans_are_told_in_fitting_units() {
        let told = [850, 12_340, 245_000, 11_520_000].map(|millis| tell_span(Duration::from_millis(millis)));
        assert_eq!(told, ["850 ms", "12.3 s", "4 min 5 s", "3 h 12 min"]);
    }
}
