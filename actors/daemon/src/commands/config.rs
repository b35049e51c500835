//! `config`: the effective configuration.

use crate::config::{Flags, Settings};
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon config > odeon.toml
  odeon config --config odeon.toml --http 0.0.0.0:8080
  odeon config --json | jq .node";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration file (TOML); flags beat it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Prints it.
///
/// # Errors
/// The configuration cannot be used.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let settings = Settings::load(&arguments.flags, arguments.config.as_deref())?;
    let text = settings.to_toml()?;
    match arguments.json {
        true => {
            let table = text.parse::<toml::Table>();
            let table = table.map_err(|e| Failure::failed(format_args!("the configuration: {e}")))?;
            invocation.terminal.json(&table)?;
        }
        false => invocation.terminal.line(text.trim_end())?,
    }
    Ok(Code::Done)
}
