//! The command line of Odeon: parses, wires, runs and prints.
//!
//! Reading order: [`main`] and [`Program`] are what a program of services calls; `command_line` says what can be
//! typed; `commands` has a file for each subcommand; `at_work` is a running node; `config`, `directory`, `executors`,
//! `signals` and `log` are what it is started with.
//!
//! Architecture invariant: nothing here decides anything about services; it hands a node what it needs and asks the
//! management interface like everybody else.

mod address;
mod aside;
mod at_work;
mod cluster;
mod command_line;
mod commands;
mod config;
mod connection;
mod date;
mod directory;
mod duration;
mod executors;
mod exit;
mod launched;
mod log;
mod panics;
mod program;
mod remote;
mod sample;
mod shown;
mod signals;
mod terminal;
mod watcher;

pub use exit::Exit;
pub use program::Program;

use odeon::App;

/// A request allocates and frees some dozens of small blocks: the system's allocator took a fifth of its
/// instructions. Only programs get it: libraries and the simulator leave the choice to whoever links them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the command line of a program with these services: `up`, `node`, `call`, `tree` and the others.
///
/// ```no_run
/// fn main() -> odeon_daemon::Exit {
///     odeon_daemon::main(|app| app)
/// }
/// ```
pub fn main(register: impl FnOnce(App) -> App) -> Exit {
    Program::new().main(register)
}
