//! Panics in what an author writes around the handlers: constructor, stop, passivation.

use super::{LONG, eventually};
use odeon::core::NodeName;
use odeon::directory::ServiceKind;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::*;
use odeon::{Node, NodeConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Answers, and leaves when told to.
#[odeon::contract(name = "diva", version = "1.0")]
pub trait Diva {
    /// How many have been made so far.
    async fn sing(&self, cx: &Cx) -> usize;
    /// Stops itself.
    async fn leave(&mut self, cx: &Cx);
}

#[derive(Clone, Copy, PartialEq)]
enum Fit {
    Constructor,
    Stop,
    Passivation,
}

/// Has one fit.
struct Star {
    fit: Fit,
    fits: Arc<AtomicUsize>,
    made: usize,
}

fn has_a_fit(fits: &AtomicUsize) {
    assert!(fits.fetch_add(1, SeqCst) > 0, "the first time, on purpose");
}

#[odeon::service]
impl Diva for Star {
    async fn sing(&self, _: &Cx) -> usize {
        self.made
    }
    async fn leave(&mut self, cx: &Cx) {
        cx.stop();
    }
    async fn stop(&mut self, _: &Cx, _: StopReason) {
        if self.fit == Fit::Stop {
            has_a_fit(&self.fits);
        }
    }
    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        if self.fit == Fit::Passivation {
            has_a_fit(&self.fits);
        }
        Vec::new()
    }
}

/// A node with divas as entities, and how many fits they had.
async fn stage(fit: Fit, passivate_after: Option<Duration>) -> (Node, Arc<AtomicUsize>) {
    let (fits, made) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let seen = fits.clone();
    let make = move || {
        let made = made.fetch_add(1, SeqCst) + 1;
        if fit == Fit::Constructor {
            has_a_fit(&fits);
        }
        Star { fit, fits: fits.clone(), made }
    };
    let options = ServiceOptions { passivate_after, ..ServiceOptions::of(ServiceKind::Entity) };
    let app = App::new().entity_with("diva", options, make);
    let executor = Executor::new(tokio::runtime::Handle::current(), 0);
    let host = Host { executors: vec![executor], blocking: Arc::new(Inline), seed: 7 };
    let name: NodeName = "stage".parse().expect("a name");
    (Node::start(host, NodeConfig::named(name), app).await.expect("it starts"), seen)
}

fn diva(node: &Node) -> DivaRef {
    node.entity("diva", "a").expect("an entity")
}

/// How the activations of the divas failed, the newest first.
async fn failures(node: &Node) -> Vec<String> {
    let services = node.tree(1).await.children.remove(1);
    services.children[0].failures.iter().map(|failure| failure.reason.clone()).collect()
}

#[tokio::test]
async fn a_panic_in_a_constructor_is_a_failure_and_the_next_activation_answers() {
    let (node, _) = stage(Fit::Constructor, None).await;
    assert_eq!(diva(&node).sing().within(LONG).await, Ok(2));
    assert_eq!(failures(&node).await, ["panicked in start: the first time, on purpose"]);
}

#[tokio::test]
async fn a_panic_in_a_stop_hook_holds_up_no_stop() {
    let (node, fits) = stage(Fit::Stop, None).await;
    assert_eq!(diva(&node).sing().within(LONG).await, Ok(1));
    assert_eq!(node.stop(LONG).await, 0, "nothing had to be killed");
    assert!(node.ended().await.is_normal());
    assert_eq!(fits.load(SeqCst), 1);
}

#[tokio::test]
async fn an_entity_that_panics_while_it_leaves_begins_again() {
    let (node, _) = stage(Fit::Stop, None).await;
    let diva = diva(&node);
    assert_eq!(diva.leave().within(LONG).await, Ok(()));
    assert_eq!(diva.sing().within(LONG).await, Ok(2));
    assert_eq!(failures(&node).await, ["panicked in stop: the first time, on purpose"]);
}

#[tokio::test]
async fn an_entity_that_panics_while_it_is_passivated_begins_again() {
    let (node, fits) = stage(Fit::Passivation, Some(Duration::from_millis(1))).await;
    assert_eq!(diva(&node).sing().within(LONG).await, Ok(1));
    eventually("it is passivated", || fits.load(SeqCst) > 0).await;
    assert!(diva(&node).sing().within(LONG).await.expect("it answers") >= 2);
    assert_eq!(failures(&node).await, ["panicked in passivate: the first time, on purpose"]);
}
