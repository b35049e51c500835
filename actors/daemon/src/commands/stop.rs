//! `stop`: ends the node in order, or all that `up` has started.

use crate::directory::Directory;
use crate::duration::{self, show};
use crate::exit::{Code, Failure};
use crate::launched::Launcher;
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use clap::Args;
use odeon_actors::management::api::StopRequest;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon stop
  odeon stop --dir .odeon/nodes/two
  odeon stop --within 5s --dir /var/lib/odeon";

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Beyond the time given to the node: it ends by itself a few seconds later, in any load of the machine.
const GRACE: Duration = Duration::from_secs(10);
/// How long the node takes at most that is given no time: more than any sensible configuration.
const WITHIN_UNKNOWN: Duration = Duration::from_secs(600);

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long what runs may take to finish; a few seconds later the node ends all the same [default: as configured]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    within: Option<Duration>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Arguments {
    /// How far it has come: `Stopping` or `Stopped`.
    fn tell(&self, invocation: &Invocation, state: &str) -> Result<Code, Failure> {
        match self.json {
            true => invocation.terminal.json(&State { state: state.to_lowercase() })?,
            false => invocation.terminal.line(format_args!("{state}."))?,
        }
        Ok(Code::Done)
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct State {
    state: String,
}

/// Asks it to stop and waits until its directory is free.
///
/// # Errors
/// The node cannot be asked, does not end in time, or did not stop in order.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let Arguments { within, no_wait, target, .. } = arguments;
    if let Some(launcher) = Launcher::of(&target.dir).filter(|_| !target.is_remote())
        && Directory::at(&target.dir).is_occupied()
    {
        return stop_all(invocation, arguments, launcher).await;
    }
    let remote = Remote::find(target)?;
    let ending = begin(&remote, target, *within).await?;
    if *no_wait {
        return arguments.tell(invocation, "Stopping");
    }
    ending.ended().await?;
    arguments.tell(invocation, "Stopped")
}

/// A node that was asked to stop.
pub(super) struct Ending<'a> {
    remote: &'a Remote,
    /// None: only a URL is known.
    directory: Option<Directory>,
    within: Option<Duration>,
    /// Its process, if that is known.
    pid: Option<u32>,
}

/// Asks a node to stop.
///
/// # Errors
/// It cannot be asked.
pub(super) async fn begin<'a>(
    remote: &'a Remote,
    target: &Target,
    within: Option<Duration>,
) -> Result<Ending<'a>, Failure> {
    let directory = (!target.is_remote()).then(|| target.directory());
    let pid = directory.as_ref().and_then(pid);
    let ending = Ending { remote, directory, within, pid };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let asked = remote.stop(&StopRequest { within_ms: within.map(millis) }).await;
    asked.map_err(|failure| match failure.code {
        Code::Unknown => ending.by_force(failure),
        _ => failure,
    })?;
    Ok(ending)
}

impl Ending<'_> {
    /// Waits until its directory is free.
    ///
    /// # Errors
    /// It does not end in time, or did not stop in order.
    pub(super) async fn ended(self) -> Result<(), Failure> {
        let limit = self.within.unwrap_or(WITHIN_UNKNOWN).saturating_add(GRACE);
        let begun = Instant::now();
        while self.has_not_ended().await {
            if begun.elapsed() > limit {
                let said =
                    format_args!("the node was asked to stop and has not ended within {}", show(limit));
                return Err(self.by_force(Failure::failed(said)));
            }
            sleep(LOOK_EVERY).await;
        }
        match self.pid.is_some() && self.directory.as_ref().and_then(pid) == self.pid {
            true => Err(Failure::failed("the node has ended, but it did not stop in order")
                .advice("its log names the handlers that blocked an executor, or why it ended")),
            false => Ok(()),
        }
    }

    /// By its directory, or by whether it still listens when only its URL is known.
    async fn has_not_ended(&self) -> bool {
        match &self.directory {
            Some(directory) => directory.is_occupied(),
            None => self.remote.listens().await,
        }
    }

    fn by_force(&self, failure: Failure) -> Failure {
        match self.pid {
            Some(pid) => {
                failure.advice(format_args!("`kill {pid}` asks it another way; `kill -KILL {pid}` ends it"))
            }
            None => failure,
        }
    }
}

/// The same for all that `up` has started. It hears a signal, and passes it on.
async fn stop_all(
    invocation: &Invocation,
    arguments: &Arguments,
    launcher: Launcher,
) -> Result<Code, Failure> {
    let Arguments { within, no_wait, target, .. } = arguments;
    if within.is_some() {
        return Err(Failure::usage(
            "several nodes are not given a time to stop: each takes what it is configured to",
        )
        .advice("set [node] stop_within in its odeon.toml, or stop one of them with --dir DIR/nodes/NAME"));
    }
    let pid = launcher.pid;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = process.map_or(Err(Errno::SRCH), |process| kill_process(process, Signal::TERM));
    sent.map_err(|e| Failure::failed(format_args!("process {pid} cannot be asked to stop: {e}")))?;
    if *no_wait {
        return arguments.tell(invocation, "Stopping");
    }
    let limit = WITHIN_UNKNOWN.saturating_add(GRACE);
    let begun = Instant::now();
    while Directory::at(&target.dir).is_occupied() {
        if begun.elapsed() > limit {
            let said =
                format_args!("process {pid} was asked to stop and has not ended within {}", show(limit));
            return Err(Failure::failed(said)
                .advice(format_args!("`kill -KILL {pid}` ends it; its nodes end when it has ended")));
        }
        sleep(LOOK_EVERY).await;
    }
    match Launcher::of(&target.dir) == Some(launcher) {
        true => Err(Failure::failed("the nodes have ended, but not all of them stopped in order")
            .advice("each has a log in DIR/nodes/NAME/log")),
        false => arguments.tell(invocation, "Stopped"),
    }
}

/// The process that says that it is the node of a directory; one that stops in order takes that back.
fn pid(directory: &Directory) -> Option<u32> {
    directory.whereabouts().ok().map(|whereabouts| whereabouts.pid)
}
