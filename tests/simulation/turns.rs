//! Activations share an executor, in virtual time.

use odeon::core::NodeName;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig};
use odeon_simulator::{Machine, Simulation, work};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// For so long a handler of the mill computes.
const WORK: Duration = Duration::from_millis(1);
/// So many messages wait for the mill.
const QUEUE: usize = 100;
/// Whoever else is on its executor waits no longer, though all of them take a tenth of a second: for a turn of the mill that
/// has begun, and one before the answer is read.
const WAITS_MAX: Duration = Duration::from_millis(15);

#[odeon::contract(name = "mill", version = "1.0")]
pub trait Mill {
    async fn turn(&self, cx: &Cx);
}

struct Turning(Duration);

#[odeon::service]
impl Mill for Turning {
    async fn turn(&self, _: &Cx) {
        work(self.0);
    }
}

async fn serve(machine: Machine, waited: Arc<Mutex<Option<Duration>>>) {
    let executors = vec![Executor::new(machine.executors[0].clone(), 0)];
    let host = Host { executors, blocking: Arc::new(Inline), seed: machine.incarnation };
    let name: NodeName = "node".parse().expect("a node name");
    let app = App::new().service("mill", || Turning(WORK)).service("bell", || Turning(Duration::ZERO));
    let node = Node::start(host, NodeConfig::named(name), app).await.expect("the node starts");
    let [mill, bell]: [MillRef; 2] = ["mill", "bell"].map(|name| node.service(name).expect("a name"));
    bell.turn().await.expect("it is there");
    let mut queue = JoinSet::new();
    for _ in 0..QUEUE {
        let mill = mill.clone();
        queue.spawn(async move { mill.turn().await });
    }
    // they are on their way
    tokio::task::yield_now().await;
    let began = Instant::now();
    bell.turn().await.expect("it is there");
    *waited.lock().expect("no panic while it is held") = Some(began.elapsed());
    let answers = queue.join_all().await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(began.elapsed() >= WORK * (QUEUE as u32 - 10), "they take their time");
}

#[odeon_simulator::test(seeds = 5, executors = 1, calm)]
fn whoever_computes_for_long_lets_others_on_its_executor_run(sim: &mut Simulation) {
    let waited = Arc::<Mutex<Option<Duration>>>::default();
    let node = sim.host("node", {
        let waited = waited.clone();
        move |machine| serve(machine, waited.clone())
    });
    sim.start(node);
    sim.run_for(Duration::from_secs(5));
    let waited = *waited.lock().expect("no panic while it is held");
    match waited {
        Some(waited) if waited <= WAITS_MAX => {}
        waited => sim.violation(format!("another service answered after {waited:?}")),
    }
}
