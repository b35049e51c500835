//! Start, ready, stop, passivation.

use super::*;

#[tokio::test]
async fn a_start_may_take_its_time_and_mail_waits_for_it() {
    let world = World::new();
    let open = gate();
    let (seen, gate) = (world.seen.clone(), open.clone());
    let cell = world.spawn_with(Constructor::started(move |_| {
        let (seen, gate) = (seen.clone(), gate.clone());
        Box::pin(async move {
            gate.acquire().await.expect("no gate is ever closed").forget();
            Ok(Probe(seen))
        })
    }));
    tell(&cell, Ask::Note(1)).expect("room");
    settle().await;
    let status = cell.port().status();
    assert_eq!((status.phase, status.current, status.waiting), (Phase::Starting, Some("start"), 1));
    assert!(!cell.is_running());
    open.add_permits(1);
    until("it was handled", || world.notes() == [1]).await;
    assert!(cell.is_running());
}

#[tokio::test]
async fn a_start_that_fails_or_takes_too_long_is_reported() {
    let mut world = World::new();
    world.overseer.restarts.store(false, SeqCst);
    world.kind.start_within = Duration::from_millis(20);
    let fails =
        world.spawn_with(Constructor::started(|_| Box::pin(async { Err(StartError::new("no such table")) })));
    until("it ended", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::StartFailed { problem: "no such table".into() }]);
    assert!(fails.is_closed());
    let hangs = world.spawn_with(Constructor::started(|_| Box::pin(std::future::pending())));
    until("it ended", || world.gone().len() == 2).await;
    let Exit::StartFailed { problem } = &world.gone()[1] else { panic!("{:?}", world.gone()) };
    assert!(problem.contains("20ms"), "{problem}");
    assert!(hangs.is_closed());
    assert_eq!(world.wheel.pending(), 0);
}

#[tokio::test]
async fn a_panic_in_the_constructor_is_a_panic_in_start() {
    let world = World::new();
    world.overseer.restarts.store(false, SeqCst);
    world.spawn_with(Constructor::plain(|| panic!("no")));
    until("it ended", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Panicked { text: "no".into(), method: "start".into() }]);
}

#[tokio::test]
async fn ready_is_asked_until_it_says_yes() {
    let world = World::new();
    world.seen.ready.store(false, SeqCst);
    let cell = world.spawn();
    tell(&cell, Ask::Note(1)).expect("room");
    until("it was asked again", || world.seen.asked_ready.load(SeqCst) >= 3).await;
    assert_eq!(world.overseer.started.load(SeqCst), 0);
    assert_eq!(world.notes(), NOTHING);
    world.seen.ready.store(true, SeqCst);
    until("it started", || world.overseer.started.load(SeqCst) == 1).await;
    until("it was handled", || world.notes() == [1]).await;
}

#[tokio::test]
async fn a_stop_during_the_start_ends_it() {
    let world = World::new();
    let cell = world.spawn_with(Constructor::started(|_| Box::pin(std::future::pending())));
    settle().await;
    cell.port().stop(StopReason::Shutdown);
    until("it is gone", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Stopped { reason: StopReason::Shutdown }]);
}

#[tokio::test]
async fn a_drain_handles_what_waits_and_a_stop_refuses_it() {
    for drain in [true, false] {
        let world = World::new();
        let (cell, hold) = (world.spawn(), gate());
        tell(&cell, Ask::Hold(hold.clone())).expect("room");
        for n in 0..4 {
            tell(&cell, Ask::Note(n)).expect("room");
        }
        let (reply, answer) = Reply::channel();
        tell(&cell, Ask::Echo(1, reply)).expect("room");
        settle().await;
        if drain {
            cell.port().drain(StopReason::Shutdown);
        } else {
            cell.port().stop(StopReason::Shutdown);
        }
        assert_eq!(tell(&cell, Ask::Note(99)), Err(Refusal::Stopped));
        hold.add_permits(1);
        until("it is gone", || world.gone().len() == 1).await;
        assert_eq!(world.notes(), if drain { vec![0, 1, 2, 3] } else { vec![] });
        assert_eq!(soon(answer).await.expect("the caller is told").is_ok(), drain);
        assert_eq!(*world.seen.stops.lock(), [StopReason::Shutdown]);
        assert_eq!(cell.port().status().lost, if drain { 0 } else { 5 });
    }
}

