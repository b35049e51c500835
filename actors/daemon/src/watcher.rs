//! Notices handlers that block an executor. It runs on the thread that waits for signals, because nobody on a
//! blocked executor can look.

use odeon::Node;
use odeon::node::Stuck;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often each executor is asked whether it runs, and how long it may take to answer.
const EVERY: Duration = Duration::from_secs(1);
/// How long one poll may last before its handler is called stuck.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Looks for ever; tells each time of every handler that is stuck.
pub(crate) async fn watch(node: &Node, mut tell: impl FnMut(&Stuck)) {
    let mut pulses: Vec<_> = node.executors().iter().map(|executor| (executor, Pulse::default())).collect();
    loop {
        tokio::time::sleep(EVERY).await;
        let mut silent = false;
        for (executor, pulse) in &mut pulses {
            match pulse.ask() {
                Some(answer) => drop(executor.spawn(async move { answer.fetch_add(1, Relaxed) })),
                None => silent = true,
            }
        }
        if silent {
            node.stuck(STUCK_AFTER).iter().for_each(&mut tell);
        }
    }
}

/// Into the log.
pub(crate) fn log(stuck: &Stuck) {
    tracing::warn!(service = %stuck.service, method = stuck.method, "a handler is stuck: {stuck}");
}

/// Questions to an executor, at most one of which is open: a blocked one must not collect them.
#[derive(Default)]
struct Pulse {
    asked: u64,
    answers: Arc<AtomicU64>,
}

impl Pulse {
    /// What the executor is to count up; none, if it has not answered the last question.
    fn ask(&mut self) -> Option<Arc<AtomicU64>> {
        if self.answers.load(Relaxed) != self.asked {
            return None;
        }
        self.asked += 1;
        Some(self.answers.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::core::NodeName;
    use odeon::host::{Executor, Host, Inline};
    use odeon::prelude::*;
    use odeon::{App, NodeConfig};
    use std::sync::{Mutex, mpsc};

    /// Blocks its thread.
    #[odeon::contract(name = "block", version = "1.0")]
    pub trait Block {
        /// Until it is told to go on.
        #[cast]
        async fn block(&self, cx: &Cx);
    }

    struct Blocking(Arc<Mutex<mpsc::Receiver<()>>>);

    #[odeon::service]
    impl Block for Blocking {
        async fn block(&self, _: &Cx) {
            let _ = self.0.lock().expect("no panic while it is held").recv();
        }
    }

    async fn blocked(released: Arc<Mutex<mpsc::Receiver<()>>>) -> Node {
        let executors = vec![Executor::new(tokio::runtime::Handle::current(), 0)];
        let host = Host { executors, blocking: Arc::new(Inline), seed: 1 };
        let name: NodeName = "test".parse().expect("a name");
        let app = App::new().service("block", move || Blocking(released.clone()));
        let node = Node::start(host, NodeConfig::named(name), app).await.expect("it starts");
        let block: BlockRef = node.service("block").expect("a service");
        block.block().send().expect("room");
        node
    }

    #[tokio::test]
    async fn a_handler_that_blocks_its_executor_is_told_of() {
        let (release, released) = mpsc::channel();
        let released = Arc::new(Mutex::new(released));
        let (out, node) = tokio::sync::oneshot::channel();
        let executor = std::thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
            runtime.block_on(async {
                let node = blocked(released).await;
                assert!(out.send(node.clone()).is_ok(), "the test waits");
                node.stop(Duration::from_secs(10)).await
            })
        });
        let node = node.await.expect("it starts");
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let watching = watch(&node, move |stuck| drop(tell.send(stuck.to_string())));
        let text = tokio::select! {
            () = watching => unreachable!("it looks for ever"),
            text = told.recv() => text.expect("the watcher lives"),
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("never told"),
        };
        assert!(text.starts_with("block #1 has not come to an await in block for "), "{text}");
        release.send(()).expect("it waits");
        executor.expect("a thread").join().expect("no panic");
    }
}
