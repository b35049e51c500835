//! The seams: what a node is handed when it starts. They own all threads; nothing else in a node starts one.

mod blocking;
mod directory;
mod executor;

pub use blocking::{Blocking, Inline, Job, Threads, run_blocking};
pub(crate) use directory::{make_directory, sync_directory};
pub use executor::Executor;

use std::sync::Arc;

/// What a node is handed when it starts.
#[derive(Clone)]
pub struct Host {
    /// Single-threaded runtimes that somebody drives, each with its clock enabled. Cells and I/O run on them. At
    /// least one.
    pub executors: Vec<Executor>,
    /// Where blocking work runs.
    pub blocking: Arc<dyn Blocking>,
    /// Where chance begins. Production draws it from the operating system.
    pub seed: u64,
}
