//! Supervisors and parts.

use super::*;
use crate::supervision::child::{Child, Report, Reports};
use crate::supervision::node::TreeNode;
use crate::supervision::supervisor::{AddError, Supervisor};
use futures_util::future::BoxFuture;
use odeon_core::supervision::{ChildSpec, Restart, Settings, Strategy};
use tokio::sync::mpsc;

type Listed = Vec<(ChildSpec, Box<dyn Child>)>;

/// The reports about one child.
struct Heard(mpsc::UnboundedReceiver<Report>);

impl Heard {
    fn start(child: &mut impl Child) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        child.start(Reports::to(move |report| drop(sender.send(report))));
        Self(receiver)
    }

    async fn next(&mut self) -> Report {
        tokio::time::timeout(LONG, self.0.recv()).await.expect("in time").expect("a report")
    }

    async fn end(&mut self) -> Exit {
        match self.next().await {
            Report::Ended(exit) => exit,
            Report::Started => panic!("it has ended"),
        }
    }
}

fn listed(parts: impl IntoIterator<Item = (ChildSpec, Part)>) -> Listed {
    parts.into_iter().map(|(spec, part)| (spec, Box::new(part) as Box<dyn Child>)).collect()
}

fn spec(name: &str) -> ChildSpec {
    ChildSpec::permanent(name).within(LONG, LONG)
}

fn supervisor(strategy: Strategy, restarts_max: u32, children: Listed) -> Supervisor {
    let settings = Settings { strategy, limits: quick_limits(restarts_max) };
    Supervisor::new("top", settings, surroundings(), children)
}

