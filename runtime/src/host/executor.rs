//! An executor: a single-threaded tokio runtime that somebody else drives.

use tokio::runtime::{EnterGuard, Handle};
use tokio::task::JoinHandle;

/// A handle to one single-threaded runtime. Cells and I/O of a node run on the executors that it was given.
#[derive(Clone, Debug)]
pub struct Executor {
    runtime: Handle,
    index: usize,
}

impl Executor {
    /// For the runtime at a position among the executors of its node.
    pub fn new(runtime: Handle, index: usize) -> Self {
        Self { runtime, index }
    }

    /// Its position among the executors of its node.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Runs a task on it.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(task)
    }

    /// Runs a task on it as a member of a set that aborts it when dropped.
    pub fn spawn_in<T: Send + 'static>(
        &self,
        set: &mut tokio::task::JoinSet<T>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::AbortHandle {
        set.spawn_on(task, &self.runtime)
    }

    /// Tasks on it, and those that others have woken and that it has not come to.
    pub(crate) fn tasks(&self) -> (usize, usize) {
        let metrics = self.runtime.metrics();
        (metrics.num_alive_tasks(), metrics.global_queue_depth())
    }

    /// Makes timers and sockets that are created meanwhile belong to it.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Whether the caller runs on it.
    pub fn is_current(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.runtime.id())
    }
}