#[tokio::test]
async fn a_service_may_stop_itself() {
    let world = World::new();
    let cell = world.spawn();
    tell(&cell, Ask::StopYourself).expect("room");
    tell(&cell, Ask::Note(1)).expect("room");
    until("it is gone", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Stopped { reason: StopReason::Own }]);
    assert_eq!(world.notes(), NOTHING);
}

#[tokio::test]
async fn an_orderly_stop_that_takes_too_long_is_a_kill() {
    let mut world = World::new();
    world.kind.stop_within = Duration::from_millis(20);
    // the stop hook hangs
    *world.seen.stop_gate.lock() = Some(gate());
    let cell = world.spawn();
    settle().await;
    cell.port().stop(StopReason::Shutdown);
    until("it is gone", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Killed]);
    // a handler hangs
    let cell = world.spawn();
    tell(&cell, Ask::Hold(gate())).expect("room");
    settle().await;
    cell.port().drain(StopReason::Shutdown);
    until("it is gone", || world.gone().len() == 2).await;
    assert_eq!(world.gone()[1], Exit::Killed);
}

#[tokio::test]
async fn an_idle_entity_is_passivated_and_nothing_is_lost() {
    let mut world = World::new();
    world.kind.passivate_after = Some(Duration::from_millis(30));
    *world.seen.kept.lock() = vec![1, 2, 3];
    let cell = world.spawn();
    tell(&cell, Ask::Note(1)).expect("room");
    until("it is gone", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Stopped { reason: StopReason::Passivated }]);
    assert_eq!(*world.seen.stops.lock(), [StopReason::Passivated]);
    assert_eq!(*world.overseer.passivated.lock(), [vec![1, 2, 3]]);
    assert_eq!(tell(&cell, Ask::Note(2)), Err(Refusal::Stopped));
    assert_eq!(world.notes(), [1]);
    assert_eq!(world.wheel.pending(), 0);
}

#[tokio::test]
async fn mail_that_comes_during_passivation_begins_another_activation_of_the_same_cell() {
    let mut world = World::new();
    world.kind.passivate_after = Some(Duration::from_millis(20));
    let open = gate();
    *world.seen.stop_gate.lock() = Some(open.clone());
    let cell = world.spawn();
    until("it passivates", || cell.port().status().current == Some("stop")).await;
    let probe = ProbeRef::of(&cell);
    let call = aside(async move { probe.echo(1).await });
    settle().await;
    assert_eq!(world.overseer.started.load(SeqCst), 1, "never two activations at once");
    open.add_permits(1);
    assert_eq!(soon(call).await.expect("no panic"), Ok(2));
    assert_eq!(world.overseer.started.load(SeqCst), 2);
    open.add_permits(1);
    until("it is gone", || world.gone().len() == 1).await;
}

#[tokio::test]
async fn an_entity_with_work_is_not_passivated() {
    let mut world = World::new();
    world.kind.passivate_after = Some(Duration::from_millis(20));
    let cell = world.spawn();
    let probe = ProbeRef::of(&cell);
    let end = world.wheel.due(Duration::from_millis(100));
    while !end.passed(world.wheel.now()) {
        assert_eq!(soon(probe.echo(1)).await, Ok(2));
    }
    // nor while a handler waits
    let hold = gate();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    world.wheel.sleep_until(world.wheel.due(Duration::from_millis(60))).await;
    assert!(world.ended().is_empty());
    hold.add_permits(1);
    until("it is gone", || world.gone().len() == 1).await;
}
