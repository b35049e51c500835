//! What mailboxes do with messages.

use super::{Lab, Told, eventually, hold, node, probe, probes};
use futures_util::future::join_all;
use odeon::ServiceOptions;
use odeon::cell::Bounds;
use odeon::core::outcome::Overflow;
use odeon::directory::ServiceKind;
use odeon::prelude::*;

fn bounded(count_max: u32, overflow: Overflow) -> ServiceOptions {
    let mailbox = Bounds { count_max, bytes_max: 1 << 20, overflow };
    ServiceOptions { mailbox, ..ServiceOptions::of(ServiceKind::Entity) }
}

/// A probe that is busy until the gate opens.
async fn busy(lab: &Lab, options: ServiceOptions) -> (odeon::Node, super::ProbeRef) {
    let node = node(App::new().entity_with("probe", options, Told::make(lab))).await;
    let a = probe(&node, "a");
    hold(lab, &a, "first").await;
    (node, a)
}

#[tokio::test]
async fn messages_of_one_class_keep_their_order() {
    let lab = Lab::default();
    let node = probes(&lab).await;
    let a = probe(&node, "a");
    for n in 0..500 {
        a.note(n.to_string()).send().expect("room");
    }
    eventually("all are handled", || lab.said().len() == 501).await;
    let expected: Vec<_> = std::iter::once("made".into()).chain((0..500).map(|n| n.to_string())).collect();
    assert_eq!(lab.said(), expected);
}

#[tokio::test]
async fn the_more_critical_goes_first() {
    let lab = Lab::default();
    let (_node, a) = busy(&lab, bounded(1000, Overflow::Reject)).await;
    for class in [Criticality::Sheddable, Criticality::Normal, Criticality::High, Criticality::Critical] {
        a.note(class.to_string()).criticality(class).send().expect("room");
    }
    lab.open_gate(1);
    lab.until_said("sheddable").await;
    assert_eq!(lab.said()[2..], ["first ends", "critical", "high", "normal", "sheddable"]);
}

#[tokio::test]
async fn the_least_critical_is_not_starved() {
    let lab = Lab::default();
    let (_node, a) = busy(&lab, bounded(10_000, Overflow::Reject)).await;
    a.note("least".into()).criticality(Criticality::Sheddable).send().expect("room");
    for _ in 0..2000 {
        a.note("critical".into()).criticality(Criticality::Critical).send().expect("room");
    }
    lab.open_gate(1);
    eventually("all are handled", || lab.times("critical") == 2000).await;
    let place = lab.said().iter().position(|s| s == "least").expect("it was handled");
    assert!(place < 500, "the least critical came at place {place}");
}

#[tokio::test]
async fn a_mailbox_keeps_its_bound() {
    let lab = Lab::default();
    let (_node, a) = busy(&lab, bounded(10, Overflow::Reject)).await;
    let accepted = (0..100).filter(|_| a.note("x".into()).send().is_ok()).count();
    assert!((1..=10).contains(&accepted), "{accepted}");
    assert_eq!(a.note("x".into()).send(), Err(Refusal::MailboxFull));
    lab.open_gate(1);
    eventually("what was accepted is handled", || lab.times("x") == accepted).await;
    // bytes count as well, what is behind a string included
    let options = ServiceOptions {
        mailbox: Bounds { count_max: 1000, bytes_max: 10_000, overflow: Overflow::Reject },
        ..ServiceOptions::of(ServiceKind::Entity)
    };
    let lab = Lab::default();
    let (_node, a) = busy(&lab, options).await;
    let big = "x".repeat(4_000);
    let accepted = (0..100).filter(|_| a.note(big.clone()).send().is_ok()).count();
    assert!((1..=2).contains(&accepted), "{accepted}");
}

/// An author's own type, most of which lies on the heap.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, Weigh)]
struct Parcel {
    labels: Vec<String>,
}

#[odeon::contract(name = "depot", version = "1.0")]
trait Depot {
    /// Keeps it until the gate opens.
    #[cast]
    async fn keep(&mut self, cx: &Cx, parcel: Parcel);
}

struct Shelf(Lab);

#[odeon::service]
impl Depot for Shelf {
    async fn keep(&mut self, _: &Cx, parcel: Parcel) {
        self.0.say(format!("keeps {}", parcel.labels.len()));
        self.0.wait_at_gate().await;
    }
}

