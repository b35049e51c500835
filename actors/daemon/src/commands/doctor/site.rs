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

/// Who runs in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nobody.
    None,
    /// Somebody who does not say where it listens: it starts or stops.
    Silent,
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

impl Site {
    /// As it is now.
    ///
    /// # Errors
    /// There are no threads for it.
    pub(super) fn of(settings: Settings) -> Result<Self, Failure> {
        let threads = Threads::start(THREADS, QUEUE_MAX)
            .map_err(|e| Failure::failed(format_args!("the threads for blocking work cannot start: {e}")))?;
        let occupant = Occupant::of(&Directory::at(&settings.directory));
        let executor = Executor::new(Handle::current(), 0);
        Ok(Self { settings, occupant, blocking: Arc::new(threads), executor })
    }

    /// The node that runs.
    pub(super) fn running(&self) -> Option<&Whereabouts> {
        match &self.occupant {
            Occupant::Node(whereabouts) => Some(whereabouts),
            Occupant::None | Occupant::Silent => None,
        }
    }

    /// Does what may hang, but waits no longer than this.
    ///
    /// # Errors
    /// It was not done, in words.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        match timeout(within, run_blocking(&*self.blocking, work)).await {
            Ok(done) => done.map_err(|e| e.to_string()),
            Err(_) => Err(format!("it takes longer than {within:.0?}")),
        }
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
