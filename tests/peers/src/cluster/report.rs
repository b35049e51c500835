//! What came out, beside what was wanted.

use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// What a number of samples is to stay below.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Each of them.
    Each(f64),
    /// Their 99th percentile.
    P99(f64),
    /// Nothing is wanted: it is told for what it explains.
    Nothing,
}

/// One thing that was measured again and again.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What, with its unit.
    pub title: &'static str,
    /// What was wanted.
    pub wanted: Wanted,
    /// All of it.
    pub samples: Vec<f64>,
    #[serde(skip)]
    digits: usize,
}

/// How something came about that has no time: for people.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// Of what.
    pub title: &'static str,
    /// What is to be said.
    pub text: String,
}

/// All that came out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Numbers.
    pub rows: Vec<Row>,
    /// What they do not say.
    pub notes: Vec<Note>,
}

impl Row {
    /// In seconds.
    pub fn seconds(title: &'static str, wanted: Wanted, samples: &[Duration]) -> Self {
        Self::new(title, wanted, 2, samples.iter().map(Duration::as_secs_f64).collect())
    }

    /// In milliseconds.
    pub fn milliseconds(title: &'static str, wanted: Wanted, samples: &[Duration]) -> Self {
        Self::new(title, wanted, 1, samples.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// In another unit, of which so many digits behind the point mean something.
    pub fn new(title: &'static str, wanted: Wanted, digits: usize, samples: Vec<f64>) -> Self {
        Self { title, wanted, samples, digits }
    }

    fn line(&self) -> String {
        let [median, p99, max] = statistics(&self.samples);
        let (wanted, is_reached) = match self.wanted {
            Wanted::Each(below) => (format!("each < {below}"), Some(max < below)),
            Wanted::P99(below) => (format!("p99 < {below}"), Some(p99 < below)),
            Wanted::Nothing => ("–".into(), None),
        };
        let reached = match is_reached {
            _ if self.samples.is_empty() => "not measured",
            Some(true) => "reached",
            Some(false) => "not reached",
            None => "",
        };
        let digits = self.digits;
        let number = |value: f64| match self.samples.is_empty() {
            true => "–".into(),
            false => format!("{value:.digits$}"),
        };
        let (median, p99, max) = (number(median), number(p99), number(max));
        format!(
            "| {} | {wanted} | {median} | {p99} | {max} | {} | {reached} |",
            self.title,
            self.samples.len()
        )
    }
}

/// Median, 99th percentile, maximum.
fn statistics(samples: &[f64]) -> [f64; 3] {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    let at = |index: usize| samples.get(index).copied().unwrap_or_default();
    let count = samples.len();
    [at(count / 2), at(count * 99 / 100), at(count.saturating_sub(1))]
}

impl Report {
    /// Adds what another workload gave.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.notes.extend(other.notes);
    }

    /// Says something that has no number.
    pub fn note(&mut self, title: &'static str, text: impl Into<String>) {
        self.notes.push(Note { title, text: text.into() });
    }

    /// For `docs/PERFORMANCE.md`.
    pub fn table(&self) -> String {
        let mut text =
            "| | wanted | p50 | p99 | max | samples | |\n|---|---|---|---|---|---|---|\n".to_owned();
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.line());
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for Note { title, text: said } in &self.notes {
            let _ = writeln!(text, "- {title}: {said}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_what_was_wanted_was_reached() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let line = |wanted| Row::milliseconds("waits, ms", wanted, &times).line();
        assert_eq!(
            line(Wanted::P99(200.0)),
            "| waits, ms | p99 < 200 | 101.0 | 199.0 | 200.0 | 200 | reached |"
        );
        assert!(line(Wanted::Each(200.0)).ends_with("| not reached |"));
        assert!(line(Wanted::Nothing).ends_with("| 200 |  |"));
        let none = Row::seconds("none, s", Wanted::Each(3.0), &[]).line();
        assert_eq!(none, "| none, s | each < 3 | – | – | – | 0 | not measured |");
    }
}
