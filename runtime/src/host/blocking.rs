//! Blocking work, every file access included: threads in production, inline under the simulator.

use crate::service::context::BlockingError;
use crate::telemetry::dump::BlockingDump;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::oneshot;

/// A piece of blocking work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Where blocking work runs.
pub trait Blocking: Send + Sync + fmt::Debug {
    /// Runs it at some time. Gives it back when too much is queued.
    ///
    /// # Errors
    /// The job, when the queue is full.
    fn run(&self, job: Job) -> Result<(), Job>;

    /// How much it has to do, if that is counted.
    fn look(&self) -> Option<BlockingDump> {
        None
    }
}

/// Runs work and waits for its result.
///
/// # Errors
/// [`BlockingError`].
pub async fn run_blocking<T: Send + 'static>(
    blocking: &dyn Blocking,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingError> {
    let (sender, receiver) = oneshot::channel();
    let job: Job = Box::new(move || {
        // a caller that left does not want it
        let _ = sender.send(work());
    });
    blocking.run(job).map_err(|_| BlockingError::Busy)?;
    receiver.await.map_err(|_| BlockingError::Panicked)
}

/// A fixed number of threads behind a bounded queue. They end when the last clone is dropped.
#[derive(Debug)]
pub struct Threads {
    queue: SyncSender<Job>,
    threads: usize,
    queue_max: usize,
    counts: Arc<Counts>,
}

/// Jobs that wait for a thread, and threads that work. A job may be taken before it was counted as one that waits: the
/// count is below zero then, for a moment.
#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicIsize,
    busy: AtomicUsize,
}

impl Threads {
    /// `count` threads (at least one) of this name with their number, `queue_max` jobs waiting at the most.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn start(name: &str, count: usize, queue_max: usize) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(queue_max);
        let counts = Arc::<Counts>::default();
        let jobs = Arc::new(Mutex::new(jobs));
        for i in 0..count.max(1) {
            let (jobs, counts) = (jobs.clone(), counts.clone());
            std::thread::Builder::new().name(format!("{name}-{i}")).spawn(move || work(&jobs, &counts))?;
        }
        Ok(Self { queue, threads: count.max(1), queue_max, counts })
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, counts: &Counts) {
    loop {
        let job = jobs.lock().recv();
        let Ok(job) = job else { return };
        counts.waiting.fetch_sub(1, Relaxed);
        counts.busy.fetch_add(1, Relaxed);
        // the one who waits learns of a panic by its dropped channel
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        counts.busy.fetch_sub(1, Relaxed);
    }
}

impl Blocking for Threads {
    fn run(&self, job: Job) -> Result<(), Job> {
        self.queue.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })?;
        self.counts.waiting.fetch_add(1, Relaxed);
        Ok(())
    }

    fn look(&self) -> Option<BlockingDump> {
        Some(BlockingDump {
            threads: self.threads,
            busy: self.counts.busy.load(Relaxed),
            waiting: usize::try_from(self.counts.waiting.load(Relaxed)).unwrap_or(0),
            waiting_max: self.queue_max,
        })
    }
}

/// Runs each job at once on the caller's thread. For the simulator, which charges its time to the node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Blocking for Inline {
    fn run(&self, job: Job) -> Result<(), Job> {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both implementations promise.
    async fn conforms(blocking: &dyn Blocking) {
        assert_eq!(run_blocking(blocking, || 2 + 2).await.expect("runs"), 4);
        let panicked = run_blocking(blocking, || panic!("on purpose")).await;
        assert!(matches!(panicked, Err::<(), _>(BlockingError::Panicked)));
        assert_eq!(run_blocking(blocking, || 1).await.expect("a panic harms nobody else"), 1);
    }

    #[tokio::test]
    async fn threads_conform() {
        conforms(&Threads::start("blocking", 2, 16).expect("threads")).await;
    }

    #[tokio::test]
    async fn inline_conforms() {
        conforms(&Inline).await;
    }

    #[tokio::test]
    async fn a_full_queue_gives_the_work_back() {
        let threads = Threads::start("blocking", 1, 1).expect("a thread");
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (begun_sender, begun) = oneshot::channel();
        threads
            .run(Box::new(move || {
                let _ = begun_sender.send(());
                let _ = gate.recv();
            }))
            .unwrap_or_else(|_| panic!("room"));
        begun.await.expect("it began");
        threads.run(Box::new(|| {})).unwrap_or_else(|_| panic!("room for one to wait"));
        assert!(threads.run(Box::new(|| {})).is_err());
        let seen = threads.look().expect("it counts");
        let expected = BlockingDump { threads: 1, busy: 1, waiting: 1, waiting_max: 1 };
        assert_eq!(seen, expected);
        release.send(()).expect("it waits");
    }
}
