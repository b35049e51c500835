//! Deadlines of messages, and what a cell shows of itself.

use super::*;
use odeon_core::UnknownCause;

#[tokio::test]
async fn late_work_is_dropped_told_and_counted() {
    let world = World::new();
    let cell = world.spawn();
    let hold = gate();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    settle().await;
    let probe = ProbeRef::of(&cell);
    let began = world.wheel.elapsed();
    let time = Duration::from_millis(50);
    assert_eq!(soon(probe.echo(1).within(time)).await, Err(CallError::Unknown(UnknownCause::TimedOut)));
    assert!(world.wheel.elapsed() - began >= time);
    // one whose caller still listens
    let (reply, answer) = Reply::<u64>::channel();
    let due = world.wheel.due(Duration::ZERO);
    tell_as(&cell, Header::default().with_due(due), Ask::Echo(1, reply)).expect("room");
    until("it is late", || due.passed(world.wheel.now())).await;
    hold.add_permits(1);
    let lost = soon(answer).await.expect("the caller is told").expect_err("no answer");
    assert_eq!(lost, crate::service::reply::Lost::Refused(Refusal::Expired));
    assert_eq!(cell.port().status().expired, 2);
    until("it is in the books", || world.kind.meter.expired() == 2).await;
    assert_eq!(world.wheel.pending(), 0);
}

#[tokio::test]
async fn the_books_are_complete_when_a_cell_has_nothing_to_do() {
    let world = World::new().concurrent(4);
    let cell = world.spawn();
    let gate = gate();
    for n in 0..1_000 {
        let (reply, _answer) = Reply::channel();
        tell(&cell, Ask::Look(n, gate.clone(), reply)).expect("room");
    }
    gate.add_permits(1_000);
    until("all ended", || world.kind.meter.handled() == 1_000).await;
    assert_eq!(cell.port().status().begun, 1_000);
    assert_eq!(cell.port().status().waiting, 0);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "an executor on another thread is what is looked at")]
fn a_handler_that_blocks_its_executor_is_seen_from_outside() {
    let (sender, receiver) = std::sync::mpsc::channel::<Handle<Ask>>();
    let stuck = gate();
    let open = stuck.clone();
    let executor = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            let cell = world.spawn_with(Constructor::plain(move || {
                // stands for any code that does not yield
                while stuck.available_permits() == 0 {
                    std::thread::yield_now();
                }
                Probe(Arc::default())
            }));
            sender.send(cell).expect("the test listens");
            settle().await;
        });
    });
    let cell = receiver.recv().expect("a cell");
    let port = cell.port();
    let limit = std::time::Duration::from_millis(20);
    while port.status().polling_for.is_none_or(|time| time < limit) {
        assert!(!executor.is_finished(), "it was not seen");
        std::thread::yield_now();
    }
    assert_eq!(port.status().current, Some("start"));
    open.add_permits(1);
    executor.join().expect("no panic");
    assert_eq!(port.status().polling_for, None);
}
