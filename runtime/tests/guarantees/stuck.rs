//! A handler that blocks its executor, seen from outside.

use super::node;
use odeon::prelude::*;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

/// Blocks.
#[odeon::contract(name = "block", version = "1.0")]
pub trait Block {
    /// Blocks the thread until it is told to go on.
    #[cast]
    async fn block(&mut self, cx: &Cx);
}

struct Blocking(Arc<Mutex<mpsc::Receiver<()>>>);

#[odeon::service]
impl Block for Blocking {
    async fn block(&mut self, _: &Cx) {
        // what no service should do
        let _ = self.0.lock().expect("no panic while it is held").recv();
    }
}

#[test]
fn a_stuck_handler_is_named() {
    let (release, released) = mpsc::channel();
    let released = Arc::new(Mutex::new(released));
    let (out, node_out) = mpsc::channel();
    let executor = std::thread::Builder::new();
    let running = executor.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let make = move || Blocking(released.clone());
            let node = node(App::new().entity("block", make)).await;
            let blocked: BlockRef = node.entity("block", "a").expect("an entity");
            blocked.block().send().expect("room");
            out.send(node.clone()).expect("the test waits");
            node.stop(Duration::from_secs(10)).await
        })
    });
    let node = node_out.recv().expect("the node starts");
    let limit = Duration::from_millis(20);
    let stuck = loop {
        // the executor cannot tell: this thread looks until it has lasted
        if let Some(stuck) = node.stuck(limit).pop() {
            break stuck;
        }
        std::thread::yield_now();
    };
    assert_eq!((stuck.method, stuck.key.as_deref()), ("block", Some("a")));
    assert!(stuck.lasted > limit);
    assert!(stuck.to_string().starts_with("block#a #"), "{stuck}");
    release.send(()).expect("it waits");
    running.expect("a thread").join().expect("no panic");
    assert!(node.stuck(Duration::ZERO).is_empty());
}
