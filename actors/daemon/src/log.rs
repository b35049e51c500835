//! Where log lines go: standard error, in words on a terminal, as JSON lines elsewhere.

use crate::exit::Failure;
use crate::terminal::colour_wanted;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable with a filter.
pub(crate) const VARIABLE: &str = "ODEON_LOG";

/// Starts logging; once in a process. A flag beats the environment, which beats the configuration.
///
/// # Errors
/// The filter does not parse.
pub(crate) fn start(flag: Option<&str>, configured: Option<&str>, default: &str) -> Result<(), Failure> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (text, said_by) = match (flag, &variable, configured) {
        (Some(text), _, _) => (text, "--log"),
        (None, Some(text), _) => (text.as_str(), VARIABLE),
        (None, None, Some(text)) => (text, "node.log"),
        (None, None, None) => (default, "the default"),
    };
    let filter = EnvFilter::builder().parse(text).map_err(|e| {
        Failure::usage(format_args!("{said_by}: {text:?} is no log filter: {e}"))
            .advice("a filter is a level or a list such as info,odeon=debug")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if io::stderr().is_terminal() {
        builder.with_ansi(colour_wanted()).with_target(false).finish().try_init()
    } else {
        builder.json().flatten_event(true).finish().try_init()
    };
    started.map_err(|e| Failure::failed(format_args!("logging cannot start: {e}")))
}