fn polite_ones(log: &Log, names: &[&'static str]) -> Listed {
    listed(names.iter().map(|name| (spec(name), polite(name, log))))
}

/// Fails whenever it is told to over the channel.
fn fragile(name: &'static str, log: &Log) -> (Part, mpsc::UnboundedSender<&'static str>) {
    let (sender, receiver) = mpsc::unbounded_channel::<&'static str>();
    let (log, receiver) = (log.clone(), Arc::new(tokio::sync::Mutex::new(receiver)));
    let part = Part::new(name, executor(), move |mut running: Running| {
        let (log, receiver) = (log.clone(), receiver.clone());
        async move {
            log.add(format!("start {name}"));
            running.ready();
            let mut receiver = receiver.lock().await;
            tokio::select! {
                biased;
                () = running.stopping() => {
                    log.add(format!("stop {name}"));
                    Ok(())
                }
                how = receiver.recv() => match how {
                    Some("panic") => panic!("{name} on purpose"),
                    Some("return") | None => Ok(()),
                    Some(problem) => Err(problem.to_owned()),
                },
            }
        }
    });
    (part, sender)
}

#[tokio::test]
async fn children_start_in_order_and_stop_in_reverse_order() {
    let log = Log::default();
    let mut top = supervisor(Strategy::OneForOne, 3, polite_ones(&log, &["a", "b", "c"]));
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    assert_eq!(log.take(), ["start a", "start b", "start c"]);
    top.stop(LONG);
    assert_eq!(heard.end().await, Exit::Stopped { reason: StopReason::Shutdown });
    assert_eq!(log.take(), ["stop c", "stop b", "stop a"]);
}

#[tokio::test]
async fn a_stopped_supervisor_can_begin_again() {
    let log = Log::default();
    let mut top = supervisor(Strategy::OneForOne, 3, polite_ones(&log, &["a"]));
    for _ in 0..2 {
        let mut heard = Heard::start(&mut top);
        assert_eq!(heard.next().await, Report::Started);
        top.stop(LONG);
        assert!(heard.end().await.is_normal());
        assert_eq!(log.take(), ["start a", "stop a"]);
    }
}

#[tokio::test]
async fn a_stop_before_the_beginning_starts_nobody() {
    let log = Log::default();
    let mut top = supervisor(Strategy::OneForOne, 3, polite_ones(&log, &["a"]));
    let mut heard = Heard::start(&mut top);
    top.stop(LONG);
    assert!(heard.end().await.is_normal());
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn one_for_all_stops_the_others_in_reverse_and_begins_again_in_order() {
    let log = Log::default();
    let (b, break_b) = fragile("b", &log);
    let children = [(spec("a"), polite("a", &log)), (spec("b"), b), (spec("c"), polite("c", &log))];
    let mut top = supervisor(Strategy::OneForAll, 3, listed(children));
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    log.take();
    break_b.send("out of paper").expect("b listens");
    assert_eq!(log.after(5).await, ["stop c", "stop a", "start a", "start b", "start c"]);
}

#[tokio::test]
async fn rest_for_one_spares_those_that_were_started_earlier() {
    let log = Log::default();
    let (b, break_b) = fragile("b", &log);
    let children = [(spec("a"), polite("a", &log)), (spec("b"), b), (spec("c"), polite("c", &log))];
    let mut top = supervisor(Strategy::RestForOne, 3, listed(children));
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    log.take();
    break_b.send("panic").expect("b listens");
    assert_eq!(log.after(3).await, ["stop c", "start b", "start c"]);
}

#[tokio::test]
async fn a_stop_ends_what_waits_for_its_restart() {
    let log = Log::default();
    let (weak, break_it) = fragile("weak", &log);
    let backoff = Backoff { min: LONG, max: LONG };
    let settings =
        Settings { strategy: Strategy::OneForOne, limits: RestartLimits { backoff, ..quick_limits(9) } };
    let children = listed([(spec("a"), polite("a", &log)), (spec("weak"), weak)]);
    let mut top = Supervisor::new("top", settings, surroundings(), children);
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    // the first restart comes at once, the second waits
    for _ in 0..2 {
        break_it.send("panic").expect("it listens");
    }
    eventually_described(&top, |node| node.children[1].phase == "waiting").await;
    top.stop(LONG);
    assert!(heard.end().await.is_normal());
    assert_eq!(log.take(), ["start a", "start weak", "start weak", "stop a"]);
}

#[tokio::test]
async fn a_kill_reaches_the_deaf_at_every_level() {
    let deaf = |running: Running| async move {
        running.ready();
        std::future::pending().await
    };
    let below =
        supervisor(Strategy::OneForAll, 3, listed([(spec("deaf"), Part::new("deaf", executor(), deaf))]));
    let below: Listed = vec![(spec("below").unlimited(), Box::new(below))];
    let mut top = supervisor(Strategy::OneForOne, 3, below);
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    top.stop(LONG);
    eventually_described(&top, |node| node.children[0].children[0].phase == "stopping").await;
    top.kill();
    assert!(heard.end().await.is_normal());
    let killed = top.describe(0).await.children[0].children[0].last_exit.clone().expect("it ended");
    assert_eq!(killed.exit, Exit::Killed);
}

#[tokio::test]
async fn a_child_that_does_not_stop_in_time_is_killed() {
    let deaf = Part::new("deaf", executor(), |running: Running| async move {
        running.ready();
        std::future::pending().await
    });
    let patience = spec("deaf").within(LONG, Duration::from_millis(2));
    let mut top = supervisor(Strategy::OneForOne, 3, listed([(patience, deaf)]));
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    top.stop(LONG);
    assert!(heard.end().await.is_normal());
    let exit = top.describe(0).await.children[0].last_exit.clone().expect("it ended").exit;
    assert_eq!(exit, Exit::Killed);
}

#[tokio::test]
async fn a_child_that_fails_at_first_ends_its_supervisor_with_the_reason() {
    let log = Log::default();
    let busy = Part::new("busy", executor(), |_| async { Err("port 80 is taken".to_owned()) });
    let children = [(spec("a"), polite("a", &log)), (spec("busy"), busy)];
    let mut top = supervisor(Strategy::OneForOne, 3, listed(children));
    let exit = Heard::start(&mut top).end().await;
    assert_eq!(exit.to_string(), "could not start: busy could not start: port 80 is taken");
    assert_eq!(log.take(), ["start a", "stop a"]);
}

#[tokio::test]
async fn failures_beyond_the_limits_go_to_the_supervisor_above() {
    let log = Log::default();
    let (weak, break_it) = fragile("weak", &log);
    let below = supervisor(Strategy::OneForOne, 1, listed([(spec("weak"), weak)]));
    let below: Listed = vec![(spec("below").unlimited(), Box::new(below))];
    let mut top = supervisor(Strategy::OneForOne, 1, below);
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    // The lower one repairs it, then the upper one the lower one, then the lower one again; then both are at an end.
    for failure in ["panic", "no paper", "panic", "the end"] {
        assert_eq!(log.after(1).await, ["start weak"]);
        break_it.send(failure).expect("it listens");
    }
    let exit = heard.end().await;
    assert!(matches!(&exit, Exit::GaveUp { child, restarts: 1, .. } if child == "below"), "{exit}");
    assert!(exit.to_string().ends_with("weak failed: the end"), "{exit}");
}

#[tokio::test]
async fn children_come_and_go_at_run_time() {
    let log = Log::default();
    let mut top = supervisor(Strategy::OneForOne, 3, Vec::new());
    let early = top.add(spec("early"), Box::new(polite("early", &log))).await;
    assert_eq!(early, Err(AddError::Down { supervisor: "top".into() }));
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    for name in ["a", "b"] {
        top.add(spec(name), Box::new(polite(name, &log))).await.expect("it starts");
    }
    let taken = top.add(spec("a"), Box::new(polite("a", &log))).await;
    assert_eq!(taken, Err(AddError::Taken { supervisor: "top".into(), child: "a".into() }));
    let busy = Part::new("busy", executor(), |_| async { Err("port 80 is taken".to_owned()) });
    let failed = top.add(spec("busy"), Box::new(busy)).await.expect_err("it cannot start");
    assert_eq!(failed.to_string(), "busy could not start: port 80 is taken");
    top.remove("a");
    assert_eq!(log.after(3).await, ["start a", "start b", "stop a"]);
    let names = |node: TreeNode| node.children.into_iter().map(|child| child.name).collect::<Vec<_>>();
    eventually_described(&top, |node| names(node) == ["b"]).await;
    top.stop(LONG);
    assert!(heard.end().await.is_normal());
}

async fn eventually_described(top: &Supervisor, fact: impl Fn(TreeNode) -> bool) {
    let waiting = async {
        while !fact(top.describe(0).await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it comes true");
}

#[tokio::test]
async fn whoever_adds_a_child_to_a_supervisor_that_stops_is_told() {
    let (entered, mut has_entered) = mpsc::unbounded_channel();
    let mut top = supervisor(Strategy::OneForOne, 3, Vec::new());
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    let slow = Part::new("slow", executor(), move |mut running: Running| {
        let entered = entered.clone();
        async move {
            entered.send(()).expect("the test waits");
            running.stopping().await;
            Ok(())
        }
    });
    let adding = top.add(spec("slow"), Box::new(slow));
    let stopping = async {
        has_entered.recv().await;
        top.clone().stop(LONG);
    };
    let (added, ()) = tokio::join!(adding, stopping);
    assert_eq!(added, Err(AddError::Down { supervisor: "top".into() }));
    assert!(heard.end().await.is_normal());
    assert!(top.describe(0).await.children.is_empty());
}

/// A child whose own code is at fault: the second start panics.
struct Faulty {
    log: Log,
    starts: u32,
}

impl Child for Faulty {
    fn start(&mut self, reports: Reports) {
        self.starts += 1;
        self.log.add(format!("start {}", self.starts));
        assert_ne!(self.starts, 2, "the fault");
        reports.started();
        if self.starts == 1 {
            reports.ended(Exit::Killed);
        }
    }

    fn stop(&mut self, _: Duration) {}

    fn kill(&mut self) {
        self.log.add("kill");
    }

    fn describe(&self, _: usize) -> BoxFuture<'static, TreeNode> {
        Box::pin(std::future::ready(TreeNode::default()))
    }
}

#[tokio::test]
async fn a_fault_in_a_supervisors_own_code_is_a_failure_that_the_one_above_repairs() {
    let log = Log::default();
    let faulty: Listed = vec![(spec("faulty"), Box::new(Faulty { log: log.clone(), starts: 0 }))];
    let below: Listed =
        vec![(spec("below").unlimited(), Box::new(supervisor(Strategy::OneForOne, 3, faulty)))];
    let mut top = supervisor(Strategy::OneForOne, 3, below);
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    assert_eq!(log.after(4).await, ["start 1", "start 2", "kill", "start 3"]);
    eventually_described(&top, |node| {
        let last = node.children[0].last_exit.as_ref();
        node.children[0].phase == "up" && last.is_some_and(|last| last.reason.contains("actor panicked"))
    })
    .await;
}

#[tokio::test]
async fn a_part_says_how_it_ended() {
    let log = Log::default();
    let (mut part, tell) = fragile("part", &log);
    for (how, reason) in [
        ("panic", "panicked in run: part on purpose"),
        ("return", "stopped (Own)"),
        ("out of paper", "failed: out of paper"),
    ] {
        let mut heard = Heard::start(&mut part);
        assert_eq!(heard.next().await, Report::Started);
        tell.send(how).expect("it listens");
        assert_eq!(heard.end().await.to_string(), reason);
    }
    let mut heard = Heard::start(&mut part);
    assert_eq!(heard.next().await, Report::Started);
    part.kill();
    assert_eq!(heard.end().await, Exit::Killed);
}

#[tokio::test]
async fn a_temporary_child_is_forgotten_when_it_ends() {
    let log = Log::default();
    let (part, tell) = fragile("once", &log);
    let mut top =
        supervisor(Strategy::OneForOne, 3, listed([(spec("once").restarted(Restart::Temporary), part)]));
    let mut heard = Heard::start(&mut top);
    assert_eq!(heard.next().await, Report::Started);
    tell.send("panic").expect("it listens");
    eventually_described(&top, |node| node.children.is_empty()).await;
}

#[tokio::test]
async fn a_part_that_panics_before_its_first_await_takes_its_supervisor_not_with_it() {
    let log = Log::default();
    let broken = Part::new("broken", executor(), |_| -> std::future::Ready<Result<(), String>> {
        panic!("on purpose");
    });
    let children = [(spec("a"), polite("a", &log)), (spec("broken"), broken)];
    let mut top = supervisor(Strategy::OneForOne, 3, listed(children));
    let exit = Heard::start(&mut top).end().await;
    assert_eq!(exit.to_string(), "could not start: broken panicked in run: on purpose");
    assert_eq!(log.take(), ["start a", "stop a"]);
}
