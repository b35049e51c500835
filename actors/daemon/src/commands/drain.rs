//! `drain`: the node takes no more work, and goes on to run.

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use clap::Args;
use odeon::core::membership::MemberState;
use odeon_actors::management::api::{Decided, Members, StandingKind};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon drain
  odeon drain --dir /var/lib/odeon && odeon stop --dir /var/lib/odeon";

/// How often the members are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What the cluster group has taken its node hears within this time.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Asks for it, and waits until the node knows it.
///
/// # Errors
/// The node cannot be asked, or the cluster group does not take it.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    arguments.target.is_one()?;
    let remote = Remote::find(&arguments.target)?;
    let (members, decided) = drained(&remote).await?;
    if arguments.json {
        invocation.terminal.json(&decided)?;
        return Ok(Code::Done);
    }
    let epoch = decided.epoch;
    invocation.terminal.line(format_args!(
        "{} is draining since epoch {epoch}: it is not ready and takes no more work. Stop it; only a new start takes \
         this back.",
        members.node
    ))?;
    Ok(Code::Done)
}

/// Drains a node. Gives back what it knows of the members then.
///
/// # Errors
/// The node cannot be asked, or the cluster group does not take it.
pub(super) async fn drained(remote: &Remote) -> Result<(Members, Decided), Failure> {
    let decided = remote.drain().await?;
    let begun = Instant::now();
    loop {
        let members = remote.members().await?;
        let own = members.members.iter().find(|m| format!("{}@{}", m.name, m.incarnation) == members.node);
        if own.is_some_and(|own| own.state == MemberState::Draining) {
            return Ok((members, decided));
        }
        if members.standing != StandingKind::Member || begun.elapsed() > HEARD_WITHIN {
            let problem = format!("{} was to drain, and is no member that drains", members.node);
            return Err(Failure::failed(problem).advice("`odeon members` shows what became of it"));
        }
        sleep(LOOK_EVERY).await;
    }
}
