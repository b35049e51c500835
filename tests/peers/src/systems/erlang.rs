//! Erlang/OTP, when it is installed: its own source, compiled once, in a process for each measurement.

use crate::workload::{Metric, Sample, Sizes, Workload};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::process::Command;
use tempfile::TempDir;

const SOURCE: &str = include_str!("../../erlang/workloads.erl");

/// The compiled module.
#[derive(Debug)]
pub struct Erlang {
    folder: TempDir,
}

impl Erlang {
    /// Compiles the module.
    ///
    /// # Errors
    /// Erlang is not installed, or refuses the module.
    pub fn compile() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("workloads.erl"), SOURCE)?;
        let compiled = Command::new("erlc").arg("workloads.erl").current_dir(folder.path()).output();
        let compiled = compiled.context("erlc is not there: apt install erlang-base")?;
        ensure!(compiled.status.success(), "erlc: {}", String::from_utf8_lossy(&compiled.stdout));
        Ok(Self { folder })
    }

    /// The process that does a workload. It prints a metric and a value on each line.
    pub fn command(&self, workload: Workload, sizes: &Sizes) -> Command {
        let numbers = match workload {
            Workload::Tell => vec![sizes.tell],
            Workload::FanIn => vec![Sizes::SENDERS, sizes.fan_in],
            Workload::PingPong => vec![sizes.rally],
            Workload::Ask => vec![sizes.ask],
            Workload::Ask64 => vec![Sizes::CALLERS, sizes.ask_each],
            Workload::Spawn => vec![sizes.spawn],
            Workload::Skynet => vec![sizes.leaves],
        };
        let mut command = Command::new("erl");
        command.current_dir(self.folder.path());
        command.args(["+P", "2000000", "-noshell", "-run", "workloads", "main", &workload.name()]);
        command.args(numbers.iter().map(ToString::to_string));
        command
    }

    /// Reads what it printed.
    ///
    /// # Errors
    /// A line that is none of ours.
    pub fn read(printed: &str) -> Result<Vec<Sample>> {
        let line = |line: &str| {
            let (metric, value) = line.split_once(' ').with_context(|| format!("Erlang said: {line}"))?;
            let name = IntoDeserializer::<serde::de::value::Error>::into_deserializer(metric);
            Ok(Sample::new(Metric::deserialize(name)?, value.parse()?))
        };
        printed.lines().map(line).collect()
    }
}
