//! Panics, kills, handlers that never end.

use super::*;
use odeon_core::UnknownCause;

fn unknown<T>(cause: UnknownCause) -> Result<T, CallError> {
    Err(CallError::Unknown(cause))
}

#[tokio::test]
async fn a_panic_costs_one_message_and_says_which() {
    let world = World::new();
    let cell = world.spawn();
    let probe = ProbeRef::of(&cell);
    for n in 0..3 {
        tell(&cell, Ask::Note(n)).expect("room");
    }
    let (reply, answer) = Reply::channel();
    tell(&cell, Ask::Boom(reply)).expect("room");
    for n in 3..6 {
        tell(&cell, Ask::Note(n)).expect("room");
    }
    assert_eq!(soon(probe.echo(1)).await, Ok(2));
    assert_eq!(world.notes(), [0, 1, 2, 3, 4, 5]);
    let lost = soon(answer).await.expect("the caller is told").expect_err("no answer");
    assert_eq!(lost, crate::service::reply::Lost::Unknown(UnknownCause::Panicked));
    assert_eq!(world.ended(), [Exit::Panicked { text: "boom".into(), method: "boom".into() }]);
    assert_eq!(world.seen.dropped.load(SeqCst), 1, "the state of the old activation is gone");
    assert_eq!(world.overseer.started.load(SeqCst), 2);
    let meter = &world.kind.meter;
    assert_eq!((meter.panics(), meter.restarts(), meter.activations()), (1, 1, 2));
}

#[tokio::test]
async fn a_panic_takes_the_handlers_beside_it_along() {
    let world = World::new().concurrent(8);
    let cell = world.spawn();
    let probe = ProbeRef::of(&cell);
    let (calm, bang) = (gate(), gate());
    let beside: Vec<_> = (0..3)
        .map(|n| {
            let (probe, calm) = (probe.clone(), calm.clone());
            aside(async move { Call::once(&probe, |reply| Ask::Look(n, calm, reply)).await })
        })
        .collect();
    settle().await;
    tell(&cell, Ask::LookBoom(bang.clone())).expect("room");
    settle().await;
    bang.add_permits(1);
    for call in beside {
        assert_eq!(soon(call).await.expect("no panic here"), unknown(UnknownCause::Killed));
    }
    assert_eq!(world.ended(), [Exit::Panicked { text: "bang".into(), method: "look_boom".into() }]);
    assert_eq!(soon(probe.echo(1)).await, Ok(2), "the next activation serves");
}

#[tokio::test]
async fn a_kill_drops_the_handler_at_its_await_and_refuses_the_rest() {
    let world = World::new();
    world.overseer.restarts.store(false, SeqCst);
    let cell = world.spawn();
    let probe = ProbeRef::of(&cell);
    let hanging = {
        let probe = probe.clone();
        aside(async move { Call::once(&probe, Ask::Hang).await })
    };
    settle().await;
    let waiting = {
        let probe = probe.clone();
        aside(async move { probe.echo(1).await })
    };
    settle().await;
    cell.port().kill();
    assert_eq!(soon(hanging).await.expect("no panic"), unknown(UnknownCause::Killed));
    assert_eq!(soon(waiting).await.expect("no panic"), Err(CallError::NotExecuted(Refusal::Stopped)));
    assert_eq!(world.gone(), [Exit::Killed]);
    assert_eq!(world.seen.dropped.load(SeqCst), 1);
    assert_eq!(tell(&cell, Ask::Note(1)), Err(Refusal::Stopped));
    assert_eq!(cell.port().status().phase, Phase::Ended);
    assert!(world.seen.stops.lock().is_empty(), "no stop hook");
}

#[tokio::test]
async fn a_killed_cell_that_returns_keeps_its_mail() {
    let world = World::new();
    let cell = world.spawn();
    let hold = gate();
    tell(&cell, Ask::Hold(hold)).expect("room");
    tell(&cell, Ask::Note(1)).expect("room");
    settle().await;
    cell.port().kill();
    assert_eq!(soon(ProbeRef::of(&cell).echo(1)).await, Ok(2));
    assert_eq!(world.notes(), [1]);
    assert_eq!(world.ended(), [Exit::Killed]);
}

