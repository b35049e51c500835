//! The whole tree of a node.

use super::*;
use crate::directory::ServiceKind;
use crate::supervision::node::TreeNodeKind;
use crate::supervision::part::PartSpec;
use crate::supervision::policy::{OnFailure, RestartPolicy};
use crate::supervision::tree::Tree;

async fn tree_of(services: &[(&str, ServiceKind, OnFailure)]) -> (Tree, Vec<Arc<dyn Overseer>>) {
    let tree = Tree::start(&executor(), 1, &Events::default()).await.expect("it starts");
    let mut overseers = Vec::new();
    for (name, kind, on_failure) in services {
        let policy = RestartPolicy { on_failure: *on_failure, limits: quick_limits(0) };
        overseers.push(tree.add_service(&name.parse().expect("a name"), (*kind, false), &policy).await);
    }
    (tree, overseers)
}

#[tokio::test]
async fn services_stop_in_reverse_order_each_when_the_one_behind_it_has_ended() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[
        ("catalog", ServiceKind::Stateless, OnFailure::Restart),
        ("cart", ServiceKind::Entity, OnFailure::Restart),
    ])
    .await;
    let _cells: Vec<_> =
        (1..=4).map(|id| FakeCell::born(id, None, &overseers[usize::from(id > 2)], &log)).collect();
    let snapshot = tree.snapshot(10).await;
    let services = &snapshot.children[1];
    let listed: Vec<_> = services.children.iter().map(|node| (node.name.as_str(), node.kind)).collect();
    assert_eq!((snapshot.name.as_str(), services.name.as_str()), ("node", "services"));
    assert_eq!(listed, [("catalog", TreeNodeKind::Stateless), ("cart", TreeNodeKind::Entities)]);
    assert_eq!(tree.stop(LONG).await, 0);
    assert_eq!(log.take(), ["drain #4", "drain #3", "drain #2", "drain #1"]);
    assert!(!tree.is_ready());
}

#[tokio::test]
async fn what_is_not_done_in_time_is_killed_and_counted() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[
        ("first", ServiceKind::Entity, OnFailure::Restart),
        ("second", ServiceKind::Entity, OnFailure::Restart),
    ])
    .await;
    let _first = FakeCell::born(1, Some("a"), &overseers[0], &log);
    let deaf = FakeCell::born(2, Some("b"), &overseers[1], &log);
    deaf.polite.store(false, SeqCst);
    // The first is never told to drain: its turn does not come. It is killed with the second.
    assert_eq!(tree.stop(Duration::from_millis(5)).await, 2);
    assert!(log.take().contains(&"kill #1".to_owned()));
}

#[tokio::test]
async fn a_tree_is_ready_when_each_service_has_an_activation_that_runs() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[
        ("catalog", ServiceKind::Stateless, OnFailure::Restart),
        ("cart", ServiceKind::Entity, OnFailure::Restart),
    ])
    .await;
    assert!(!tree.is_ready());
    let _instance = FakeCell::born(1, None, &overseers[0], &log);
    assert!(tree.is_ready());
}

#[tokio::test]
async fn a_service_that_cannot_be_added_gets_no_cells() {
    let log = Log::default();
    let one = ("catalog", ServiceKind::Stateless, OnFailure::Restart);
    let (_tree, overseers) = tree_of(&[one, one]).await;
    assert!(FakeCell::born(1, None, &overseers[1], &log).is(Phase::Ended));
}

#[tokio::test]
async fn a_service_that_escalates_begins_again_below_its_supervisor() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[("ledger", ServiceKind::Stateless, OnFailure::Escalate)]).await;
    let instance = FakeCell::born(1, None, &overseers[0], &log);
    instance.panics();
    let rests = "#1 rests: the receiver is down and waits for its restart";
    assert_eq!(log.after(2).await, [rests, "restart #1"]);
    let services = tree.snapshot(10).await.children.remove(1);
    let ledger = &services.children[0];
    assert_eq!(ledger.phase, "up");
    let reason = &ledger.last_exit.as_ref().expect("it ended").reason;
    assert!(reason.contains("#1 panicked in test: on purpose"), "{reason}");
}

#[tokio::test]
async fn a_part_starts_behind_the_services_and_stops_before_them() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[("cart", ServiceKind::Entity, OnFailure::Restart)]).await;
    let part = log.clone();
    let run = move |mut running: Running| {
        let log = part.clone();
        async move {
            running.ready();
            running.stopping().await;
            log.add("listener stops");
            Ok(())
        }
    };
    tree.add_part(&executor(), &PartSpec::new("listener"), run).await.expect("it starts");
    let _cell = FakeCell::born(1, Some("a"), &overseers[0], &log);
    tree.stop(LONG).await;
    assert_eq!(log.take(), ["listener stops", "drain #1"]);
    assert!(tree.ended().await.is_normal());
}

#[tokio::test]
async fn a_part_may_outlive_the_services_and_ends_for_good_in_order() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[("cart", ServiceKind::Entity, OnFailure::Restart)]).await;
    for (name, spec) in
        [("console", PartSpec::new("console").outlives_services()), ("once", PartSpec::new("once"))]
    {
        let log = log.clone();
        let run = move |mut running: Running| {
            let log = log.clone();
            async move {
                running.ready();
                log.add(format!("{name} runs"));
                if name == "console" {
                    running.stopping().await;
                    log.add("console stops");
                }
                Ok(())
            }
        };
        tree.add_part(&executor(), &spec, run).await.expect("it starts");
    }
    let _cell = FakeCell::born(1, Some("a"), &overseers[0], &log);
    tree.stop(LONG).await;
    assert_eq!(log.take(), ["console runs", "once runs", "drain #1", "console stops"]);
}

#[tokio::test]
async fn a_part_that_fails_beyond_repair_ends_the_tree_in_order() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[("cart", ServiceKind::Entity, OnFailure::Restart)]).await;
    let _cell = FakeCell::born(1, Some("a"), &overseers[0], &log);
    let run = |running: Running| async move {
        running.ready();
        Err("out of paper".to_owned())
    };
    tree.add_part(&executor(), &PartSpec::new("printer"), run).await.expect("it starts");
    let exit = tree.ended().await;
    assert!(exit.to_string().contains("printer failed: out of paper"), "{exit}");
    assert_eq!(log.take(), ["drain #1"]);
}

#[tokio::test]
async fn a_service_that_is_removed_is_stopped() {
    let log = Log::default();
    let (tree, overseers) = tree_of(&[("cart", ServiceKind::Entity, OnFailure::Restart)]).await;
    let cell = FakeCell::born(1, Some("a"), &overseers[0], &log);
    tree.remove_service(&"cart".parse().expect("a name"));
    eventually(|| cell.is(Phase::Ended)).await;
    let snapshot = tree.snapshot(1).await;
    assert!(snapshot.children[1].children.iter().all(|child| child.phase == "stopping"));
}
