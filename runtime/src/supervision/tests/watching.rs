//! Watches and links: who hears of what, and that nothing is left of those who no longer want to.

use super::service::Service;
use super::*;
use crate::cell::belongings::{watch, watchers};
use crate::cell::watchers::Watching;
use crate::directory::{ServiceKind, tie};
use crate::supervision::policy::OnFailure;

async fn service() -> Service {
    Service::start(ServiceKind::Entity, OnFailure::Restart, 100).await
}

/// Watches a cell; the log tells how it ended.
fn look(service: &Service, cell: &FakeCell, who: &'static str) -> Watching {
    let log = service.log.clone();
    watch(cell, Box::new(move |exit: &Exit| log.add(format!("{who} sees {exit}"))))
}

fn port(cell: &Arc<FakeCell>) -> Arc<dyn Port> {
    cell.clone()
}

#[tokio::test]
async fn nothing_is_left_of_watches_that_were_taken_back() {
    let service = service().await;
    let cell = service.entity(1, "watched");
    let stays = look(&service, &cell, "the last");
    for _ in 0..10_000 {
        drop(look(&service, &cell, "nobody"));
    }
    assert_eq!((watchers(&*cell), service.host.cells.watches()), (1, 1));
    cell.panics();
    assert_eq!(service.log.after(2).await, ["the last sees panicked in test: on purpose", "restart #1"]);
    assert_eq!((watchers(&*cell), service.host.cells.watches()), (0, 0));
    drop(stays);
    // the next activation is another one
    let _watch = look(&service, &cell, "another");
    cell.ends(Exit::Stopped { reason: StopReason::Passivated });
    assert_eq!(service.log.take(), ["another sees stopped (Passivated)"]);
}

#[tokio::test]
async fn who_watches_what_has_ended_is_told_at_once_and_again_after_the_next_end() {
    let service = service().await;
    service.host.refuse();
    let cell = service.entity(1, "gone");
    let _watch = look(&service, &cell, "first");
    let _watch = look(&service, &cell, "second");
    assert_eq!(service.log.take(), ["stop #1", "first sees stopped (Own)", "second sees stopped (Own)"],);
}

#[tokio::test]
async fn nothing_is_left_of_links_whose_other_end_has_ended() {
    let service = service().await;
    let stays = service.entity(1, "stays");
    for id in 2..10_002 {
        let passing = service.entity(id, "passes");
        tie(&port(&passing), &port(&stays));
        passing.ends(Exit::Stopped { reason: StopReason::Passivated });
    }
    assert_eq!((watchers(&*stays), service.host.cells.watches()), (0, 1));
    assert_eq!(service.log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_link_ends_both_once_and_spares_their_successors() {
    let service = service().await;
    let (first, second) = (service.entity(1, "first"), service.entity(2, "second"));
    for _ in 0..3 {
        tie(&port(&first), &port(&second));
    }
    first.panics();
    let log = service.log.after(3).await;
    assert_eq!(log, ["fail #2", "restart #2", "restart #1"]);
    assert!(matches!(&*second.last_exit.lock(), Exit::Linked { to: ActivationId(1), .. }));
    assert_eq!((watchers(&*first), watchers(&*second)), (0, 0));
    second.panics();
    assert_eq!(service.log.after(1).await, ["restart #2"]);
    assert!(first.is(Phase::Running));
}

#[tokio::test]
async fn an_activation_that_is_linked_to_itself_ends_as_any_other() {
    let service = service().await;
    let cell = service.entity(1, "narcissus");
    tie(&port(&cell), &port(&cell));
    cell.panics();
    assert_eq!(service.log.after(1).await, ["restart #1"]);
}
