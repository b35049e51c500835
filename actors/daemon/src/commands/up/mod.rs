//! `up`: nodes for people, by one command. Says where they are, what to try and how they end.
//!
//! Reading order: [`run`] decides between one node in this process (`alone`) and several as processes of the operating
//! system. Of these, `plan` says what each is told and writes it down, `ports` where it listens; `launcher` starts them,
//! and again whatever ends by itself; `process` is one of them, `news` what its log tells people, `banner` what they read
//! first. `suggest` has the lines that can be typed.

mod alone;
mod banner;
mod launcher;
mod news;
mod plan;
mod ports;
mod process;
mod suggest;

use crate::config::{Flags, Settings};
use crate::exit::{Code, Failure};
use crate::launched::NODES_MAX;
use crate::log;
use crate::program::Invocation;
use clap::Args;
use odeon::App;
use plan::Plan;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon up
  odeon up --nodes 5 --dir /tmp/demo --http 127.0.0.1:0
  odeon up --nodes 1 --config odeon.toml --log info";

/// How many nodes there are when nobody says: the fewest that go on without one of them.
const NODES_DEFAULT: usize = 3;

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration file (TOML); flags beat it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many nodes; one is in no cluster, and this very process [default: 3, or as many as DIR has]
    #[arg(long, value_name = "N", value_parser = nodes)]
    nodes: Option<usize>,
    #[command(flatten)]
    flags: Flags,
}

fn nodes(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=NODES_MAX).contains(count));
    count.ok_or_else(|| format!("expected 1 to {NODES_MAX}"))
}

/// Runs until Ctrl-C.
///
/// # Errors
/// The configuration cannot be used, or the nodes cannot start.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments, app: App) -> Result<Code, Failure> {
    let Arguments { config, nodes, flags } = arguments;
    let settings = Settings::load(flags, config.as_deref())?;
    let there = plan::count(&settings.directory);
    let count = count(*nodes, there, &settings)?;
    if count == 1 && there == 0 {
        return alone::run(invocation, &settings, flags.log.as_deref(), app);
    }
    log::check(flags.log.as_deref(), settings.log.as_deref())?;
    app.check(&settings.node()).map_err(|e| settings.explain(&e))?;
    let plan =
        Plan { root: &settings.directory, settings: &settings, flags, config: config.as_deref(), count };
    launcher::run(invocation, &plan)
}

/// How many nodes: as many as are asked for, but not fewer than there are.
fn count(asked: Option<usize>, there: usize, settings: &Settings) -> Result<usize, Failure> {
    let count = asked.unwrap_or(if there > 0 { there } else { NODES_DEFAULT });
    if count < there {
        let problem = format_args!("--nodes {count}, but {} has {there} nodes", settings.directory.display());
        return Err(Failure::usage(problem).advice(
            "leave --nodes out, or name another directory with --dir DIR; removing this one removes those nodes",
        ));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_nodes_as_before_unless_somebody_wants_more() {
        let settings = Settings::load(&Flags::default(), None).expect("the defaults work");
        let count = |asked, there| count(asked, there, &settings).map_err(|failure| failure.code);
        assert_eq!(count(None, 0), Ok(3));
        assert_eq!(count(Some(1), 0), Ok(1));
        assert_eq!(count(None, 5), Ok(5));
        assert_eq!(count(Some(5), 3), Ok(5));
        for fewer in [1, 2] {
            assert_eq!(count(Some(fewer), 3), Err(Code::Usage));
        }
    }
}
