//! Watches that were taken back.

use super::{Lab, eventually, node};
use odeon::prelude::*;
use odeon::service::context::Task;

/// Watches others of its kind.
#[odeon::contract(name = "sentry", version = "1.0")]
pub trait Sentry {
    /// Watches another.
    async fn watch(&mut self, cx: &Cx, key: String);
    /// Takes all its watches back.
    async fn cancel(&mut self, cx: &Cx);
    /// What a watch says.
    #[cast]
    async fn saw(&mut self, cx: &Cx, how: String);
    /// Stops itself.
    async fn leave(&mut self, cx: &Cx);
    /// Does nothing.
    async fn ping(&self, cx: &Cx);
}

struct Guard {
    lab: Lab,
    watches: Vec<Task>,
}

#[odeon::service]
impl Sentry for Guard {
    async fn watch(&mut self, cx: &Cx, key: String) {
        let other: SentryRef = cx.entity("sentry", &key).expect("a sentry");
        let me: SentryRef = cx.me().expect("its own contract");
        let name = cx.key().to_owned();
        let watch = cx.watch(&other, me, move |me, exit| me.saw(format!("{name} saw {key}: {exit}")));
        self.watches.push(watch);
    }
    async fn cancel(&mut self, _: &Cx) {
        self.watches.drain(..).for_each(|watch| watch.cancel());
    }
    async fn saw(&mut self, _: &Cx, how: String) {
        self.lab.say(how);
    }
    async fn leave(&mut self, cx: &Cx) {
        cx.stop();
    }
    async fn ping(&self, _: &Cx) {}
    async fn stop(&mut self, cx: &Cx, _: StopReason) {
        self.lab.say(format!("{} left", cx.key()));
    }
}

#[tokio::test]
async fn a_watch_that_was_cancelled_tells_nobody() {
    let lab = Lab::default();
    let make = lab.clone();
    let node =
        node(App::new().entity("sentry", move || Guard { lab: make.clone(), watches: Vec::new() })).await;
    let sentry = |key: &str| node.entity::<SentryRef>("sentry", key).expect("a sentry");
    let (a, b, c, end) = (sentry("a"), sentry("b"), sentry("c"), sentry("end"));
    for other in [&c, &end] {
        other.ping().await.expect("it lives");
    }
    a.watch("c".into()).await.expect("it watches");
    a.cancel().await.expect("it cancels");
    // the end of the watcher takes it back as well
    b.watch("c".into()).await.expect("it watches");
    b.leave().await.expect("it leaves");
    lab.until_said("b left").await;
    a.watch("end".into()).await.expect("it watches");
    c.leave().await.expect("it leaves");
    lab.until_said("c left").await;
    end.leave().await.expect("it leaves");
    eventually("the last watch tells", || lab.times("a saw end: stopped (Own)") == 1).await;
    let saw: Vec<_> = lab.said().into_iter().filter(|text| text.contains(" saw ")).collect();
    assert_eq!(saw, ["a saw end: stopped (Own)"]);
}
