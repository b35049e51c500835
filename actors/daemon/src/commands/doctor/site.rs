//! What is looked at: a configuration, its directory, the node that runs in there, and where blocking work is done.

use crate::config::Settings;
use crate::directory::{Directory, Whereabouts};
use crate::exit::Failure;
use odeon::host::{Blocking, Executor, Threads, run_blocking};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Threads for what may hang: a disk and names of hosts. One that hangs is left behind.
const THREADS: usize = 8;
const QUEUE_MAX: usize = 64;
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Who runs in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nobody.
    None,
    /// Somebody who does not say where it listens: it starts or stops.
    Silent,
    /// The directory does not answer: why, in words.
    Unknown(String),
    /// A node.
    Node(Whereabouts),
}

/// All that checks look at.
pub(super) struct Site {
    pub(super) settings: Settings,
    pub(super) occupant: Occupant,
    pub(super) blocking: Arc<dyn Blocking>,
    pub(super) executor: Executor,
}

/// The threads for what may hang.
///
/// # Errors
/// There are none.
pub(super) fn threads() -> Result<Arc<dyn Blocking>, Failure> {
    match Threads::start("blocking", THREADS, QUEUE_MAX) {
        Ok(threads) => Ok(Arc::new(threads)),
        Err(e) => Err(Failure::failed(format_args!("the threads for blocking work cannot start: {e}"))),
    }
}

/// Reads what may be on a disk that hangs.
///
/// # Errors
/// It was not read, in words.
pub(super) async fn read<T: Send + 'static>(
    blocking: &dyn Blocking,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    within(blocking, READ_WITHIN, work).await
}

async fn within<T: Send + 'static>(
    blocking: &dyn Blocking,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    match timeout(limit, run_blocking(blocking, work)).await {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(_) => Err(format!("it takes longer than {limit:.0?}")),
    }
}

impl Site {
    /// As it is now.
    pub(super) async fn of(settings: Settings, blocking: Arc<dyn Blocking>) -> Self {
        let directory = Directory::at(&settings.directory);
        let occupant = read(&*blocking, move || Occupant::of(&directory)).await;
        let occupant = occupant.unwrap_or_else(Occupant::Unknown);
        Self { settings, occupant, blocking, executor: Executor::new(Handle::current(), 0) }
    }

    /// The node that runs.
    pub(super) fn running(&self) -> Option<&Whereabouts> {
        match &self.occupant {
            Occupant::Node(whereabouts) => Some(whereabouts),
            Occupant::None | Occupant::Silent | Occupant::Unknown(_) => None,
        }
    }

    /// Does what may hang, but waits no longer than this.
    ///
    /// # Errors
    /// It was not done, in words.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        within(&*self.blocking, limit, work).await
    }
}

impl Occupant {
    fn of(directory: &Directory) -> Self {
        match (directory.is_occupied(), directory.whereabouts()) {
            (false, _) => Self::None,
            (true, Ok(whereabouts)) => Self::Node(whereabouts),
            (true, Err(_)) => Self::Silent,
        }
    }
}
