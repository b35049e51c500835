//! The executors of a production node: one thread each, driving a single-threaded tokio runtime.

use odeon::host::Executor;
use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many executors a node has that is not told: one for each core that this process may use (decision 1).
pub(crate) fn executors_default() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// How long an executor may take to drop its tasks. One that runs a handler which never yields would take for
/// ever; the end of the process takes it along.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The running executors. They end by [`Executors::stop`].
#[derive(Debug)]
pub(crate) struct Executors {
    running: Vec<Running>,
    ended: mpsc::Receiver<()>,
}

#[derive(Debug)]
struct Running {
    handle: Executor,
    stop: oneshot::Sender<()>,
}

impl Executors {
    /// Starts `count` of them, at least one.
    ///
    /// # Errors
    /// The operating system refused a thread or what a runtime needs of it.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (report_end, ended) = mpsc::channel();
        let mut running = Vec::new();
        for index in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let handle = Executor::new(runtime.handle().clone(), index);
            let (stop, stopped) = oneshot::channel();
            let report_end = report_end.clone();
            thread::Builder::new().name(format!("executor-{index}")).spawn(move || {
                // an owner that went away means stop as well
                let _ = runtime.block_on(stopped);
                drop(runtime);
                drop(report_end);
            })?;
            running.push(Running { handle, stop });
        }
        Ok(Self { running, ended })
    }

    /// What a node is handed.
    pub(crate) fn handles(&self) -> Vec<Executor> {
        self.running.iter().map(|r| r.handle.clone()).collect()
    }

    /// Ends them with all tasks on them. False: one did not end in time.
    pub(crate) fn stop(self) -> bool {
        for executor in self.running {
            // one whose thread has ended needs no signal
            let _ = executor.stop.send(());
        }
        matches!(self.ended.recv_timeout(END_WITHIN), Err(mpsc::RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_executor_runs_its_tasks_on_a_thread_of_its_own() {
        let executors = Executors::start(2).expect("threads");
        let (report, names) = mpsc::channel();
        for executor in executors.handles() {
            let (report, own) = (report.clone(), executor.clone());
            executor.spawn(async move {
                let name = thread::current().name().map(String::from);
                report.send((own.index(), own.is_current(), name)).expect("the test waits");
            });
        }
        drop(report);
        let mut seen: Vec<_> = names.iter().collect();
        seen.sort();
        let name = |i: usize| Some(format!("executor-{i}"));
        assert_eq!(seen, [(0, true, name(0)), (1, true, name(1))]);
        assert!(executors.stop());
    }

    #[test]
    fn stopping_drops_what_still_runs() {
        let executors = Executors::start(1).expect("a thread");
        let (alive, gone) = mpsc::channel::<()>();
        executors.handles()[0].spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        assert!(executors.stop());
        assert!(gone.recv().is_err());
    }
}
