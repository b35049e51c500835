//! Threads for single-threaded runtimes: what a daemon hands to a node.

use odeon::host::Executor;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use tokio::runtime;
use tokio::sync::oneshot;

/// Threads, each driving one single-threaded runtime. They end when this is dropped.
#[derive(Debug)]
pub struct Executors {
    /// In the order of their threads.
    pub list: Vec<Executor>,
    /// Dropped to end them.
    _ends: Vec<oneshot::Sender<()>>,
}

impl Executors {
    /// The name of the thread of the executor at a position.
    pub fn thread_name(index: usize) -> String {
        format!("executor-{index}")
    }

    /// Starts `count` of them.
    ///
    /// # Errors
    /// The operating system refused a thread or a runtime.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let (mut list, mut ends) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (end, ended) = oneshot::channel::<()>();
            let (report, reported) = sync_channel(1);
            Builder::new().name(Self::thread_name(index)).spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                let handle = runtime.as_ref().map(|r| r.handle().clone()).map_err(|e| e.kind());
                let _ = report.send(handle);
                if let Ok(runtime) = runtime {
                    let _ = runtime.block_on(ended);
                }
            })?;
            let handle = reported.recv().map_err(std::io::Error::other)?.map_err(std::io::Error::from)?;
            list.push(Executor::new(handle, index));
            ends.push(end);
        }
        Ok(Self { list, _ends: ends })
    }

    /// Runs a task on the executor at a position and waits for it on this thread, which drives none.
    pub fn run<T: Send + 'static>(&self, index: usize, task: impl Future<Output = T> + Send + 'static) -> T {
        let (report, reported) = sync_channel(1);
        self.list[index].spawn(async move {
            let _ = report.send(task.await);
        });
        reported.recv().expect("the task does not panic")
    }
}
