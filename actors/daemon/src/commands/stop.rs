//! `stop`: ends the node in order.

use crate::directory::Directory;
use crate::duration;
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
/// Beyond the time given to the node: for the end of the process itself, in any load of the machine.
const GRACE: Duration = Duration::from_secs(30);
/// How long the node takes at most that is given no time: more than any sensible configuration.
const WITHIN_UNKNOWN: Duration = Duration::from_secs(600);

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long what runs may take to finish [default: as configured]
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
/// The node cannot be asked, or does not end in time.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    remote.stop(&StopRequest { within_ms: arguments.within.map(millis) }).await?;
    if arguments.no_wait {
        invocation.terminal.line("Stopping.")?;
        return Ok(Code::Done);
    }
    let limit = Instant::now() + arguments.within.unwrap_or(WITHIN_UNKNOWN) + GRACE;
    while has_not_ended(&arguments.target, &remote).await {
        if Instant::now() > limit {
            return Err(Failure::failed("the node has not ended in time"));
        }
        sleep(LOOK_EVERY).await;
    }
    invocation.terminal.line("Stopped.")?;
    Ok(Code::Done)
}

/// By its directory, or by whether it still answers when only its URL is known.
async fn has_not_ended(target: &Target, remote: &Remote) -> bool {
    match target.is_remote() {
        true => remote.status().await.is_ok(),
        false => Directory::at(&target.dir).is_occupied(),
    }
}