#[tokio::test]
async fn the_bound_in_bytes_sees_inside_the_authors_own_types() {
    let lab = Lab::default();
    let options = ServiceOptions {
        mailbox: Bounds { count_max: 1000, bytes_max: 10_000, overflow: Overflow::Reject },
        ..ServiceOptions::of(ServiceKind::Singleton)
    };
    let make = {
        let lab = lab.clone();
        move || Shelf(lab.clone())
    };
    let node = node(App::new().singleton_with("depot", options, make)).await;
    let depot: DepotRef = node.service("depot").expect("a depot");
    let send = |bytes: usize| depot.keep(Parcel { labels: vec!["x".repeat(bytes)] }).send();
    send(0).expect("room");
    lab.until_said("keeps 1").await;
    let accepted = (0..100).map_while(|_| send(4_000).ok()).count();
    assert_eq!(accepted, 2, "twice 4,000 bytes behind a vector in a struct, and no third time");
    assert_eq!(send(4_000), Err(Refusal::MailboxFull));
    send(0).expect("room for a small one");
}

#[tokio::test]
async fn a_full_mailbox_does_what_it_was_told() {
    let lab = Lab::default();
    let (_node, a) = busy(&lab, bounded(8, Overflow::Wait)).await;
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { join_all((0..50).map(|n| a.note(n.to_string()).into_future())).await }
    });
    lab.open_gate(1);
    assert!(waiting.await.expect("no panic").iter().all(Result::is_ok));
    lab.until_said("49").await;

    let lab = Lab::default();
    let (_node, a) = busy(&lab, bounded(8, Overflow::DropOldest)).await;
    let calls = join_all((0..20).map(|n| a.say(n.to_string()).within(Duration::from_secs(30)).into_future()));
    // polled after the calls, so all of them have been sent when the gate opens
    let opener = async { lab.open_gate(1) };
    let (outcomes, ()) = tokio::join!(calls, opener);
    let shed = outcomes.iter().filter(|o| **o == Err(CallError::NotExecuted(Refusal::Shed))).count();
    let answered = outcomes.iter().filter(|o| o.is_ok()).count();
    assert!(shed >= 12 && answered >= 1 && shed + answered == 20, "{outcomes:?}");
    assert!(outcomes[19].is_ok(), "the newest stays");

    let lab = Lab::default();
    let (_node, a) = busy(&lab, bounded(8, Overflow::ShedLowest)).await;
    for _ in 0..8 {
        let _ = a.note("least".into()).criticality(Criticality::Sheddable).send();
    }
    a.note("critical".into()).criticality(Criticality::Critical).send().expect("room is made");
    lab.open_gate(1);
    lab.until_said("critical").await;
    assert!(lab.times("least") < 8);
}

#[tokio::test]
async fn what_has_expired_is_not_handled() {
    let lab = Lab::default();
    let (node, a) = busy(&lab, bounded(100, Overflow::Reject)).await;
    a.note("stale".into()).within(Duration::from_millis(10)).send().expect("room");
    let due = tokio::time::Instant::now() + Duration::from_millis(15);
    eventually("its time is up", || tokio::time::Instant::now() > due).await;
    lab.open_gate(1);
    assert_eq!(a.say("after".into()).await, Ok(1));
    assert_eq!(lab.times("stale"), 0);
    let meter = node.services()[0].meter.clone();
    eventually("it is in the books", || meter.expired() == 1).await;
}

/// Works without coming to an await.
struct Sluggish {
    lab: Lab,
}

#[odeon::contract(name = "sluggish", version = "1.0")]
trait Slow {
    #[cast]
    async fn work(&mut self, cx: &Cx, time: Duration);
    #[cast]
    async fn note(&mut self, cx: &Cx, text: String);
    async fn end(&mut self, cx: &Cx);
}

#[odeon::service]
impl Slow for Sluggish {
    async fn work(&mut self, cx: &Cx, time: Duration) {
        let begun = cx.now();
        while cx.now().since(begun) < time {
            std::hint::spin_loop();
        }
    }
    async fn note(&mut self, _: &Cx, text: String) {
        self.lab.say(text);
    }
    async fn end(&mut self, _: &Cx) {}
}

#[tokio::test]
async fn what_expires_behind_a_slow_handler_is_not_handled() {
    // behind the first, and behind one after which a look at the clock is due only much later
    for quick in [0, 40] {
        let lab = Lab::default();
        let make = lab.clone();
        let app = App::new().singleton("slow", move || Sluggish { lab: make.clone() });
        let node = node(app).await;
        let slow: SlowRef = node.service("slow").expect("it is registered");
        for _ in 0..quick {
            slow.note("quick".into()).send().expect("room");
        }
        for _ in 0..2 {
            slow.work(Duration::from_millis(30)).send().expect("room");
        }
        for n in 0..40 {
            slow.note(n.to_string()).within(Duration::from_millis(10)).send().expect("room");
        }
        slow.end().await.expect("it ends");
        let stale = lab.said().iter().filter(|said| *said != "quick").count();
        // how late the clock may be looked at after so many that were quick
        let most = if quick == 0 { 0 } else { 32 };
        assert!(stale <= most, "{stale} were handled after their time, behind {quick} quick ones");
    }
}

