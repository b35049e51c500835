//! The runner, as tests and as people meet it.

mod attribute;
mod command_line;
mod failures;
mod scenarios;
