//! Watches and links between activations of two nodes.

use super::stage::{Cluster, Linked, at_last, eventually};
use odeon::prelude::*;
use parking_lot::Mutex;
use std::sync::Arc;

/// Watches others of its kind, and ends as it is told.
#[odeon::contract(name = "sentry", version = "1.0")]
pub trait Sentry {
    async fn watch(&mut self, cx: &Cx, service: String, key: String);
    /// Takes all its watches back.
    async fn cancel(&mut self, cx: &Cx);
    async fn tie(&mut self, cx: &Cx, service: String, key: String);
    /// What a watch says.
    #[cast]
    async fn saw(&mut self, cx: &Cx, how: String);
    async fn leave(&mut self, cx: &Cx);
    async fn fail(&mut self, cx: &Cx);
    #[read]
    async fn ping(&self, cx: &Cx);
}

type Said = Arc<Mutex<Vec<String>>>;

struct Guard {
    said: Said,
    watches: Vec<odeon::service::context::Task>,
}

#[odeon::service]
impl Sentry for Guard {
    async fn watch(&mut self, cx: &Cx, service: String, key: String) {
        let other: SentryRef = cx.entity(&service, &key).expect("a sentry");
        let me: SentryRef = cx.me().expect("its own contract");
        let name = cx.key().to_owned();
        let watch = cx.watch(&other, me, move |me, exit| me.saw(format!("{name} saw {key}: {exit}")));
        self.watches.push(watch);
    }
    async fn cancel(&mut self, _: &Cx) {
        self.watches.drain(..).for_each(|watch| watch.cancel());
    }
    async fn tie(&mut self, cx: &Cx, service: String, key: String) {
        cx.link(&cx.entity::<SentryRef>(&service, &key).expect("a sentry"));
    }
    async fn saw(&mut self, _: &Cx, how: String) {
        self.said.lock().push(how);
    }
    async fn leave(&mut self, cx: &Cx) {
        cx.stop();
    }
    async fn fail(&mut self, _: &Cx) {
        panic!("as the test wants");
    }
    async fn ping(&self, _: &Cx) {}
    async fn stop(&mut self, cx: &Cx, _: StopReason) {
        self.said.lock().push(format!("{} left", cx.key()));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.said.lock().push("one is gone".into());
    }
}

fn app(service: &str, said: &Said) -> App {
    let said = said.clone();
    App::new().entity(service, move || Guard { said: said.clone(), watches: Vec::new() })
}

/// Venus with its guards, mars with its.
struct Two {
    cluster: Cluster,
    mars: Linked,
    venus: Linked,
    said: Said,
    there: Said,
}

impl Two {
    async fn new() -> Self {
        let (cluster, said, there) = (Cluster::new(), Said::default(), Said::default());
        let mars = cluster.node("mars", app("reds", &there)).await;
        let venus = cluster.node("venus", app("whites", &said)).await;
        venus.links.connect(mars.links.local_address()).await.expect("a link");
        let two = Self { cluster, mars, venus, said, there };
        two.red("z").await;
        two
    }

    /// A guard on mars that lives.
    async fn red(&self, key: &str) -> SentryRef {
        let red: SentryRef = self.venus.node.entity("reds", key).expect("a sentry");
        at_last("it is reached", async || red.ping().await).await;
        red
    }

    async fn white(&self, key: &str) -> SentryRef {
        let white: SentryRef = self.venus.node.entity("whites", key).expect("a sentry");
        white.ping().await.expect("it lives");
        white
    }

    fn says(&self, what: &str) -> usize {
        self.said.lock().iter().filter(|said| said.contains(what)).count()
    }
}

async fn until(said: &Said, what: &str) {
    eventually(what, || said.lock().iter().any(|said| said.contains(what))).await;
}

#[tokio::test]
async fn the_end_of_an_activation_is_told_on_another_node_once_with_its_reason() {
    let two = Two::new().await;
    let (a, b) = (two.white("a").await, two.white("b").await);
    let (red, other) = (two.red("x").await, two.red("y").await);
    a.watch("reds".into(), "x".into()).await.expect("it watches");
    a.watch("reds".into(), "y".into()).await.expect("it watches");
    b.watch("reds".into(), "x".into()).await.expect("it watches");
    b.cancel().await.expect("it cancels");
    eventually("mars knows", || two.venus.links.status()[0].watches == 2).await;
    two.venus.links.drop_connections();
    red.leave().await.expect("it leaves");
    until(&two.said, "a saw x: stopped (Own)").await;
    assert!(other.fail().await.is_err());
    until(&two.said, "a saw y: panicked in fail: as the test wants").await;
    eventually("nothing is watched", || two.venus.links.status()[0].watches == 0).await;
    // the successor of one that has ended is another one
    two.red("x").await.leave().await.expect("it leaves");
    a.watch("reds".into(), "nobody".into()).await.expect("it watches");
    until(&two.said, "a saw nobody: stopped (Shutdown)").await;
    assert_eq!((two.says("saw x"), two.says("saw y"), two.says("b saw")), (1, 1, 0));
}

#[tokio::test]
async fn a_node_that_begins_anew_is_told_apart_from_an_activation_that_has_ended() {
    let Two { cluster, mars, venus, said, there } = Two::new().await;
    let two = Two { cluster, mars, venus, said, there };
    let a = two.white("a").await;
    two.red("x").await;
    a.watch("reds".into(), "x".into()).await.expect("it watches");
    eventually("mars knows", || two.venus.links.status()[0].watches == 1).await;
    // as a crash looks: its activations are not stopped, its connections not closed
    let anew = two.cluster.incarnation("mars", 2, app("reds", &two.there)).await;
    anew.links.connect(two.venus.links.local_address()).await.expect("a link");
    until(&two.said, "a saw x: its node mars@1 is down").await;
    assert_eq!(two.says("saw x"), 1);
}

#[tokio::test]
async fn the_failure_of_one_end_of_a_link_ends_the_other_on_another_node() {
    let two = Two::new().await;
    let (a, b, c) = (two.white("a").await, two.white("b").await, two.white("c").await);
    let (x, y) = (two.red("x").await, two.red("y").await);
    let z = two.red("z").await;
    a.tie("reds".into(), "x".into()).await.expect("they are linked");
    b.tie("reds".into(), "y".into()).await.expect("they are linked");
    c.tie("reds".into(), "z".into()).await.expect("they are linked");
    for (watcher, service, key) in [(&c, "whites", "a"), (&c, "reds", "y")] {
        watcher.watch(service.into(), key.into()).await.expect("it watches");
    }
    // what is wanted of a peer goes in order: mars knows of the links when it has seen this one end
    c.watch("reds".into(), "nobody".into()).await.expect("it watches");
    until(&two.said, "c saw nobody").await;
    assert!(x.fail().await.is_err());
    until(&two.said, "c saw a: linked ").await;
    two.venus.links.drop_connections();
    assert!(b.fail().await.is_err());
    until(&two.said, "c saw y: linked ").await;
    assert!(two.said.lock().iter().any(|said| said.contains("c saw y") && said.contains("(on venus@1)")));
    // an end in order ends the link, nothing else
    z.leave().await.expect("it leaves");
    until(&two.there, "z left").await;
    eventually("the link is over", || two.venus.links.status()[0].watches == 0).await;
    c.ping().await.expect("it goes on");
    y.ping().await.expect("there is a successor");
}
