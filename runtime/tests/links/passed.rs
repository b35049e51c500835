//! References that go from node to node, as arguments and as answers: whoever calls one reaches what it was made for.

use super::calls::{Broken, CounterRef, Counting};
use super::stage::{Cluster, Linked, eventually};
use odeon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Carries references. Whoever is asked asks the last of the others in turn; the last one of all does it.
#[odeon::contract(name = "bearer", version = "1.0")]
pub trait Bearer {
    /// Adds to what it is given. Answers the new total, and which node has called.
    async fn add(
        &self,
        cx: &Cx,
        to: CounterRef,
        amount: u64,
        others: Vec<BearerRef>,
    ) -> Result<(u64, Option<String>), Broken>;
    /// Gives a reference.
    async fn find(&self, cx: &Cx, name: String, others: Vec<BearerRef>) -> Result<CounterRef, Broken>;
    /// Adds one to what the others give.
    async fn add_to_found(
        &self,
        cx: &Cx,
        name: String,
        others: Vec<BearerRef>,
    ) -> Result<(u64, Option<String>), Broken>;
}

struct Hand;

fn broken(error: impl ToString) -> Broken {
    Broken { why: error.to_string() }
}

#[odeon::service]
impl Bearer for Hand {
    async fn add(
        &self,
        _: &Cx,
        to: CounterRef,
        amount: u64,
        mut others: Vec<BearerRef>,
    ) -> Result<(u64, Option<String>), Broken> {
        if let Some(next) = others.pop() {
            return next.add(to, amount, others).await.map_err(broken);
        }
        let total = to.add(amount).await.map_err(broken)?;
        Ok((total, to.caller().await.map_err(broken)?))
    }
    async fn find(&self, cx: &Cx, name: String, mut others: Vec<BearerRef>) -> Result<CounterRef, Broken> {
        match others.pop() {
            Some(next) => next.find(name, others).await.map_err(broken),
            None => cx.entity(&name, KEY).map_err(broken),
        }
    }
    async fn add_to_found(
        &self,
        cx: &Cx,
        name: String,
        others: Vec<BearerRef>,
    ) -> Result<(u64, Option<String>), Broken> {
        let found = self.find(cx, name, others).await?;
        self.add(cx, found, 1, Vec::new()).await
    }
}

const NODES: [&str; 3] = ["mars", "venus", "pluto"];
/// Of the one counter that each node has.
const KEY: &str = "a";

/// Three nodes, each with a bearer and a counter of its own, which no other node has.
struct Three {
    nodes: [Linked; 3],
    /// How many counters have been made.
    made: Arc<AtomicU64>,
}

impl Three {
    async fn new() -> Self {
        let (cluster, made) = (Cluster::new(), Arc::<AtomicU64>::default());
        let app = |node: &str| {
            let made = made.clone();
            let counter = move || {
                made.fetch_add(1, SeqCst);
                Counting::default()
            };
            App::new().service(&bearer_of(node), || Hand).entity(&counter_of(node), counter)
        };
        let [mars, venus, pluto] = NODES.map(|node| cluster.node(node, app(node)));
        let nodes = [mars.await, venus.await, pluto.await];
        for node in &nodes[1..] {
            node.links.connect(nodes[0].links.local_address()).await.expect("a link");
        }
        eventually("each knows what the two others have", || {
            nodes.iter().all(|node| node.links.services().len() == 4)
        })
        .await;
        Self { nodes, made }
    }

    /// The bearers, by references that mars has made.
    fn bearers(&self) -> [BearerRef; 3] {
        NODES.map(|node| self.nodes[0].node.service(&bearer_of(node)).expect("a name"))
    }

    /// All nodes see this total of the counter, and no more of them than so many have been made.
    async fn all_see(&self, name: &str, total: u64, made: usize) {
        for Linked { node, .. } in &self.nodes {
            let counter: CounterRef = node.entity(name, KEY).expect("names");
            assert_eq!(counter.total().await, Ok(total), "{name}");
        }
        assert_eq!(self.made.load(SeqCst), made as u64);
    }
}

fn bearer_of(node: &str) -> String {
    format!("bearer-of-{node}")
}

fn counter_of(node: &str) -> String {
    format!("counter-of-{node}")
}

/// What a bearer answers: the total, and which node has called, as the counter sees it. One on its own node has none.
fn added(total: u64, by: &str, home: &str) -> Result<(u64, Option<String>), CallError<Broken>> {
    Ok((total, (by != home).then(|| format!("{by}@1"))))
}

#[tokio::test]
async fn a_reference_that_is_passed_on_leads_to_the_same_one_from_a_third_node() {
    let three = Three::new().await;
    let [of_mars, of_venus, of_pluto] = three.bearers();
    for (number, home) in NODES.into_iter().enumerate() {
        let name = counter_of(home);
        let counter: CounterRef = three.nodes[0].node.entity(&name, KEY).expect("names");
        assert_eq!(counter.add(1).await, Ok(1));
        // from mars by venus to pluto, which calls it
        let by_pluto = of_venus.add(counter.clone(), 2, vec![of_pluto.clone()]).await;
        assert_eq!(by_pluto, added(3, "pluto", home), "of {home}");
        // and on, back to mars
        let by_mars = of_venus.add(counter.clone(), 4, vec![of_mars.clone(), of_pluto.clone()]).await;
        assert_eq!(by_mars, added(7, "mars", home), "of {home}");
        assert_eq!(counter.add(8).await, Ok(15), "of {home}");
        three.all_see(&name, 15, number + 1).await;
    }
}

#[tokio::test]
async fn a_reference_that_comes_as_an_answer_leads_to_the_same_one_on_each_node_that_it_reaches() {
    let three = Three::new().await;
    let [of_mars, of_venus, of_pluto] = three.bearers();
    for (number, home) in NODES.into_iter().enumerate() {
        let name = counter_of(home);
        // from pluto to venus, which calls it
        let by_venus = of_venus.add_to_found(name.clone(), vec![of_pluto.clone()]).await;
        assert_eq!(by_venus, added(1, "venus", home), "of {home}");
        // from pluto by venus to mars, which calls it
        let by_mars = of_mars.add_to_found(name.clone(), vec![of_pluto.clone(), of_venus.clone()]).await;
        assert_eq!(by_mars, added(2, "mars", home), "of {home}");
        // from pluto by venus to a caller outside of any node, who sends it back
        let found = of_venus.find(name.clone(), vec![of_pluto.clone()]).await.expect("pluto answers");
        let by_pluto = of_venus.add(found.clone(), 1, vec![of_pluto.clone()]).await;
        assert_eq!(by_pluto, added(3, "pluto", home), "of {home}");
        // a handler that uses it binds it to its node
        assert_eq!(of_mars.add(found.clone(), 1, Vec::new()).await, added(4, "mars", home), "of {home}");
        assert_eq!(found.add(1).await, Ok(5), "of {home}");
        three.all_see(&name, 5, number + 1).await;
    }
}
