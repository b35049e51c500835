//! What a node tells when it misbehaves.

use super::executors::{LONG, Roadblock, RoadblockRef, Threads};
use super::{Lab, hold, probe, probes};
use odeon::ServiceOptions;
use odeon::directory::ServiceKind;
use odeon::prelude::*;
use odeon::telemetry::dump::Dump;
use std::sync::{Arc, Mutex, mpsc};

/// Blocks for as long as its sender lives.
struct Blocking(mpsc::Sender<()>, Arc<Mutex<mpsc::Receiver<()>>>);

#[odeon::service]
impl Roadblock for Blocking {
    async fn block(&mut self, _: &Cx) {
        self.0.send(()).expect("the test listens");
        // what no service should do
        let _ = self.1.lock().expect("no panic while it is held").recv();
    }
}

/// From a thread that is none of the node's, as the control executor of a daemon is none.
fn dump(node: &odeon::Node) -> Dump {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(node.dump())
}

#[test]
fn a_dump_names_what_blocks_an_executor() {
    let threads = Threads::start(2);
    let (blocks, blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let make = move || Blocking(blocks.clone(), released.clone());
    // a singleton runs on the first executor
    let node = threads.node(App::new().singleton("roadblock", make));
    let roadblock: RoadblockRef = node.service("roadblock").expect("a service");
    let calls = |count: usize| {
        for _ in 0..count {
            let roadblock = roadblock.clone();
            threads.executors[1].spawn(async move { roadblock.block().within(LONG).await });
        }
    };
    calls(1);
    blocked.recv_timeout(LONG).expect("it blocks");
    calls(3);
    let told = loop {
        let told = dump(&node);
        // until its poll has lasted, and the others have come
        if told.stuck.count() > 0 && told.queues.listed.first().is_some_and(|queue| queue.waiting >= 3) {
            break told;
        }
    };
    let [first, second] = &told.executors[..] else { panic!("two executors: {:?}", told.executors) };
    assert_eq!((first.answered_us, second.answered_us.is_some()), (None, true), "{told:?}");
    let polled = first.in_poll.as_ref().expect("a handler blocks it");
    assert_eq!((&*polled.cell.service, &*polled.method), ("roadblock", "block"));
    let stuck = &told.stuck.listed[0];
    assert_eq!((&*stuck.cell.service, &*stuck.method, stuck.blocks), ("roadblock", "block", true));
    assert!(stuck.for_ms >= 100 && stuck.cell.executor == 0, "{stuck:?}");
    let queue = &told.queues.listed[0];
    assert!(queue.by_class.get("normal").is_some_and(|count| *count == 3), "{queue:?}");
    drop(release);
    threads.on(1, async move { node.stop(LONG).await });
    threads.stop();
}

/// What is stuck, once it is what a test waits for.
async fn stuck_once(node: &odeon::Node, what: &str, is_it: impl Fn(&Dump) -> bool) -> Dump {
    let looking = async {
        loop {
            let told = node.dump().await;
            if is_it(&told) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test]
async fn a_dump_tells_which_handler_waits_and_for_how_long() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    let held = hold(&lab, &a, "first").await;
    for n in 0..5 {
        a.note(n.to_string()).send().expect("room");
    }
    let told = stuck_once(&node, "it has waited for long", |told| told.stuck.count() > 0).await;
    let [stuck] = &told.stuck.listed[..] else { panic!("one waits: {told:?}") };
    assert_eq!((stuck.cell.key.as_deref(), &*stuck.method, stuck.blocks), (Some("a"), "hold", false));
    assert!((1_000..20_000).contains(&stuck.for_ms), "{stuck:?}");
    // the call has 60 s
    assert!(stuck.deadline_ms.is_some_and(|left| (30_000..60_000).contains(&left)), "{stuck:?}");
    assert_eq!(told.queues.listed[0].by_class.get("normal"), Some(&5), "{told:?}");
    lab.open_gate(1);
    held.await.expect("no panic").expect("it ends");
    lab.until_said("4").await;
    let idle = |told: &Dump| told.stuck.count() == 0 && told.queues.count() == 0;
    let told = stuck_once(&node, "nothing waits", idle).await;
    let probes = told.services.iter().find(|service| service.service == "probe").expect("it is listed");
    assert_eq!((probes.handled, probes.cells.get("up")), (6, Some(&1)), "{probes:?}");
}

#[tokio::test]
async fn of_handlers_that_run_beside_each_other_the_longest_is_told() {
    let lab = Lab::default();
    let options = ServiceOptions { concurrency: 8, ..ServiceOptions::of(ServiceKind::Entity) };
    let node = super::node(App::new().entity_with("probe", options, super::Told::make(&lab))).await;
    let probe = probe(&node, "a");
    let begin = async |text: &str, seconds: u64| {
        let (probe, said) = (probe.clone(), text.to_owned());
        let call = async move { probe.hold_shared(said).within(Duration::from_secs(seconds)).await };
        tokio::spawn(call);
        lab.until_said(&format!("{text} begins")).await;
    };
    let is_due_in = |told: &Dump, range: std::ops::Range<i64>| {
        let longest = told.stuck.listed.first().and_then(|stuck| stuck.deadline_ms);
        longest.is_some_and(|left| range.contains(&left))
    };
    begin("first", 100).await;
    stuck_once(&node, "the first one waits", |told| is_due_in(told, 0..100_000)).await;
    begin("second", 200).await;
    begin("third", 300).await;
    let told = stuck_once(&node, "the second one has begun", |told| told.stuck.count() > 0).await;
    assert!(is_due_in(&told, 0..100_000), "the first one waits for longest: {told:?}");
    // it is let through; who waits for longest then is looked for when something else happens
    lab.open_gate(1);
    lab.until_said("first ends").await;
    begin("fourth", 400).await;
    stuck_once(&node, "the second one waits for longest", |told| is_due_in(told, 100_000..200_000)).await;
}

#[tokio::test]
async fn a_dump_tells_who_failed_and_what_became_of_it() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    assert_eq!(a.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    assert_eq!(a.say("after".into()).await, Ok(1));
    a.begin("task".into()).await.expect("it begins");
    let told = node.dump().await;
    let failed = told.events.iter().find(|event| event.kind == "activation-failed").expect("it is noted");
    assert!(
        failed.text.starts_with("a of probe panicked in panic: on purpose; it begins again"),
        "{failed:?}"
    );
    assert!(told.events.iter().any(|event| event.text == "probe runs"), "{:?}", told.events);
    let [tasks] = &told.tasks.listed[..] else { panic!("one task: {told:?}") };
    assert_eq!((tasks.cell.key.as_deref(), tasks.tasks), (Some("a"), 1));
    let probes = told.services.iter().find(|service| service.service == "probe").expect("it is listed");
    assert_eq!((probes.panics, probes.restarts), (1, 1));
}
