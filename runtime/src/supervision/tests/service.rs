//! Hosts of services, and their cells.

use super::*;
use crate::directory::ServiceKind;
use crate::supervision::child::{Child, Report, Reports};
use crate::supervision::policy::{OnFailure, RestartPolicy};
use crate::supervision::service::{ServiceChild, ServiceHost};
use odeon_core::Refusal;
use tokio::sync::mpsc;

pub(super) struct Service {
    pub(super) host: Arc<ServiceHost>,
    child: ServiceChild,
    overseer: Arc<dyn Overseer>,
    pub(super) log: Log,
    heard: mpsc::UnboundedReceiver<Report>,
    told: mpsc::UnboundedSender<Report>,
}

impl Service {
    pub(super) async fn start(kind: ServiceKind, on_failure: OnFailure, restarts_max: u32) -> Self {
        let policy = RestartPolicy { on_failure, limits: quick_limits(restarts_max) };
        let name = "shop/cart".parse().expect("a name");
        let host = ServiceHost::new(name, (kind, false), policy, surroundings());
        let (told, heard) = mpsc::unbounded_channel();
        let overseer: Arc<dyn Overseer> = host.clone();
        let child = ServiceChild(host.clone());
        let mut service = Self { host, child, overseer, log: Log::default(), heard, told };
        service.begin().await;
        service
    }

    async fn begin(&mut self) {
        let told = self.told.clone();
        self.child.start(Reports::to(move |report| drop(told.send(report))));
        assert_eq!(self.next().await, Report::Started);
    }

    async fn next(&mut self) -> Report {
        tokio::time::timeout(LONG, self.heard.recv()).await.expect("in time").expect("a report")
    }

    pub(super) fn entity(&self, id: u64, key: &str) -> Arc<FakeCell> {
        FakeCell::born(id, Some(key), &self.overseer, &self.log)
    }

    fn instance(&self, id: u64) -> Arc<FakeCell> {
        FakeCell::born(id, None, &self.overseer, &self.log)
    }

    async fn stopped(&mut self) {
        assert_eq!(self.next().await, Report::Ended(Exit::Stopped { reason: StopReason::Shutdown }));
    }
}

fn passivated() -> Exit {
    Exit::Stopped { reason: StopReason::Passivated }
}

#[tokio::test]
async fn a_normal_end_needs_no_verdict_and_a_failure_is_followed_by_a_restart() {
    let service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let (quiet, poisoned) = (service.entity(1, "quiet"), service.entity(2, "poisoned"));
    quiet.ends(passivated());
    assert!(quiet.is(Phase::Ended));
    poisoned.panics();
    assert_eq!(service.log.after(1).await, ["restart #2"]);
    assert!(poisoned.is(Phase::Running));
}

#[tokio::test]
async fn a_poisoned_entity_is_given_up_for_a_quiet_time_and_takes_no_other_down() {
    let service = Service::start(ServiceKind::Entity, OnFailure::Restart, 2).await;
    let (poisoned, other) = (service.entity(1, "poisoned"), service.entity(2, "other"));
    for _ in 0..2 {
        poisoned.panics();
        assert_eq!(service.log.after(1).await, ["restart #1"]);
    }
    poisoned.panics();
    let rests = "#1 rests: the receiver is down and waits for its restart";
    assert_eq!(service.log.after(2).await, [rests, "give up #1"]);
    assert_eq!(service.overseer.admits("poisoned"), Err(Refusal::Restarting));
    assert_eq!(service.overseer.admits("other"), Ok(()));
    assert!(poisoned.is(Phase::Ended));
    // The next message makes another cell for the key: too early.
    assert!(service.entity(3, "poisoned").is(Phase::Ended));
    assert_eq!(service.log.take(), ["stop #3"]);
    other.panics();
    assert_eq!(service.log.after(1).await, ["restart #2"]);
    eventually(|| service.overseer.admits("poisoned").is_ok()).await;
    assert!(service.entity(4, "poisoned").is(Phase::Running));
}

