//! `stop`: ends the node in order.

use crate::directory::Directory;
use crate::duration::{self, show};
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use clap::Args;
use odeon_actors::management::api::StopRequest;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon stop
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
    #[command(flatten)]
    target: Target,
}

/// Asks it to stop and waits until its directory is free.
///
/// # Errors
/// The node cannot be asked, does not end in time, or did not stop in order.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let Arguments { within, no_wait, target } = arguments;
    let remote = Remote::find(target)?;
    let ending = begin(&remote, target, *within).await?;
    if *no_wait {
        invocation.terminal.line("Stopping.")?;
        return Ok(Code::Done);
    }
    ending.ended().await?;
    Ok(invocation.terminal.line("Stopped.").map(|()| Code::Done)?)
}

/// A node that was asked to stop.
pub(super) struct Ending<'a> {
    remote: &'a Remote,
    target: &'a Target,
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
    target: &'a Target,
    within: Option<Duration>,
) -> Result<Ending<'a>, Failure> {
    let ending = Ending { remote, target, within, pid: pid(target) };
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
        while has_not_ended(self.target, self.remote).await {
            if begun.elapsed() > limit {
                let said =
                    format_args!("the node was asked to stop and has not ended within {}", show(limit));
                return Err(self.by_force(Failure::failed(said)));
            }
            sleep(LOOK_EVERY).await;
        }
        match self.pid.is_some() && pid(self.target) == self.pid {
            true => Err(Failure::failed("the node has ended, but it did not stop in order")
                .advice("its log names the handlers that blocked an executor, or why it ended")),
            false => Ok(()),
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

/// The process that says that it is the node of the directory; one that stops in order takes that back. None when only
/// a URL is known.
fn pid(target: &Target) -> Option<u32> {
    let whereabouts = || Directory::at(&target.dir).whereabouts().ok();
    (!target.is_remote()).then(whereabouts).flatten().map(|whereabouts| whereabouts.pid)
}

/// By its directory, or by whether it still listens when only its URL is known.
async fn has_not_ended(target: &Target, remote: &Remote) -> bool {
    match target.is_remote() {
        true => remote.listens().await,
        false => Directory::at(&target.dir).is_occupied(),
    }
}
