//! Notices handlers that block an executor. It runs on the thread that waits for signals, because nobody on a
//! blocked executor can look.

use odeon::Node;
use odeon::core::ActivationId;
use odeon::node::Stuck;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often each executor is asked whether it runs, and how long it may take to answer.
const EVERY: Duration = Duration::from_secs(1);
/// How long one poll may last before its handler is called stuck.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Looks for ever; tells of every handler that is stuck when that is seen, and again each time it has lasted twice as
/// long.
pub(crate) async fn watch(node: &Node, mut tell: impl FnMut(&Stuck)) {
    let mut pulses: Vec<_> = node.executors().iter().map(|executor| (executor, Pulse::default())).collect();
    let mut told = Told::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let mut silent = false;
        for (executor, pulse) in &mut pulses {
            match pulse.ask() {
                Some(answer) => drop(executor.spawn(async move { answer.fetch_add(1, Relaxed) })),
                None => silent = true,
            }
        }
        let stuck = if silent { node.stuck(STUCK_AFTER) } else { Vec::new() };
        told.news(&stuck).into_iter().for_each(&mut tell);
    }
}

/// How long each of those that are stuck had lasted when it was last told of.
#[derive(Default)]
struct Told(BTreeMap<ActivationId, Duration>);

impl Told {
    /// Those of which there is something to tell.
    fn news<'a>(&mut self, stuck: &'a [Stuck]) -> Vec<&'a Stuck> {
        self.0.retain(|cell, _| stuck.iter().any(|stuck| stuck.cell == *cell));
        let is_news = |stuck: &&Stuck| {
            let last = self.0.get(&stuck.cell);
            // one that has lasted for less is another one
            let is_news = last.is_none_or(|last| stuck.lasted >= *last * 2 || stuck.lasted < *last);
            if is_news {
                self.0.insert(stuck.cell, stuck.lasted);
            }
            is_news
        };
        stuck.iter().filter(is_news).collect()
    }
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

    fn stuck(cell: u64, seconds: u64) -> Stuck {
        let service = "block".parse().expect("a name");
        let lasted = Duration::from_secs(seconds);
        Stuck { service, cell: ActivationId(cell), key: None, method: "block", lasted }
    }

    #[test]
    fn what_stays_stuck_is_told_of_ever_less_often() {
        let mut told = Told::default();
        let mut seconds_told = Vec::new();
        for second in 1..=40 {
            let now = [stuck(1, second)];
            seconds_told.extend(told.news(&now).iter().map(|stuck| stuck.lasted.as_secs()));
        }
        assert_eq!(seconds_told, [1, 2, 4, 8, 16, 32]);
        assert_eq!(told.news(&[stuck(1, 41), stuck(2, 1)]).len(), 1, "another one is news");
        assert_eq!(told.news(&[stuck(1, 1)]).len(), 1, "so is the same one in another call");
        assert!(told.news(&[]).is_empty());
        assert_eq!(told.news(&[stuck(1, 1)]).len(), 1, "and after it went on");
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