#[tokio::test]
async fn an_instance_that_failed_too_often_rests_and_begins_again_by_itself() {
    let service = Service::start(ServiceKind::Stateless, OnFailure::Restart, 1).await;
    let instance = service.instance(1);
    assert!(service.host.is_ready());
    instance.panics();
    assert!(!service.host.is_ready());
    assert_eq!(service.log.after(1).await, ["restart #1"]);
    instance.panics();
    assert!(!service.host.is_ready());
    // callers are told, because nobody else is there for them
    let rests = "#1 rests: the receiver is down and waits for its restart";
    assert_eq!(service.log.after(2).await, [rests, "restart #1"]);
    assert!(service.host.is_ready());
}

#[tokio::test]
async fn what_cannot_start_rests_and_says_why() {
    let service = Service::start(ServiceKind::Singleton, OnFailure::Restart, 1).await;
    let instance = service.instance(1);
    instance.cannot_start("no licence");
    assert_eq!(service.log.after(1).await, ["restart #1"], "a restart that comes soon is worth waiting for");
    instance.cannot_start("no licence");
    let rests = "#1 rests: the receiver could not start: no licence";
    assert_eq!(service.log.after(2).await, [rests, "restart #1"]);
    let service = Service::start(ServiceKind::Entity, OnFailure::Restart, 0).await;
    let entity = service.entity(1, "poor");
    entity.cannot_start("no licence");
    assert_eq!(service.log.after(2).await, [rests, "give up #1"]);
    let problem = "no licence".to_owned();
    assert_eq!(service.overseer.admits("poor"), Err(Refusal::StartFailed { problem }));
}

#[tokio::test]
async fn while_a_service_that_escalated_is_down_all_its_cells_rest() {
    let mut service = Service::start(ServiceKind::Stateless, OnFailure::Escalate, 1).await;
    let (first, second, third) = (service.instance(1), service.instance(2), service.instance(3));
    third.polite.store(false, SeqCst);
    first.panics();
    assert_eq!(service.log.after(1).await, ["restart #1"]);
    first.panics();
    assert!(matches!(service.next().await, Report::Ended(Exit::GaveUp { .. })));
    let rests = |id| format!("#{id} rests: the receiver is down and waits for its restart");
    let expected = [rests(1), "fail #3".into(), "fail #2".into(), rests(2)];
    assert_eq!(service.log.take(), expected);
    // one that takes its time to end finds nobody who would decide
    third.ends(Exit::Killed);
    assert_eq!(service.log.take(), [rests(3)]);
    service.begin().await;
    assert_eq!(service.log.after(3).await, ["restart #1", "restart #2", "restart #3"]);
    assert!(second.is(Phase::Running));
}

#[tokio::test]
async fn a_fault_of_the_host_costs_no_other_cell_its_restart() {
    let mut service = Service::start(ServiceKind::Stateless, OnFailure::Restart, 100).await;
    let cells: Vec<_> = (1..=4).map(|id| service.instance(id)).collect();
    // its next restarts wait
    cells[1].panics();
    assert_eq!(service.log.after(1).await, ["restart #2"]);
    cells[1].panics();
    cells[0].breaks_its_host.store(true, SeqCst);
    cells[0].panics();
    cells[2].panics();
    let Report::Ended(exit) = service.next().await else { panic!("it has ended") };
    assert!(exit.to_string().contains("actor panicked"), "{exit}");
    cells[3].panics();
    service.begin().await;
    eventually(|| cells[1..].iter().all(|cell| cell.is(Phase::Running))).await;
}

#[tokio::test]
async fn a_cell_that_was_told_to_stop_while_it_waits_is_not_begun_again() {
    let service = Service::start(ServiceKind::Stateless, OnFailure::Restart, 3).await;
    let instance = service.instance(1);
    instance.panics();
    instance.is_gone(&Exit::Killed);
    let other = service.instance(2);
    other.panics();
    assert_eq!(service.log.after(1).await, ["restart #2"]);
    assert_eq!(service.child.describe(0).await.restarts, 1);
}

