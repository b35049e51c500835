//! `doctor`: what keeps a node from starting, joining or being fast, and what to do about it. Before the first start, too.
//!
//! Reading order: [`run`] is the order of the checks; `report` is what comes of them; `site` is what they look at. Each
//! other file measures one thing, and judges by pure functions of what was measured.

mod certificates;
mod clock;
mod configuration;
mod dial;
mod directory;
mod kept;
mod limits;
mod node;
mod ports;
mod reach;
mod report;
mod site;
mod sockets;
mod verdict;

use crate::config::Flags;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use configuration::Meant;
use node::Asked;
use odeon::App;
use report::{Group, Report};
use site::Site;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon doctor
  odeon doctor --config /etc/odeon.toml
  odeon doctor --dir .odeon/nodes/two
  odeon doctor --config north.toml --json | jq '.checks[] | select(.outcome == \"failed\")'";

/// What can be typed: what the node is started with, so that the same is looked at.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration file (TOML); flags beat it [default: DIR/odeon.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Makes all checks within some seconds, and prints them. A check that failed is a failure, a warning is none.
///
/// # Errors
/// Nothing can be printed.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments, app: App) -> Result<Code, Failure> {
    let mut report = Report::new(invocation.terminal, arguments.json);
    let blocking = site::threads()?;
    let (flags, file) = (arguments.flags.clone(), arguments.config.clone());
    let read = site::read(&*blocking, move || {
        let meant = Meant::by(&flags, file.as_deref());
        let settings = meant.read();
        (meant, settings)
    });
    let (meant, settings) = match read.await {
        Ok((meant, Ok(settings))) => (meant, settings),
        Ok((meant, Err(failure))) => {
            report.add(meant.unread(failure))?;
            return report.end();
        }
        Err(problem) => {
            report.add(configuration::unanswered(arguments.config.as_deref(), &problem))?;
            return report.end();
        }
    };
    let site = Site::of(settings, blocking).await;
    let mut configuration = meant.check(&site.settings, app);
    configuration.extend(configuration::check_running(&site.settings, &site.occupant));
    report.add(configuration)?;

    report.progress("measuring the disk, looking at ports and certificates")?;
    let (mut directory, ports, limits, (certificates, held)) = tokio::join!(
        directory::check(&site),
        ports::check(&site),
        limits::check(&site),
        certificates::check(&site)
    );
    directory.extend(kept::check(&site, held.as_ref()).await);
    let clock = clock::check(&site, held.as_ref()).await;
    for checks in [directory, ports, limits, clock, certificates] {
        report.add(checks)?;
    }

    report.progress("asking the node")?;
    let asked = Asked::of(&site).await;
    report.progress("dialing the peers")?;
    let links = asked.as_ref().and_then(|asked| asked.links.as_ref());
    report.add(reach::check(&site, held.as_ref(), links).await)?;
    report.add(match &asked {
        Some(asked) => asked.check(&site).await,
        None => vec![Group::Node.skipped("all of it", "no node runs in the directory")],
    })?;
    report.end()
}
