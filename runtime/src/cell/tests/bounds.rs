//! What a full mailbox does.

use super::*;

/// A cell that is busy with a message, its mailbox empty.
async fn busy(world: &World) -> (Handle<Ask>, Gate) {
    let (cell, hold) = (world.spawn(), gate());
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    settle().await;
    (cell, hold)
}

fn let_in(cell: &Handle<Ask>, numbers: std::ops::Range<u64>) -> usize {
    numbers.filter(|&n| tell(cell, Ask::Note(n)).is_ok()).count()
}

#[tokio::test]
async fn a_full_mailbox_refuses_and_what_is_being_handled_does_not_count() {
    let world = World::new().bounded(8, 1 << 20, Overflow::Reject);
    let (cell, hold) = busy(&world).await;
    assert_eq!(let_in(&cell, 0..20), 8);
    assert_eq!(tell(&cell, Ask::Note(0)), Err(Refusal::MailboxFull));
    assert_eq!(cell.port().status().waiting, 8);
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), (0..8).collect::<Vec<_>>());
    assert_eq!(let_in(&cell, 0..20), 8);
}

#[tokio::test]
async fn bytes_count_and_one_large_message_fits_an_empty_mailbox() {
    let world = World::new().bounded(100, 1_000, Overflow::Reject);
    let (cell, hold) = busy(&world).await;
    tell(&cell, Ask::Bytes(vec![0; 5_000])).expect("an empty mailbox takes it");
    assert_eq!(tell(&cell, Ask::Bytes(vec![0; 1])), Err(Refusal::MailboxFull));
    hold.add_permits(1);
    settle().await;
    let (cell, _hold) = busy(&world).await;
    assert_eq!((0..20).filter(|_| tell(&cell, Ask::Bytes(vec![0; 100])).is_ok()).count(), 10);
    assert_eq!(cell.port().status().waiting_bytes, 1_000);
}

#[tokio::test]
async fn the_oldest_goes_for_the_newest() {
    let world = World::new().bounded(8, 1 << 20, Overflow::DropOldest);
    let (cell, hold) = busy(&world).await;
    assert_eq!(let_in(&cell, 0..20), 20);
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), (12..20).collect::<Vec<_>>());
    assert_eq!(cell.port().status().lost, 12);
    assert_eq!(world.kind.meter.refused(), [("shed", 12)].into());
}

#[tokio::test]
async fn nothing_more_critical_goes_for_the_newest() {
    let world = World::new().bounded(8, 1 << 20, Overflow::DropOldest);
    let (cell, hold) = busy(&world).await;
    for n in 0..8 {
        tell_as(&cell, class(Criticality::Critical), Ask::Note(n)).expect("room");
    }
    let less = tell_as(&cell, class(Criticality::Sheddable), Ask::Note(50));
    assert_eq!(less, Err(Refusal::MailboxFull));
    tell_as(&cell, class(Criticality::Critical), Ask::Note(8)).expect("its own class makes room");
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), (1..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_tries_again_gets_in_once_something_has_begun_and_is_told_of_a_stop() {
    let world = World::new().bounded(8, 1 << 20, Overflow::Reject);
    let (cell, hold) = busy(&world).await;
    assert_eq!(let_in(&cell, 0..20), 8);
    for _ in 0..3 {
        assert_eq!(tell(&cell, Ask::Note(50)), Err(Refusal::MailboxFull));
    }
    hold.add_permits(1);
    settle().await;
    assert_eq!(let_in(&cell, 8..10), 2);
    let (cell, _hold) = busy(&world).await;
    assert_eq!(let_in(&cell, 0..20), 8);
    assert_eq!(tell(&cell, Ask::Note(50)), Err(Refusal::MailboxFull));
    cell.port().stop(StopReason::Shutdown);
    assert_eq!(tell(&cell, Ask::Note(50)), Err(Refusal::Stopped));
}

#[tokio::test]
async fn the_least_critical_goes_for_the_more_critical_and_is_told() {
    let world = World::new().bounded(8, 1 << 20, Overflow::ShedLowest);
    let (cell, hold) = busy(&world).await;
    let mut answers = Vec::new();
    for n in 0..8 {
        let (reply, answer) = Reply::channel();
        tell_as(&cell, class(Criticality::Sheddable), Ask::Echo(n, reply)).expect("room");
        answers.push(answer);
    }
    let more = tell_as(&cell, class(Criticality::Sheddable), Ask::Note(50));
    assert_eq!(more, Err(Refusal::MailboxFull), "its own class is not shed for it");
    for n in 100..104 {
        tell_as(&cell, class(Criticality::Critical), Ask::Note(n)).expect("others make room");
    }
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), [100, 101, 102, 103]);
    let shed = answers.iter_mut().map(|a| a.try_recv().expect("an answer").is_err()).collect::<Vec<_>>();
    assert_eq!(shed, [false, false, false, false, true, true, true, true], "the youngest go first");
}

