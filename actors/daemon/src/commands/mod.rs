//! The subcommands, a file for each.

pub(crate) mod bench;
pub(crate) mod call;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod dump;
pub(crate) mod leave;
pub(crate) mod links;
pub(crate) mod members;
pub(crate) mod new;
pub(crate) mod node;
pub(crate) mod ps;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod topics;
pub(crate) mod tree;
pub(crate) mod up;

use crate::exit::Failure;

/// Runs a command on the main thread.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format_args!("the runtime cannot start: {e}")))?
        .block_on(command)
}