#[tokio::test]
async fn without_restarts_a_failed_cell_is_gone() {
    let service = Service::start(ServiceKind::Entity, OnFailure::End, 3).await;
    let cell = service.entity(1, "once");
    cell.panics();
    assert!(cell.is(Phase::Ended));
    assert_eq!(service.log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn by_its_policy_a_failing_instance_ends_the_service_which_begins_again_as_a_whole() {
    let mut service = Service::start(ServiceKind::Stateless, OnFailure::Escalate, 1).await;
    let (first, second) = (service.instance(1), service.instance(2));
    first.panics();
    assert_eq!(service.log.after(1).await, ["restart #1"]);
    first.panics();
    let Report::Ended(exit) = service.next().await else { panic!("it has ended") };
    assert!(matches!(&exit, Exit::GaveUp { child, restarts: 1, .. } if child == "#1"), "{exit}");
    let rests = |id| format!("#{id} rests: the receiver is down and waits for its restart");
    assert_eq!(service.log.take(), [rests(1), "fail #2".into(), rests(2)]);
    assert!(first.is(Phase::Waiting) && second.is(Phase::Waiting));
    service.begin().await;
    assert_eq!(service.log.after(2).await, ["restart #1", "restart #2"]);
    // The one that was only ended for the other's sake has no past.
    second.panics();
    assert_eq!(service.log.after(1).await, ["restart #2"]);
}

#[tokio::test]
async fn a_service_that_escalated_and_is_not_begun_again_leaves_no_cell_behind() {
    let mut service = Service::start(ServiceKind::Stateless, OnFailure::Escalate, 0).await;
    let (first, second) = (service.instance(1), service.instance(2));
    second.panics();
    assert!(matches!(service.next().await, Report::Ended(Exit::GaveUp { .. })));
    service.host.release();
    assert!(first.is(Phase::Ended) && second.is(Phase::Ended));
}

#[tokio::test]
async fn cells_are_drained_in_reverse_order_of_birth() {
    let mut service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let cells: Vec<_> = (1..=600).map(|id| service.entity(id, &format!("key-{id}"))).collect();
    service.child.stop(LONG);
    service.stopped().await;
    let expected: Vec<String> = (1..=600).rev().map(|id| format!("drain #{id}")).collect();
    assert_eq!(service.log.take(), expected);
    assert!(cells.iter().all(|cell| cell.is(Phase::Ended)));
    assert_eq!(service.host.killed(), 0);
    // Who comes now comes too late.
    assert!(service.entity(601, "late").is(Phase::Ended));
}

#[tokio::test]
async fn what_waits_for_a_restart_when_the_service_stops_is_given_up() {
    let mut service = Service::start(ServiceKind::Stateless, OnFailure::Restart, 0).await;
    let instance = service.instance(1);
    instance.panics();
    service.child.stop(LONG);
    service.stopped().await;
    assert!(instance.is(Phase::Ended));
    assert!(service.log.take().iter().any(|what| what == "give up #1"));
}

#[tokio::test]
async fn cells_that_do_not_end_are_killed_and_counted() {
    let mut service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let (deaf, _polite) = (service.entity(1, "deaf"), service.entity(2, "polite"));
    deaf.polite.store(false, SeqCst);
    service.child.stop(LONG);
    assert_eq!(service.log.after(2).await, ["drain #2", "drain #1"]);
    deaf.polite.store(true, SeqCst);
    service.child.kill();
    service.stopped().await;
    assert_eq!(service.log.take(), ["kill #1"]);
    assert_eq!(service.host.killed(), 1);
}

#[tokio::test]
async fn a_cell_that_never_comes_to_an_await_does_not_keep_the_service_from_ending() {
    let mut service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let stuck = service.entity(1, "stuck");
    stuck.polite.store(false, SeqCst);
    service.child.kill();
    service.stopped().await;
    assert_eq!(service.host.killed(), 1);
}

/// Watches a cell; the log tells how it ended.
fn watch(service: &Service, cell: &FakeCell, who: &'static str) {
    let log = service.log.clone();
    let tell = move |exit: &Exit| log.add(format!("{who} sees {exit}"));
    service.overseer.watch(cell, Box::new(tell));
}

#[tokio::test]
async fn a_watch_is_called_once_when_the_activation_ends() {
    let service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let cell = service.entity(1, "watched");
    watch(&service, &cell, "first");
    watch(&service, &cell, "second");
    assert_eq!(service.log.take(), Vec::<String>::new());
    cell.panics();
    let seen = service.log.after(3).await;
    let panicked = "sees panicked in test: on purpose";
    assert_eq!(seen, [format!("first {panicked}"), format!("second {panicked}"), "restart #1".into()]);
    // The watches were for that activation. The next has its own.
    watch(&service, &cell, "third");
    cell.ends(passivated());
    assert_eq!(service.log.take(), ["third sees stopped (Passivated)"]);
}

#[tokio::test]
async fn a_watch_on_what_has_ended_is_called_at_once() {
    let service = Service::start(ServiceKind::Entity, OnFailure::End, 3).await;
    let (failed, passive) = (service.entity(1, "failed"), service.entity(2, "passive"));
    failed.panics();
    passive.ends(passivated());
    watch(&service, &failed, "late");
    watch(&service, &passive, "late");
    assert_eq!(service.log.take(), ["late sees panicked in test: on purpose", "late sees stopped (Own)"]);
    let service = Service::start(ServiceKind::Stateless, OnFailure::Restart, 0).await;
    let resting = service.instance(1);
    resting.panics();
    watch(&service, &resting, "meanwhile");
    assert_eq!(service.log.take(), ["meanwhile sees panicked in test: on purpose"]);
}

#[tokio::test]
async fn a_watch_may_end_other_cells_of_the_same_service() {
    let service = Service::start(ServiceKind::Entity, OnFailure::End, 3).await;
    let (first, second) = (service.entity(1, "first"), service.entity(2, "second"));
    let tied = second.clone();
    service.overseer.watch(&*first, Box::new(move |exit| tied.ends(exit.clone())));
    first.panics();
    assert!(second.is(Phase::Ended));
}

#[tokio::test]
async fn the_description_lists_the_busiest_cells_and_sums_over_all() {
    let service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let cells: Vec<_> = (1..=40).map(|id| service.entity(id, &format!("key-{id}"))).collect();
    cells[39].panics();
    service.log.after(1).await;
    let node = service.child.describe(3).await;
    let names: Vec<&str> = node.children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["key-40", "key-39", "key-38"]);
    assert_eq!((node.unlisted, node.restarts), (37, 1));
    let load = node.load.as_ref().expect("a service has one");
    assert_eq!((load.waiting, load.waiting_bytes, load.begun), (820, 8_200, 40));
    assert_eq!(node.children[0].restarts, 1);
    assert_eq!(node.failures[0].of.as_deref(), Some("key-40"));
    let text = serde_json::to_string(&node).expect("it is plain");
    let read: crate::supervision::TreeNode = serde_json::from_str(&text).expect("it reads what it wrote");
    assert_eq!(serde_json::to_string(&read).expect("it is plain"), text);
}

#[tokio::test]
async fn only_the_last_failures_are_kept() {
    let service = Service::start(ServiceKind::Entity, OnFailure::End, 3).await;
    for id in 1..=100 {
        service.entity(id, &format!("key-{id}")).panics();
    }
    let failures = service.child.describe(0).await.failures;
    assert_eq!(failures.len(), 32);
    assert_eq!(failures[0].of.as_deref(), Some("key-100"));
}

#[tokio::test]
async fn a_crowd_that_has_gone_leaves_those_who_stay_in_order_of_birth() {
    let service = Service::start(ServiceKind::Entity, OnFailure::Restart, 3).await;
    let mut stay = Vec::new();
    for id in 1..=5_000_u64 {
        let cell = service.entity(id, "one of many");
        // as if other services had the ids between
        if id % 37 == 5 { stay.push(cell) } else { cell.ends(passivated()) }
    }
    let listed: Vec<ActivationId> = service.host.cells.all().iter().map(|cell| cell.id()).collect();
    assert_eq!(listed, stay.iter().map(|cell| cell.id).collect::<Vec<_>>());
    assert_eq!(service.host.cells.count(), stay.len());
}

#[tokio::test]
async fn many_that_fail_at_once_all_begin_again_and_do_not_keep_a_stop_waiting() {
    let mut service = Service::start(ServiceKind::Entity, OnFailure::Restart, 1_000).await;
    let cells: Vec<_> = (1..=1_000).map(|id| service.entity(id, &format!("key-{id}"))).collect();
    let running = || cells.iter().all(|cell| cell.is(Phase::Running));
    // at once, and after a wait
    for _ in 0..3 {
        cells.iter().for_each(|cell| cell.panics());
        eventually(running).await;
    }
    assert_eq!(service.log.take().len(), 3_000);
    cells.iter().for_each(|cell| cell.panics());
    service.child.stop(LONG);
    service.stopped().await;
    assert!(cells.iter().all(|cell| cell.is(Phase::Ended)));
    let given_up = service.log.take().iter().filter(|what| what.starts_with("give up")).count();
    assert!(given_up > 500, "{given_up}");
}