#[tokio::test]
async fn what_would_not_fit_anyway_evicts_nothing() {
    let world = World::new().bounded(8, 100, Overflow::DropOldest);
    let (cell, hold) = busy(&world).await;
    assert_eq!(let_in(&cell, 0..3), 3);
    // fits only a mailbox that is empty, and then it is
    tell(&cell, Ask::Bytes(vec![0; 500])).expect("it takes everything");
    let world2 = World::new().bounded(8, 100, Overflow::ShedLowest);
    let (cell2, hold2) = busy(&world2).await;
    assert_eq!(let_in(&cell2, 0..3), 3);
    tell_as(&cell2, class(Criticality::Sheddable), Ask::Note(3)).expect("room");
    assert_eq!(tell(&cell2, Ask::Bytes(vec![0; 500])), Err(Refusal::MailboxFull));
    hold.add_permits(1);
    hold2.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), NOTHING);
    assert_eq!(world2.notes(), [0, 1, 2, 3], "nothing was lost for a message that was refused");
}

#[tokio::test]
async fn senders_that_wait_get_through_in_their_order() {
    let world = World::new().bounded(8, 1 << 20, Overflow::Wait);
    let (cell, hold) = busy(&world).await;
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let cell = cell.clone();
            aside(async move {
                for i in 0..50 {
                    let message = Ask::Note(sender * 1_000 + i);
                    let envelope = Envelope { header: Header::default(), origin: None, message };
                    assert!(cell.push_waiting(envelope).await.is_ok());
                }
            })
        })
        .collect();
    settle().await;
    assert_eq!(tell(&cell, Ask::Note(0)), Err(Refusal::MailboxFull), "nobody overtakes those who wait");
    // one more waits and leaves
    let leaves = cell.clone();
    let leaver = aside(async move {
        let envelope = Envelope { header: Header::default(), origin: None, message: Ask::Note(7_777) };
        drop(leaves.push_waiting(envelope).await);
    });
    settle().await;
    leaver.abort();
    hold.add_permits(1);
    for sender in senders {
        soon(sender).await.expect("no panic");
    }
    settle().await;
    let notes = world.notes();
    assert_eq!(notes.len(), 200);
    for sender in 0..4 {
        assert!(notes.iter().filter(|n| *n / 1_000 == sender).is_sorted());
    }
    assert_eq!(cell.port().status().waiting, 0, "no room has leaked");
}

#[tokio::test]
async fn waiting_for_room_ends_at_the_deadline_or_with_the_cell() {
    let world = World::new().bounded(1, 1 << 20, Overflow::Wait);
    let (cell, hold) = busy(&world).await;
    tell(&cell, Ask::Note(1)).expect("room for one");
    let due = world.wheel.due(Duration::from_millis(20));
    let late = Envelope { header: Header::default().with_due(due), origin: None, message: Ask::Note(2) };
    let late = soon(cell.push_waiting(late)).await.map_err(|(why, _)| why);
    assert_eq!(late, Err(Refusal::Expired));
    let patient = cell.clone();
    let patient = aside(async move {
        let envelope = Envelope { header: Header::default(), origin: None, message: Ask::Note(3) };
        patient.push_waiting(envelope).await.map_err(|(why, _)| why)
    });
    settle().await;
    cell.port().stop(StopReason::Shutdown);
    assert_eq!(soon(patient).await.expect("no panic"), Err(Refusal::Stopped));
    hold.add_permits(1);
    until("it is gone", || world.gone().len() == 1).await;
    assert_eq!(world.notes(), NOTHING);
    assert_eq!(world.wheel.pending(), 0);
}