#[tokio::test]
async fn exclusive_handlers_run_alone() {
    let lab = Lab::default();
    let options = ServiceOptions { concurrency: 2, ..ServiceOptions::of(ServiceKind::Entity) };
    let node = node(App::new().entity_with("probe", options, Told::make(&lab))).await;
    let a = probe(&node, "a");
    let calls: Vec<_> = ["s1", "s2", "s3"]
        .into_iter()
        .map(|name| {
            let a = a.clone();
            tokio::spawn(async move { a.hold_shared(name.into()).await })
        })
        .collect();
    lab.until_said("s2 begins").await;
    let exclusive = tokio::spawn({
        let a = a.clone();
        async move { a.say("alone".into()).await }
    });
    assert_eq!(lab.times("s3 begins"), 0, "two at the most");
    lab.open_gate(1);
    lab.until_said("s3 begins").await;
    assert_eq!(lab.times("alone"), 0, "not beside the shared ones");
    lab.open_gate(2);
    assert_eq!(exclusive.await.expect("no panic"), Ok(1));
    for call in calls {
        call.await.expect("no panic").expect("it ends");
    }
    assert_eq!(lab.said().last().map(String::as_str), Some("alone"));
}

#[tokio::test]
async fn only_reads_are_sent_again() {
    let lab = Lab::default();
    let (node, a) = busy(&lab, bounded(1, Overflow::DropOldest)).await;
    let meter = node.services()[0].meter.clone();
    // each pushes out the one before it; the read comes back and pushes out the last
    let (write, read, ()) = tokio::join!(
        async { a.say("w".into()).within(Duration::from_secs(30)).await },
        async { a.uses().within(Duration::from_secs(30)).await },
        async {
            a.note("pushes out the read".into()).send().expect("room is made");
            eventually("three were pushed out", || meter.lost() == 3).await;
            lab.open_gate(1);
        }
    );
    assert_eq!(write, Err(CallError::NotExecuted(Refusal::Shed)));
    assert_eq!(read, Ok(0));
    assert_eq!(lab.times("w"), 0);
}

#[tokio::test]
async fn the_books_balance() {
    let lab = Lab::default();
    let (node, a) = busy(&lab, bounded(10, Overflow::Reject)).await;
    let mut accepted = 1;
    for _ in 0..50 {
        accepted += u64::from(a.note("x".into()).send().is_ok());
    }
    a.note("never".into()).within(Duration::ZERO).send().expect_err("full");
    lab.open_gate(1);
    let meter = node.services()[0].meter.clone();
    eventually("the books balance", || meter.handled() + meter.expired() == accepted).await;
    assert!(meter.refused().get("mailbox-full").is_some_and(|n| *n >= 40), "{:?}", meter.refused());
}

#[tokio::test]
async fn the_books_balance_whatever_becomes_of_messages() {
    let lab = Lab::default();
    let (node, a) = busy(&lab, bounded(4, Overflow::DropOldest)).await;
    let meter = node.services()[0].meter.clone();
    let mut accepted = 1;
    let mut note = |text: &str| accepted += u64::from(a.note(text.into()).send().is_ok());
    for _ in 0..20 {
        note("most of these are shed");
    }
    let shed = meter.lost();
    assert!(shed >= 10, "{shed}");
    lab.open_gate(1);
    eventually("all but those are handled", || meter.handled() + meter.lost() == 21).await;
    assert_eq!(a.panic().await, Err(CallError::Unknown(UnknownCause::Panicked)));
    let stuck = hold(&lab, &a, "stuck").await;
    for _ in 0..3 {
        note("left behind");
    }
    accepted += 2;
    assert_eq!(node.stop(Duration::from_millis(50)).await, 1, "it had to be killed");
    stuck.await.expect("no panic").expect_err("it was killed");
    let settled = || meter.handled() + meter.cut_short() + meter.expired() + meter.lost();
    eventually("the books balance", || settled() == accepted).await;
    assert_eq!((meter.cut_short(), meter.lost()), (2, shed + 3));
}
