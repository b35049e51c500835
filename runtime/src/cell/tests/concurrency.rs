//! How handlers of one activation overlap, and which calls cannot end.

use super::*;

fn look(cell: &Handle<Ask>, n: u64, gate: &Gate) -> tokio::sync::oneshot::Receiver<impl Sized> {
    let (reply, answer) = Reply::channel();
    tell(cell, Ask::Look(n, gate.clone(), reply)).expect("room");
    answer
}

#[tokio::test]
async fn shared_handlers_run_beside_each_other_up_to_the_concurrency() {
    let world = World::new().concurrent(4);
    let cell = world.spawn();
    let gate = gate();
    let answers: Vec<_> = (0..10).map(|n| look(&cell, n, &gate)).collect();
    settle().await;
    assert_eq!(world.seen.looking.load(SeqCst), 4);
    for ended in 1..=10 {
        gate.add_permits(1);
        settle().await;
        assert_eq!(world.seen.looking.load(SeqCst), (10 - ended).min(4), "{ended} ended");
    }
    assert_eq!(world.seen.looking_max.load(SeqCst), 4);
    for answer in answers {
        assert!(soon(answer).await.is_ok());
    }
    assert_eq!(world.kind.meter.handled(), 10);
}

#[tokio::test]
async fn with_a_concurrency_of_one_nothing_overlaps() {
    let world = World::new();
    let cell = world.spawn();
    let gate = gate();
    let answers: Vec<_> = (0..5).map(|n| look(&cell, n, &gate)).collect();
    settle().await;
    assert_eq!(world.seen.looking.load(SeqCst), 1);
    gate.add_permits(5);
    for answer in answers {
        assert!(soon(answer).await.is_ok());
    }
    assert_eq!(world.seen.looking_max.load(SeqCst), 1);
}

#[tokio::test]
async fn a_handler_that_ends_at_once_is_not_held_up_by_one_that_waits() {
    let world = World::new().concurrent(4);
    let cell = world.spawn();
    let gate = gate();
    let slow = look(&cell, 1, &gate);
    settle().await;
    for _ in 0..300 {
        let peek = ProbeRef::of(&cell);
        assert_eq!(soon(Call::once(&peek, Ask::Peek)).await, Ok(1));
    }
    gate.add_permits(1);
    assert!(soon(slow).await.is_ok());
}

#[tokio::test]
async fn an_exclusive_handler_runs_alone_and_in_its_turn() {
    let world = World::new().concurrent(8);
    let cell = world.spawn();
    let (gate, hold) = (gate(), gate());
    let before: Vec<_> = (0..3).map(|n| look(&cell, n, &gate)).collect();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    let after: Vec<_> = (0..3).map(|n| look(&cell, n, &gate)).collect();
    settle().await;
    assert_eq!(world.seen.looking.load(SeqCst), 3, "it holds back what comes after it");
    gate.add_permits(2);
    settle().await;
    assert_eq!(cell.port().status().current, Some("look"), "it waits for all that run");
    gate.add_permits(1);
    settle().await;
    assert_eq!(cell.port().status().current, Some("hold"));
    assert_eq!(world.seen.looking.load(SeqCst), 0);
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.seen.looking.load(SeqCst), 3);
    gate.add_permits(3);
    for answer in before.into_iter().chain(after) {
        assert!(soon(answer).await.is_ok());
    }
}

#[tokio::test]
async fn a_stop_waits_for_the_handlers_that_run() {
    let world = World::new().concurrent(8);
    let cell = world.spawn();
    let gate = gate();
    let running: Vec<_> = (0..3).map(|n| look(&cell, n, &gate)).collect();
    settle().await;
    cell.port().stop(StopReason::Shutdown);
    settle().await;
    assert!(world.gone().is_empty());
    gate.add_permits(3);
    for answer in running {
        assert!(soon(answer).await.is_ok());
    }
    until("it is gone", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Stopped { reason: StopReason::Shutdown }]);
}

/// The numbers of the cells that a refusal names.
fn cycle(outcome: Result<u64, Refusal>) -> Vec<u64> {
    let Err(Refusal::Cycle { path }) = outcome else { panic!("{outcome:?}") };
    path.iter().map(|cell| cell.activation.0).collect()
}

#[tokio::test]
async fn a_call_that_returns_to_an_exclusive_handler_names_the_cycle() {
    let world = World::new().concurrent(8);
    let (a, b) = (ProbeRef::of(&world.spawn()), ProbeRef::of(&world.spawn()));
    let (to, me) = (b.clone(), a.clone());
    let outcome = soon(Call::once(&a, |reply| Ask::Through(to, me, reply))).await.expect("an answer");
    assert_eq!(cycle(outcome), [1, 2, 1]);
}

#[tokio::test]
async fn a_call_that_returns_to_shared_handlers_runs_beside_them() {
    let world = World::new().concurrent(8);
    let cell = ProbeRef::of(&world.spawn());
    // to itself and back to itself with a shared method: both run beside what waits
    let (to, me) = (cell.clone(), cell.clone());
    let outcome = soon(Call::once(&cell, |reply| Ask::LookThrough(to, me, reply))).await.expect("an answer");
    // but the echo at the end is exclusive
    assert_eq!(cycle(outcome), [1; 3]);
    let alone = World::new();
    let cell = ProbeRef::of(&alone.spawn());
    let (to, me) = (cell.clone(), cell.clone());
    let outcome = soon(Call::once(&cell, |reply| Ask::LookThrough(to, me, reply))).await.expect("an answer");
    assert_eq!(cycle(outcome), [1; 2], "no room beside");
}

#[tokio::test]
async fn a_chain_without_a_loop_is_no_cycle() {
    let world = World::new();
    let [a, b, c] = [(); 3].map(|()| ProbeRef::of(&world.spawn()));
    let outcome = soon(Call::once(&a, |reply| Ask::Through(b, c, reply))).await.expect("an answer");
    assert_eq!(outcome, Ok(2));
}
