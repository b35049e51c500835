//! Activations that the cluster group has placed, and the lease of their node.

use super::*;
use crate::cell::fence::Fence;
use odeon_core::UnknownCause;

const LONG: Duration = Duration::from_secs(3_600);

fn fenced() -> (World, Arc<Fence>) {
    let (mut world, fence) = (World::new(), Arc::<Fence>::default());
    world.kind.fence = Some(fence.clone());
    (world, fence)
}

#[tokio::test]
async fn nothing_of_an_activation_runs_once_the_lease_of_its_node_has_ended() {
    let (world, fence) = fenced();
    fence.open_until(world.wheel.elapsed() + LONG);
    let (cell, handler, task) = (world.spawn(), gate(), gate());
    tell(&cell, Ask::Task(Some(task.clone()))).expect("room");
    tell(&cell, Ask::Hold(handler.clone())).expect("room");
    let probe = ProbeRef::of(&cell);
    let waits = aside(async move { probe.echo(1).await });
    tell(&cell, Ask::Note(1)).expect("room");
    settle().await;
    assert!(cell.is_running() && !cell.is_fenced());
    // nobody tells the cell: it looks itself, whatever it is woken for
    fence.close();
    task.add_permits(1);
    handler.add_permits(1);
    until("it ended", || world.gone().len() == 1).await;
    assert_eq!(world.gone(), [Exit::Stopped { reason: StopReason::Shutdown }], "it has not failed");
    assert!(cell.is_fenced() && cell.is_over());
    assert_eq!(soon(waits).await.expect("no panic"), Err(CallError::NotExecuted(Refusal::Stopped)));
    settle().await;
    assert!(world.notes().is_empty(), "neither what waited nor its task has run");
    assert!(world.seen.stops.lock().is_empty(), "nor have its hooks");
}

#[tokio::test]
async fn a_caller_whose_handler_is_dropped_as_the_lease_has_ended_is_told_that_it_is_unknown() {
    let (world, fence) = fenced();
    fence.open_until(world.wheel.elapsed() + LONG);
    let cell = world.spawn();
    let probe = ProbeRef::of(&cell);
    let hung = aside(async move { Call::once(&probe, Ask::Hang).await });
    settle().await;
    fence.close();
    // whatever it is woken for
    cell.port().rest(Refusal::Restarting);
    assert_eq!(soon(hung).await.expect("no panic"), Err(CallError::Unknown(UnknownCause::Killed)));
}

#[tokio::test]
async fn a_task_that_finds_the_lease_ended_ends_its_activation_though_the_lease_is_given_anew() {
    let (world, fence) = fenced();
    fence.open_until(world.wheel.elapsed() + LONG);
    let (cell, task) = (world.spawn(), gate());
    tell(&cell, Ask::Task(Some(task.clone()))).expect("room");
    settle().await;
    fence.close();
    // the first that is woken: the activation itself has nothing to do
    task.add_permits(1);
    settle().await;
    fence.open_until(world.wheel.elapsed() + LONG);
    until("it ended", || world.gone().len() == 1).await;
    assert!(cell.is_fenced() && cell.is_over() && world.notes().is_empty());
}

#[tokio::test]
async fn an_activation_that_is_busy_stops_when_the_lease_ends() {
    let (world, fence) = fenced();
    fence.open_until(world.wheel.elapsed() + Duration::from_millis(50));
    let cell = world.spawn();
    let sender = aside(async move {
        let mut sent = 0;
        while tell(&cell, Ask::Note(sent)).is_ok() || !cell.is_closed() {
            sent += 1;
            tokio::task::yield_now().await;
        }
    });
    soon(sender).await.expect("no panic");
    until("it ended", || world.gone().len() == 1).await;
    assert!(!world.notes().is_empty(), "it ran before");
}
