//! The systems, one file each. Every measurement runs in a process of its own, which starts one system.

mod actix;
mod erlang;
mod odeon;
mod ractor;
mod tokio;

pub use erlang::Erlang;

use crate::workload::{Sample, Sizes, Workload};
use anyhow::{Result, bail};
use clap::ValueEnum;

/// A system in one of its arrangements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// Odeon on one executor: cells and senders share a thread.
    Odeon,
    /// Odeon on two executors: the sender of tell and fan-in on the other one.
    Odeon2,
    /// As `odeon`, in a mailbox that lets senders wait for room instead of refusing.
    OdeonWait,
    /// As `odeon2`, in a mailbox that lets senders wait for room instead of refusing.
    Odeon2Wait,
    /// ractor on tokio's multi-threaded runtime with two workers.
    Ractor,
    /// As `ractor`, each call with a time-out of 5 s.
    RactorTimeout,
    /// ractor on one thread.
    Ractor1,
    /// A task behind tokio's unbounded channel, two workers.
    Tokio,
    /// A task behind tokio's unbounded channel, one thread.
    Tokio1,
    /// A task behind tokio's channel of 1024, one thread.
    TokioBounded1,
    /// actix: one thread for each arbiter; tell and fan-in cross from one to another.
    Actix,
    /// Erlang/OTP with one scheduler for each core.
    Erlang,
}

impl System {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// Whether this arrangement differs from a plainer one in this workload.
    pub fn takes_part(self, workload: Workload) -> bool {
        use Workload::{Ask, Ask64, FanIn, Spawn, Tell};
        match self {
            Self::OdeonWait | Self::Odeon2Wait | Self::TokioBounded1 => matches!(workload, Tell | FanIn),
            Self::RactorTimeout => matches!(workload, Ask | Ask64 | Spawn),
            _ => true,
        }
    }

    /// Does a workload in this process.
    ///
    /// # Errors
    /// The work was not done as it should be.
    pub fn measure(self, workload: Workload, sizes: &Sizes) -> Result<Vec<Sample>> {
        match self {
            Self::Odeon => odeon::measure(odeon::Arrangement::One, workload, sizes),
            Self::Odeon2 => odeon::measure(odeon::Arrangement::Two, workload, sizes),
            Self::OdeonWait => odeon::measure(odeon::Arrangement::Waiting, workload, sizes),
            Self::Odeon2Wait => odeon::measure(odeon::Arrangement::TwoWaiting, workload, sizes),
            Self::Ractor => ractor::measure::<false>(&mut multi_thread(), workload, sizes),
            Self::RactorTimeout => ractor::measure::<true>(&mut multi_thread(), workload, sizes),
            Self::Ractor1 => ractor::measure::<false>(&mut one_thread(), workload, sizes),
            Self::Tokio => tokio::measure::<tokio::Unbounded>(&mut multi_thread(), workload, sizes),
            Self::Tokio1 => tokio::measure::<tokio::Unbounded>(&mut one_thread(), workload, sizes),
            Self::TokioBounded1 => tokio::measure::<tokio::Bounded>(&mut one_thread(), workload, sizes),
            Self::Actix => actix::measure(workload, sizes),
            Self::Erlang => bail!("Erlang runs in a process of its own kind"),
        }
    }
}

fn multi_thread() -> ::tokio::runtime::Builder {
    let mut builder = ::tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2);
    builder
}

fn one_thread() -> ::tokio::runtime::Builder {
    ::tokio::runtime::Builder::new_current_thread()
}

/// Runs the measurement as a task, never on the thread that only waits.
fn run<P: crate::peer::Peer>(
    builder: &mut ::tokio::runtime::Builder,
    peer: P,
    workload: Workload,
    sizes: &Sizes,
) -> Result<Vec<Sample>> {
    let runtime = builder.enable_all().build()?;
    let sizes = *sizes;
    let samples = runtime.block_on(async move {
        ::tokio::spawn(async move { crate::peer::measure(&peer, workload, &sizes).await }).await
    })?;
    // a million actors need not be taken down in order
    std::mem::forget(runtime);
    samples
}
