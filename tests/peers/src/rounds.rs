//! Interleaved rounds: each measurement in a process of its own, the systems in another order every time, ratios
//! taken within a round. What the machine does meanwhile then hits all alike.

use crate::workload::{Metric, Sample};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The numbers of one run: for each metric and system, one a round.
#[derive(Debug, Default)]
pub struct Numbers {
    values: BTreeMap<(Metric, String), BTreeMap<usize, f64>>,
}

/// A median with its range.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The middle one; of two middle ones the mean.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min: first, max: last })
    }
}

impl Numbers {
    /// Adds what a system gave in a round.
    pub fn add(&mut self, round: usize, system: &str, samples: &[Sample]) {
        for sample in samples {
            self.values.entry((sample.metric, system.into())).or_default().insert(round, sample.value);
        }
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The metrics that were measured.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<_> = self.values.keys().map(|(metric, _)| *metric).collect();
        metrics.dedup();
        metrics
    }

    /// Whether the system gave any number.
    pub fn has(&self, system: &str) -> bool {
        self.values.keys().any(|(_, s)| s == system)
    }

    /// The median over the rounds.
    pub fn spread(&self, metric: Metric, system: &str) -> Option<Spread> {
        Spread::of(self.values.get(&(metric, system.into()))?.values().copied().collect())
    }

    /// The median of the ratios of one system to another, each taken within one round.
    pub fn ratio(&self, metric: Metric, system: &str, to: &str) -> Option<Spread> {
        if !metric.has_ratio() {
            return None;
        }
        let others = self.values.get(&(metric, to.into()))?;
        let own = self.values.get(&(metric, system.into()))?;
        Spread::of(own.iter().filter_map(|(round, value)| Some(value / others.get(round)?)).collect())
    }

    /// All numbers, for `--json`.
    pub fn all(&self) -> Vec<Series> {
        let series = |((metric, system), rounds): (&(Metric, String), &BTreeMap<usize, f64>)| Series {
            metric: *metric,
            unit: metric.title(),
            system: system.clone(),
            rounds: rounds.values().copied().collect(),
            spread: Spread::of(rounds.values().copied().collect()),
        };
        self.values.iter().map(series).collect()
    }
}

/// One metric of one system over the rounds.
#[derive(Debug, Serialize)]
pub struct Series {
    metric: Metric,
    unit: &'static str,
    system: String,
    rounds: Vec<f64>,
    spread: Option<Spread>,
}

/// Runs a process to its end and gives what it printed. Kills it when it takes longer than `within`.
///
/// # Errors
/// It failed, or took too long.
pub fn run_child(mut command: Command, within: Duration) -> Result<String> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| shown.clone())?;
    let mut stdout = child.stdout.take().context("it is piped")?;
    let reader = std::thread::spawn(move || {
        let mut printed = String::new();
        stdout.read_to_string(&mut printed).map(|_| printed)
    });
    let patience = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if waited >= within {
            child.kill()?;
            child.wait()?;
            bail!("killed after {within:?}: {shown}");
        }
        std::thread::sleep(patience);
        waited += patience;
    };
    let printed = reader.join().ok().context("the reader panicked")??;
    if !status.success() {
        bail!("{status}: {shown}");
    }
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut numbers = Numbers::default();
        for (round, (ours, theirs)) in [(10.0, 5.0), (30.0, 10.0), (80.0, 20.0)].into_iter().enumerate() {
            numbers.add(round, "ours", &[Sample::new(Metric::Tell, ours)]);
            numbers.add(round, "theirs", &[Sample::new(Metric::Tell, theirs)]);
        }
        let ratio = numbers.ratio(Metric::Tell, "ours", "theirs").expect("both were measured");
        assert!((ratio.median - 3.0).abs() < 1e-9 && (ratio.max - 4.0).abs() < 1e-9);
        let ours = numbers.spread(Metric::Tell, "ours").expect("it was measured");
        assert!((ours.median - 30.0).abs() < 1e-9);
    }
}
