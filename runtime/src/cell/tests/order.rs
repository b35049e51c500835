//! In which order messages are handled.

use super::*;
use std::task::Poll;

#[tokio::test]
async fn classes_go_in_order_and_each_is_first_in_first_out() {
    let world = World::new();
    let cell = world.spawn();
    let hold = gate();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    settle().await;
    for i in 0..3 {
        for class_of in Criticality::ALL.into_iter().rev() {
            tell_as(&cell, class(class_of), Ask::Note(class_of.level() as u64 * 100 + i)).expect("room");
        }
    }
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), [0, 1, 2, 100, 101, 102, 200, 201, 202, 300, 301, 302]);
}

#[tokio::test]
async fn the_least_critical_is_served_now_and_then() {
    let world = World::new().bounded(100_000, 1 << 30, Overflow::Reject);
    let cell = world.spawn();
    let hold = gate();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    settle().await;
    tell_as(&cell, class(Criticality::Sheddable), Ask::Note(9_999)).expect("room");
    for i in 0..2_000 {
        tell_as(&cell, class(Criticality::Critical), Ask::Note(i)).expect("room");
    }
    hold.add_permits(1);
    until("all were handled", || world.seen.notes.lock().len() == 2_001).await;
    let place = world.notes().iter().position(|&n| n == 9_999).expect("it was handled");
    assert!(place <= 320, "it came at {place}");
}

#[tokio::test]
async fn a_critical_message_overtakes_the_batch_in_hand() {
    let world = World::new();
    let cell = world.spawn();
    let hold = gate();
    tell(&cell, Ask::Hold(hold.clone())).expect("room");
    for i in 1..50 {
        tell(&cell, Ask::Note(i)).expect("room");
    }
    settle().await;
    tell_as(&cell, class(Criticality::Critical), Ask::Note(0)).expect("room");
    hold.add_permits(1);
    settle().await;
    assert_eq!(world.notes(), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cell_that_has_written_a_packets_worth_soon_lets_others_run() {
    let world = World::new();
    let cell = world.spawn();
    settle().await;
    for i in 0..200 {
        tell(&cell, if i == 10 { Ask::Packet } else { Ask::Note(i) }).expect("room");
    }
    let seen = world.seen.clone();
    // behind the cell, which was woken first
    let in_between = soon(aside(async move { seen.notes.lock().len() })).await.expect("no panic");
    assert!((10..=32).contains(&in_between), "{in_between} of 200 messages in a turn");
}

#[tokio::test]
async fn a_cell_lets_others_run_between_its_messages() {
    let world = World::new().bounded(100_000, 1 << 30, Overflow::Reject);
    let cell = world.spawn();
    for i in 0..1_000 {
        tell(&cell, Ask::Note(i)).expect("room");
    }
    let turns = Arc::new(AtomicU32::new(0));
    let counter = turns.clone();
    let other = aside(async move {
        loop {
            counter.fetch_add(1, SeqCst);
            // to the end of the queue; tokio's own yield waits for the next look at I/O
            let mut first = true;
            std::future::poll_fn(|task| {
                task.waker().wake_by_ref();
                if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        }
    });
    until("all were handled", || world.seen.notes.lock().len() == 1_000).await;
    other.abort();
    let turns = turns.load(SeqCst);
    assert!(turns >= 5, "{turns} turns for 1,000 messages");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "senders on other threads are what is tested")]
fn nothing_is_lost_between_threads_and_each_sender_stays_in_order() {
    for overflow in [Overflow::Wait, Overflow::Reject] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let world = runtime.block_on(async { World::new() }).bounded(64, 1 << 20, overflow);
        let cell = runtime.block_on(async { world.spawn() });
        let senders: Vec<_> = (0..4_u64)
            .map(|sender| {
                let cell = cell.clone();
                std::thread::spawn(move || send_many(&cell, sender))
            })
            .collect();
        let sent = std::thread::spawn(|| senders.into_iter().map(|s| s.join().expect("no panic")).sum());
        runtime.block_on(until("all senders ended", || sent.is_finished()));
        let sent: usize = sent.join().expect("no panic");
        runtime.block_on(until("all was handled", || world.seen.notes.lock().len() == sent));
        let notes = world.notes();
        for sender in 0..4 {
            assert!(notes.iter().filter(|n| *n / 1_000_000 == sender).is_sorted(), "sender {sender}");
        }
        let status = cell.port().status();
        assert_eq!((status.waiting, status.waiting_bytes, status.lost), (0, 0, 0));
        assert_eq!(status.begun, sent as u64);
    }
}

fn send_many(cell: &Handle<Ask>, sender: u64) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let header = class(Criticality::from_level(sender as usize));
    (0..5_000)
        .filter(|i| {
            let message = Ask::Note(sender * 1_000_000 + i);
            runtime.block_on(cell.push_waiting(Envelope { header, origin: None, message })).is_ok()
        })
        .count()
}
