//! `node`: a node for machines.

use crate::at_work;
use crate::cluster::{self, Cluster};
use crate::config::{Flags, Settings};
use crate::exit::{Code, Failure};
use crate::log;
use crate::signals::StartedBy;
use clap::Args;
use odeon::App;
use std::future::ready;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon node --config /etc/odeon.toml
  odeon node --config odeon.toml --check
  odeon node --dir /var/lib/odeon --name one --http 0.0.0.0:8080
  odeon node --name north --credentials shop-cluster/nodes/north --cluster-listen 10.0.0.1:7000 --peer 10.0.0.2:7000";

/// The program of this process, where the system tells it (Linux), even if another one has taken its place on disk.
const SAME_PROGRAM: &str = "/proc/self/exe";

/// Which log lines are written by default.
const LOG_DEFAULT: &str = "info";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration file (TOML); flags beat it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check flags and configuration
    #[arg(long)]
    check: bool,
    /// The end of standard input, a pipe, ends the node: whoever started it has gone
    #[arg(long, hide = true)]
    ends_with_stdin: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Runs until a signal.
///
/// # Errors
/// The configuration cannot be used, or the node cannot start.
pub(crate) fn run(arguments: &Arguments, app: App) -> Result<Code, Failure> {
    let settings = Settings::load(&arguments.flags, arguments.config.as_deref())?;
    if arguments.check {
        app.check(&settings.node()).map_err(|e| settings.explain(&e))?;
        cluster::check(&settings)?;
        log::check(arguments.flags.log.as_deref(), settings.log.as_deref())?;
        return Ok(Code::Done);
    }
    let mut log = log::start(arguments.flags.log.as_deref(), settings.log.as_deref(), LOG_DEFAULT)?;
    let started_by = if arguments.ends_with_stdin { StartedBy::Launcher } else { StartedBy::System };
    let ended = at_work::run(
        &settings,
        &mut log,
        app,
        started_by,
        |at_work| {
            let here = &at_work.whereabouts;
            tracing::info!(
                node = here.name,
                pid = here.pid,
                http = %here.http,
                management = %here.management,
                links = here.links.map(tracing::field::display),
                identity = at_work.cluster.as_ref().map(Cluster::identity),
                directory = %settings.directory.display(),
                ready = at_work.is_ready,
                "the node is up"
            );
            ready(Ok(()))
        },
        |signal, within| tracing::info!(signal, ?within, "the node stops"),
    )?;
    if ended.comes_back {
        tracing::warn!(killed = ended.killed, "the node was removed from its cluster: it comes back");
        // what it writes comes before what it writes then
        drop(log);
        return Err(begin_anew());
    }
    if ended.code == Code::Done {
        tracing::info!(killed = ended.killed, "the node has stopped");
    }
    Ok(ended.code)
}

/// This process begins anew, with the same program, even if another one has taken its place on disk, the same arguments
/// and the same id: whoever looks after it need not know. Gives back why it does not.
fn begin_anew() -> Failure {
    let mut arguments = std::env::args_os();
    let invoked = arguments.next().unwrap_or_else(|| "odeon".into());
    let program =
        std::env::current_exe().map(|named| if is_replaced(&named) { SAME_PROGRAM.into() } else { named });
    let error = match program {
        Ok(program) => Command::new(program).arg0(invoked).args(arguments).exec(),
        Err(error) => error,
    };
    Failure::failed(format_args!(
        "the node was removed from its cluster, and cannot be started anew: {error}"
    ))
    .advice("start it, and it joins again")
}

/// Whether another program than this one has that name now. By its name it is what a process is called.
fn is_replaced(named: &Path) -> bool {
    let Ok(same) = std::fs::metadata(SAME_PROGRAM) else { return false };
    std::fs::metadata(named).map_or(true, |found| (found.dev(), found.ino()) != (same.dev(), same.ino()))
}
