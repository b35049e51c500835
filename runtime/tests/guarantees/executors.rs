//! What the executors of a node owe each other, on threads of their own.

use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Longer than anything here takes on the slowest machine.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// Executors on threads of their own.
pub(super) struct Threads {
    pub(super) executors: Vec<Executor>,
    running: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Threads {
    pub(super) fn start(count: usize) -> Self {
        let mut threads = Self { executors: Vec::new(), running: Vec::new() };
        for index in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime");
            threads.executors.push(Executor::new(runtime.handle().clone(), index));
            let (stop, stopped) = oneshot::channel();
            let thread = std::thread::Builder::new().spawn(move || drop(runtime.block_on(stopped)));
            threads.running.push((stop, thread.expect("a thread")));
        }
        threads
    }

    /// Runs something on an executor and waits here for its result.
    pub(super) fn on<T: Send + 'static>(
        &self,
        index: usize,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        self.executors[index].spawn(async move { drop(sender.send(task.await)) });
        receiver.recv_timeout(LONG).expect("it ends")
    }

    pub(super) fn node(&self, app: App) -> Node {
        let host = Host { executors: self.executors.clone(), blocking: Arc::new(Inline), seed: 7 };
        let name: NodeName = "threads".parse().expect("a name");
        self.on(0, Node::start(host, NodeConfig::named(name), app)).expect("the node starts")
    }

    pub(super) fn stop(self) {
        for (stop, thread) in self.running {
            stop.send(()).expect("it runs until now");
            thread.join().expect("no panic");
        }
    }
}

/// Blocks the thread that it runs on.
#[odeon::contract(name = "roadblock", version = "1.0")]
pub trait Roadblock {
    /// Blocks until it is told to go on.
    async fn block(&mut self, cx: &Cx);
}

struct Barrier {
    blocks: mpsc::Sender<()>,
    released: Arc<Mutex<mpsc::Receiver<()>>>,
}

#[odeon::service]
impl Roadblock for Barrier {
    async fn block(&mut self, _: &Cx) {
        self.blocks.send(()).expect("the test listens");
        // what no service should do
        let _ = self.released.lock().expect("no panic while it is held").recv();
    }
}

#[test]
fn a_blocked_executor_keeps_no_deadline_of_another_from_ending() {
    let threads = Threads::start(2);
    let (blocks, blocked) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let make = move || Barrier { blocks: blocks.clone(), released: released.clone() };
    // a singleton runs on the first executor
    let node = threads.node(App::new().singleton("roadblock", make));
    let roadblock: RoadblockRef = node.service("roadblock").expect("a service");
    // begun beforehand, so that more than one deadline is on the way when the first executor stops
    let waits = roadblock.clone();
    let long = async move { waits.block().within(Duration::from_millis(40)).await };
    let (sender, long_ended) = mpsc::channel();
    threads.executors[1].spawn(async move { drop(sender.send(long.await)) });
    blocked.recv_timeout(LONG).expect("it blocks");
    let outcome = threads.on(1, async move { roadblock.block().within(Duration::from_millis(5)).await });
    assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::TimedOut)));
    let outcome = long_ended.recv_timeout(LONG).expect("it ends");
    assert_eq!(outcome, Err(CallError::Unknown(UnknownCause::TimedOut)));
    release.send(()).expect("it waits");
    drop(release);
    threads.on(1, async move { node.stop(LONG).await });
    threads.stop();
}