#[tokio::test]
async fn mail_waits_for_the_verdict() {
    let world = World::new();
    world.overseer.restarts.store(false, SeqCst);
    world.overseer.waits.store(true, SeqCst);
    for give_up in [false, true] {
        let cell = world.spawn();
        let (reply, _answer) = Reply::channel();
        tell(&cell, Ask::Boom(reply)).expect("room");
        settle().await;
        assert_eq!(cell.port().status().phase, Phase::Waiting);
        let probe = ProbeRef::of(&cell);
        let call = aside(async move { probe.echo(1).await });
        settle().await;
        assert_eq!(cell.port().status().waiting, 1);
        if give_up {
            cell.port().give_up();
            let refused = Err(CallError::NotExecuted(Refusal::Stopped));
            assert_eq!(soon(call).await.expect("no panic"), refused);
        } else {
            cell.port().restart();
            assert_eq!(soon(call).await.expect("no panic"), Ok(2));
        }
    }
}

#[tokio::test]
async fn a_handler_that_runs_past_deadline_and_grace_ends_its_activation() {
    for concurrency in [1, 8] {
        let mut world = World::new().concurrent(concurrency);
        world.kind.grace = Duration::from_millis(30);
        let cell = world.spawn();
        let probe = ProbeRef::of(&cell);
        let time = Duration::from_millis(20);
        let call = soon(Call::once(&probe, Ask::Hang).within(time)).await;
        assert_eq!(call, unknown(UnknownCause::TimedOut));
        assert!(world.ended().is_empty(), "not before the grace is over");
        until("it was ended", || world.ended().len() == 1).await;
        assert_eq!(world.ended(), [Exit::Overran { method: "hang".into() }]);
        assert_eq!(soon(probe.echo(1)).await, Ok(2));
    }
}

#[tokio::test]
async fn a_handler_beside_others_that_overruns_is_named_and_the_others_are_told() {
    let mut world = World::new().concurrent(8);
    world.kind.grace = Duration::from_millis(10);
    let cell = world.spawn();
    let probe = ProbeRef::of(&cell);
    let never = gate();
    let patient = {
        let (probe, never) = (probe.clone(), never.clone());
        aside(async move { Call::once(&probe, |reply| Ask::Look(1, never, reply)).await })
    };
    settle().await;
    let due = world.wheel.due(Duration::from_millis(10));
    tell_as(&cell, Header::default().with_due(due), Ask::LookBoom(never)).expect("room");
    assert_eq!(soon(patient).await.expect("no panic"), unknown(UnknownCause::Killed));
    assert_eq!(world.ended(), [Exit::Overran { method: "look_boom".into() }]);
}

#[tokio::test]
async fn a_task_that_panics_ends_the_activation_and_tasks_die_with_it() {
    let world = World::new();
    let cell = world.spawn();
    let late = gate();
    tell(&cell, Ask::Task(Some(late.clone()))).expect("room");
    tell(&cell, Ask::Task(None)).expect("room");
    until("it ended", || world.ended().len() == 1).await;
    assert_eq!(world.ended(), [Exit::Panicked { text: "a task of it".into(), method: "a task".into() }]);
    late.add_permits(1);
    assert_eq!(soon(ProbeRef::of(&cell).echo(1)).await, Ok(2));
    settle().await;
    assert_eq!(world.notes(), NOTHING, "the other task did not survive");
}

#[tokio::test]
async fn a_failure_from_outside_comes_before_the_next_message() {
    let world = World::new();
    let cell = world.spawn();
    let hold = gate();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    tell(&cell, Ask::Note(1)).expect("room");
    settle().await;
    let exit = Exit::Linked { to: ActivationId(9), why: "killed".into() };
    cell.port().fail(exit.clone());
    settle().await;
    assert!(world.ended().is_empty(), "the handler runs to its end");
    hold.add_permits(1);
    until("it ended", || world.ended().len() == 1).await;
    assert_eq!(world.ended(), [exit]);
    until("the next activation handled it", || world.notes() == [1]).await;
}
