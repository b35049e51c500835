//! Supervision of real cells, through what authors and operators touch: policies, references, the tree of a node.

mod hooks;

use odeon::core::NodeName;
use odeon::core::supervision::RestartLimits;
use odeon::directory::ServiceKind;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig, OnFailure, RestartPolicy, ServiceOptions, TreeNode, TreeNodeKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(20);

/// A press that prints, jams and waits for paper.
#[odeon::contract(name = "press", version = "1.0")]
pub trait Press {
    /// Answers how many presses have been made so far.
    async fn print(&self, cx: &Cx) -> usize;
    /// Panics.
    async fn jam(&self, cx: &Cx);
    /// Waits until there is paper.
    async fn wait(&self, cx: &Cx);
    /// Like `print`, without an answer.
    #[cast]
    async fn queue(&self, cx: &Cx);
}

struct Metal {
    made: Arc<AtomicUsize>,
    paper: Arc<Semaphore>,
}

#[odeon::service]
impl Press for Metal {
    async fn print(&self, _: &Cx) -> usize {
        self.made.load(SeqCst)
    }
    async fn jam(&self, _: &Cx) {
        panic!("paper jam");
    }
    async fn wait(&self, _: &Cx) {
        self.paper.acquire().await.expect("it is never closed").forget();
    }
    async fn queue(&self, _: &Cx) {}
}

/// A node with one service of presses, on two executors.
struct House {
    node: Node,
    paper: Arc<Semaphore>,
}

impl House {
    async fn open(kind: ServiceKind, on_failure: OnFailure, restarts_max: u32) -> Self {
        let (made, paper) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let limits = RestartLimits { restarts_max, quiet: LONG * 10, ..RestartPolicy::default().limits };
        let options =
            ServiceOptions { restart: RestartPolicy { on_failure, limits }, ..ServiceOptions::of(kind) };
        let stock = paper.clone();
        let make = move || {
            made.fetch_add(1, SeqCst);
            Metal { made: made.clone(), paper: stock.clone() }
        };
        let app = match kind {
            ServiceKind::Stateless => App::new().service_with("press", options, make),
            ServiceKind::Entity => App::new().entity_with("press", options, make),
            ServiceKind::Singleton => App::new().singleton_with("press", options, make),
        };
        let runtime = tokio::runtime::Handle::current();
        let executors = vec![Executor::new(runtime.clone(), 0), Executor::new(runtime, 1)];
        let name: NodeName = "house".parse().expect("a name");
        let host = Host { executors, blocking: Arc::new(Inline), seed: 7 };
        let node = Node::start(host, NodeConfig::named(name), app).await.expect("it starts");
        let house = Self { node, paper };
        eventually("it is ready", || house.node.is_ready()).await;
        house
    }

    fn service(&self) -> PressRef {
        self.node.service("press").expect("a service")
    }

    fn entity(&self, key: &str) -> PressRef {
        self.node.entity("press", key).expect("an entity")
    }

    /// Runs a caller beside the test.
    fn beside<F>(&self, caller: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.node.executors()[0].spawn(caller)
    }

    /// The service in the tree.
    async fn tree(&self, cells_max: usize) -> TreeNode {
        let services = self.node.tree(cells_max).await.children.remove(1);
        assert_eq!(services.name, "services");
        services.children.into_iter().find(|node| node.name == "press").expect("the service")
    }
}

/// Waits for a fact, with a generous limit.
async fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let waiting = async {
        while !fact() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(LONG, waiting).await.is_ok(), "never: {what}");
}

#[tokio::test]
async fn the_tree_shows_what_waits_what_runs_and_what_failed() {
    let house = House::open(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let (busy, failing) = (house.entity("busy"), house.entity("failing"));
    assert_eq!(failing.jam().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    failing.print().await.expect("it began again");
    let waiting = house.beside({
        let busy = busy.clone();
        async move { busy.wait().within(LONG).await }
    });
    tokio::task::yield_now().await;
    for _ in 0..3 {
        busy.queue().send().expect("room");
    }
    let mut service = house.tree(1).await;
    while service.children[0].load.as_ref().and_then(|load| load.current.as_deref()) != Some("wait") {
        tokio::task::yield_now().await;
        service = house.tree(1).await;
    }
    assert_eq!((service.kind, service.unlisted, service.restarts), (TreeNodeKind::Entities, 1, 1));
    let load = service.children[0].load.as_ref().expect("a cell has one");
    assert_eq!((service.children[0].name.as_str(), load.waiting), ("busy", 3));
    assert_eq!(service.failures[0].of.as_deref(), Some("failing"));
    assert_eq!(service.failures[0].reason, "panicked in jam: paper jam");
    house.paper.add_permits(1);
    waiting.await.expect("no panic").expect("it ends");
    assert_eq!(house.node.stop(LONG).await, 0);
}

#[tokio::test]
async fn an_instance_that_fails_too_often_rests_while_the_others_go_on() {
    let house = House::open(ServiceKind::Stateless, OnFailure::Restart, 0).await;
    let press = house.service();
    assert_eq!(press.jam().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    for _ in 0..20 {
        assert_eq!(press.print().await, Ok(2), "none was made anew");
    }
    let phases: Vec<String> = house.tree(10).await.children.into_iter().map(|cell| cell.phase).collect();
    assert!(phases.contains(&"waiting".into()) && phases.contains(&"up".into()), "{phases:?}");
    // What waits for its restart does not hold up the stop of the node.
    let stopped = tokio::time::timeout(LONG, house.node.stop(LONG * 2)).await;
    assert_eq!(stopped, Ok(0));
}

#[tokio::test]
async fn a_service_that_escalates_begins_again_as_a_whole_behind_the_same_reference() {
    let house = House::open(ServiceKind::Stateless, OnFailure::Escalate, 0).await;
    let press = house.service();
    assert_eq!(press.jam().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    let mut made = 0;
    while made < 4 {
        made = press.print().within(LONG).await.expect("one of the new ones answers");
    }
    let service = house.tree(10).await;
    let last = service.last_exit.as_ref().expect("it ended");
    assert!(last.reason.contains("panicked in jam: paper jam"), "{}", last.reason);
    assert_eq!(house.node.stop(LONG).await, 0);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_killed_and_counted() {
    let house = House::open(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let (deaf, polite) = (house.entity("deaf"), house.entity("polite"));
    polite.print().await.expect("it answers");
    let waiting = house.beside(async move { deaf.wait().within(LONG).await });
    loop {
        let cells = house.tree(10).await.children;
        let begun = |cell: &TreeNode| cell.load.as_ref().is_some_and(|load| load.begun > 0);
        if cells.iter().any(|cell| cell.name == "deaf" && begun(cell)) {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(house.node.stop(Duration::from_millis(20)).await, 1);
    assert_eq!(waiting.await.expect("no panic"), Err(CallError::Unknown(UnknownCause::Killed)));
}
