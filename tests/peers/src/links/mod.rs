//! Two operating-system processes on loopback: Odeon's links, Erlang distribution and ractor_cluster do the same work.
//!
//! Reading order: [`work`] is what a sender does; [`pair`] runs a receiver and a sender; [`odeon`] and [`erlang`] are
//! the systems, and ractor_cluster is a program of its own; [`idle`] weighs links that have nothing to do.

mod control;
pub mod erlang;
pub mod idle;
pub mod odeon;
pub mod pair;
pub mod work;

use crate::systems::Erlang;
use crate::workload::Sample;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// No measurement takes this long.
const WITHIN: Duration = Duration::from_secs(180);
/// Where ractor_cluster's workspace builds its program, seen from this folder.
const RACTOR_CLUSTER: &str = "ractor-cluster/target/release/ractor-cluster";

/// A system in one of its arrangements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// Odeon, each node on one executor.
    Odeon,
    /// Odeon, each node on two executors: links on one, senders on the other, receivers on either.
    Odeon2,
    /// As `odeon`, with packets as loopback and jumbo frames carry them.
    OdeonJumbo,
    /// Erlang distribution over TCP.
    Erlang,
    /// Erlang distribution over TLS.
    ErlangTls,
    /// ractor_cluster over TCP.
    RactorCluster,
}

/// A workload between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// One sender to one receiver, 64 bytes, until the receiver has handled the last message.
    Cast,
    /// The same with 1 KiB.
    Cast1k,
    /// One sender to a hundred receivers in turn, 64 bytes.
    CastMany,
    /// One caller asks again and again.
    Ask,
    /// Sixty-four callers at the same time.
    Ask64,
    /// A critical call each ten milliseconds, and then a watch, beside a sender of 64 KiB bodies. Odeon only.
    Control,
    /// Messages to one receiver, alone and beside senders to receivers that never return. Odeon only.
    Blocked,
}

impl System {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// Whether it can do this.
    pub fn takes_part(self, workload: Workload) -> bool {
        let odeon = matches!(self, Self::Odeon | Self::Odeon2 | Self::OdeonJumbo);
        odeon || !matches!(workload, Workload::Control | Workload::Blocked)
    }
}

impl Workload {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// How many messages or calls, and how many bytes are in a body.
    pub fn size(self, quick: bool) -> (u64, usize) {
        let (count, bytes) = match self {
            Self::Cast | Self::CastMany => (2_000_000, 64),
            Self::Cast1k => (500_000, 1 << 10),
            Self::Ask => (50_000, 64),
            Self::Ask64 => (320_000, 64),
            Self::Control => (600, 64 << 10),
            Self::Blocked => (5_000_000, 64),
        };
        (if quick { count / 10 } else { count }, bytes)
    }
}

/// What is at hand to be measured.
#[derive(Debug)]
pub struct Bench {
    folder: tempfile::TempDir,
    erlang: Result<Erlang>,
    ractor_cluster: PathBuf,
}

impl Bench {
    /// Makes ready whatever is installed.
    ///
    /// # Errors
    /// There is no room for the files of the processes.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        odeon::authorize(folder.path())?;
        Ok(Self { folder, erlang: Erlang::compile(), ractor_cluster: RACTOR_CLUSTER.into() })
    }

    /// The files of its processes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether a system is there.
    ///
    /// # Errors
    /// What is missing, and where it comes from.
    pub fn has(&self, system: System) -> Result<()> {
        match (system, &self.erlang) {
            (System::Erlang | System::ErlangTls, Err(problem)) => anyhow::bail!("{problem:#}"),
            (System::ErlangTls, Ok(_)) => erlang::has_tls(),
            (System::RactorCluster, _) => {
                let path = self.ractor_cluster.display();
                ensure!(
                    self.ractor_cluster.exists(),
                    "there is no {path}: cargo build --release in the folder ractor-cluster makes it"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One measurement, in two processes of its own.
    ///
    /// # Errors
    /// The system is not there, or one of the two failed.
    pub fn measure(&self, system: System, workload: Workload, quick: bool) -> Result<Vec<Sample>> {
        let work = [workload.name(), workload.size(quick).0.to_string(), workload.size(quick).1.to_string()];
        let printed = match system {
            System::Odeon | System::Odeon2 | System::OdeonJumbo => {
                let program = std::env::current_exe()?;
                let part = |part: &str| {
                    let mut command = Command::new(&program);
                    command.args([part, &system.name()]).arg(self.folder());
                    command
                };
                let send = |at: &str| {
                    let mut command = part("send");
                    command.arg(at).args(&work);
                    command
                };
                pair::run(part("receive"), send, WITHIN)
            }
            System::Erlang | System::ErlangTls => {
                let erlang = self.erlang.as_ref().ok().context("Erlang is not there")?;
                let ends = erlang::Ends::new(erlang, system == System::ErlangTls)?;
                pair::run(ends.receive(), |_| ends.send(&work), WITHIN)
            }
            System::RactorCluster => {
                let mut receive = Command::new(&self.ractor_cluster);
                receive.arg("receive");
                let send = |at: &str| {
                    let mut command = Command::new(&self.ractor_cluster);
                    command.args(["send", at]).args(&work);
                    command
                };
                pair::run(receive, send, WITHIN)
            }
        };
        Sample::read_all(&printed?)
    }
}
