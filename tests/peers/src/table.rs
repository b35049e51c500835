//! Tables for `docs/PERFORMANCE.md`, and the same numbers for programs.

use crate::rounds::{Numbers, Spread};
use crate::workload::Metric;
use std::fmt::Write;

/// One column a system, one row a metric: the median and, in brackets, the median of the ratios to `base`.
pub fn by_system(numbers: &Numbers, systems: &[String], base: &str) -> String {
    let shown: Vec<&String> = systems.iter().filter(|s| numbers.has(s)).collect();
    let heads: String = shown.iter().map(|s| format!(" {s} |")).collect();
    let mut text = format!("| |{heads}\n|---|{}\n", "---|".repeat(shown.len()));
    for metric in numbers.metrics() {
        let cells: String = shown.iter().map(|s| format!(" {} |", cell(numbers, metric, s, base))).collect();
        let _ = writeln!(text, "| {} |{cells}", metric.title());
    }
    text
}

/// One row a system, one column a metric.
pub fn by_metric(numbers: &Numbers, systems: &[String], base: &str) -> String {
    let metrics = numbers.metrics();
    let heads: String = metrics.iter().map(|m| format!(" {} |", m.title())).collect();
    let mut text = format!("| |{heads}\n|---|{}\n", "---|".repeat(metrics.len()));
    for system in systems.iter().filter(|s| numbers.has(s)) {
        let cells: String =
            metrics.iter().map(|m| format!(" {} |", cell(numbers, *m, system, base))).collect();
        let _ = writeln!(text, "| {system} |{cells}");
    }
    text
}

fn cell(numbers: &Numbers, metric: Metric, system: &str, base: &str) -> String {
    let Some(spread) = numbers.spread(metric, system) else { return "–".into() };
    let median = format!("{:.*}", metric.digits(), spread.median);
    match numbers.ratio(metric, system, base) {
        Some(ratio) if system != base => format!("{median} (×{})", short(ratio.median)),
        _ => median,
    }
}

/// How one system stands to another, metric by metric, with the range over the rounds.
pub fn ratios(numbers: &Numbers, system: &str, to: &str) -> String {
    let mut text = String::new();
    for metric in numbers.metrics() {
        if let Some(Spread { median, min, max }) = numbers.ratio(metric, system, to) {
            let (median, min, max) = (short(median), short(min), short(max));
            let _ = writeln!(text, "| {} | ×{median} | {min} – {max} |", metric.title());
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("| {system} / {to} | median of the rounds | range |\n|---|---|---|\n{text}")
}

fn short(ratio: f64) -> String {
    if ratio >= 9.95 { format!("{ratio:.1}") } else { format!("{ratio:.2}") }
}
