//! Erlang/OTP, when it is installed: its own source, compiled once, in a process for each measurement.

use crate::workload::{Sizes, Workload};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const WORKLOADS: &str = include_str!("../../erlang/workloads.erl");
const LINKS: &str = include_str!("../../erlang/links.erl");

/// The compiled modules.
#[derive(Debug)]
pub struct Erlang {
    folder: TempDir,
}

impl Erlang {
    /// Compiles the modules.
    ///
    /// # Errors
    /// Erlang is not installed, or refuses a module.
    pub fn compile() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("workloads.erl"), WORKLOADS)?;
        std::fs::write(folder.path().join("links.erl"), LINKS)?;
        let mut compiler = Command::new("erlc");
        let compiled = compiler.args(["workloads.erl", "links.erl"]).current_dir(folder.path()).output();
        let compiled = compiled.context("erlc is not there: apt install erlang-base")?;
        ensure!(compiled.status.success(), "erlc: {}", String::from_utf8_lossy(&compiled.stdout));
        Ok(Self { folder })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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
}
