//! The shop of three nodes under load, while each of them in turn is killed, one stands still, and all are restarted in
//! order. The bank's book is a file that outlives them: what it says is held against what shoppers know.

use crate::members::until_listed;
use crate::shoppers::{Attempt, Crowd, End, Fate, Log, Order};
use crate::stage::json;
use crate::trio::{ALL, Trio, whereabouts};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// So long after a node has died, or has begun to stand still, what it had answers again.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// What a call has that has no deadline of its own.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// For so long shoppers are watched when nothing is wrong.
const A_WHILE: Duration = Duration::from_secs(2);
/// For so long a node stands still.
const STILL_FOR: Duration = Duration::from_secs(10);
/// Threads of each node on which handlers run.
const EXECUTORS: usize = 2;

/// The shop whose nodes share a book. The bank takes so long that charges are under way whenever something happens.
fn shop(test: &str) -> Trio {
    let payment = "[services.payment]\nbook = \"book\"\nbank_delay_ms = 10\n";
    Trio::begin(test, &format!("[node]\nexecutors = {EXECUTORS}\n{payment}"))
}

/// A line of the bank's book.
#[derive(Debug)]
struct Charge {
    order: String,
    cents: u64,
    by: String,
}

/// The book, in the order in which it was written.
fn book(trio: &Trio) -> Vec<Charge> {
    let text = std::fs::read_to_string(trio.place.path("book")).expect("there is one");
    let charge = |line: &str| {
        let line = json(line);
        let text = |what: &str| line[what].as_str().expect("text").to_owned();
        Charge { order: text("order"), cents: line["cents"].as_u64().expect("an amount"), by: text("by") }
    };
    // a line that breaks off is of a process that was killed within it
    text.lines().filter(|line| line.ends_with('}')).map(charge).collect()
}

/// The book and the shoppers agree: what is confirmed is charged once and with its amount, what is in doubt at most once,
/// all else not at all. `late` are charges that do not count towards that.
#[track_caller]
fn balances(book: &[Charge], orders: &[Order], late: &[&Charge]) {
    let fates: BTreeMap<_, _> = orders.iter().map(|order| (order.number.as_str(), order.fate)).collect();
    assert_eq!(fates.len(), orders.len(), "an order has a number of its own");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for charge in book {
        let fate = fates.get(charge.order.as_str()).unwrap_or_else(|| panic!("nobody has placed {charge:?}"));
        match fate {
            Fate::Confirmed(cents) => assert_eq!(*cents, charge.cents, "{charge:?}"),
            Fate::NotCharged => panic!("its shopper was told that nothing is charged: {charge:?}"),
            Fate::InDoubt => {}
        }
        if !late.iter().any(|late| std::ptr::eq(*late, charge)) {
            *counts.entry(&charge.order).or_default() += 1;
        }
    }
    let of = |order: &str| book.iter().filter(|charge| charge.order == order).collect::<Vec<_>>();
    for (order, fate) in fates {
        let count = counts.get(order).copied().unwrap_or(0);
        let is_right = match fate {
            Fate::Confirmed(_) => count == 1 || (count == 0 && late.iter().any(|late| late.order == order)),
            Fate::NotCharged | Fate::InDoubt => count <= 1,
        };
        assert!(is_right, "{order} is {fate:?}, and charged {count} times: {:?}", of(order));
    }
}

/// When requests may fail, because something is wrong with a node.
struct Trouble {
    node: usize,
    from: Instant,
    /// What is asked of others later does not fail.
    until: Instant,
    /// What is asked of this node later does not.
    until_there: Instant,
}

impl Trouble {
    /// A node has died. What is asked there later goes on to another one.
    fn death(node: usize, from: Instant) -> Self {
        Self { node, from, until: from + BACK_WITHIN, until_there: from + BACK_WITHIN }
    }

    /// Whether it was in flight or was begun then.
    fn covers(&self, attempt: &Attempt) -> bool {
        let until = if attempt.node == self.node { self.until_there } else { self.until };
        attempt.ended >= self.from && attempt.begun <= until
    }

    /// What has failed meanwhile, and until when, for people.
    fn told(&self, log: &Log) -> String {
        let failed =
            log.attempts.iter().filter(|attempt| attempt.end != End::Answered && self.covers(attempt));
        let mut kinds = BTreeMap::<String, usize>::new();
        let (mut begun, mut ended) = (Duration::ZERO, Duration::ZERO);
        for attempt in failed {
            *kinds.entry(format!("{} {:?}", attempt.what, attempt.end)).or_default() += 1;
            begun = begun.max(attempt.begun.saturating_duration_since(self.from));
            ended = ended.max(attempt.ended.saturating_duration_since(self.from));
        }
        let covered = log.attempts.iter().filter(|attempt| self.covers(attempt));
        let slowest = covered.map(|attempt| attempt.ended - attempt.begun).max().unwrap_or_default();
        format!(
            "{}: {kinds:#?}, begun within {begun:?} and ended within {ended:?}; the slowest of all meanwhile: {slowest:?}",
            ALL[self.node]
        )
    }
}

/// Nothing fails but while there is trouble, and all nodes but the one with the trouble answer meanwhile.
#[track_caller]
fn fails_only_in(troubles: &[Trouble], log: &Log) {
    for trouble in troubles {
        for other in (0..ALL.len()).filter(|other| *other != trouble.node) {
            let is_answer = |attempt: &&Attempt| attempt.node == other && attempt.end == End::Answered;
            let meanwhile =
                log.attempts.iter().filter(|a| a.begun > trouble.from && a.begun < trouble.until_there);
            assert!(meanwhile.filter(is_answer).count() > 0, "{} answers nothing", ALL[other]);
        }
    }
    let failed = log.attempts.iter().filter(|attempt| attempt.end != End::Answered);
    let beside = failed.filter(|attempt| !troubles.iter().any(|trouble| trouble.covers(attempt)));
    let told = |attempt: &Attempt| {
        let since =
            troubles.iter().map(|t| attempt.begun.saturating_duration_since(t.from)).collect::<Vec<_>>();
        format!("{attempt:?}\n  begun {since:?} after troubles, took {:?}", attempt.ended - attempt.begun)
    };
    let told: Vec<_> = beside.map(told).collect();
    assert!(told.is_empty(), "{} failed without need:\n{}", told.len(), told.join("\n"));
}

/// How long answers took, and how orders ended, for people.
fn told(log: &Log) -> String {
    let answered = log.attempts.iter().filter(|attempt| attempt.end == End::Answered);
    let mut took: Vec<_> = answered.map(|attempt| attempt.ended - attempt.begun).collect();
    took.sort();
    let at = |share: usize| took[(took.len() - 1) * share / 1000];
    let confirmed = log.orders.iter().filter(|order| matches!(order.fate, Fate::Confirmed(_))).count();
    let in_doubt = log.orders.iter().filter(|order| order.fate == Fate::InDoubt).count();
    format!(
        "{} answers: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}; {} orders: {confirmed} confirmed, {in_doubt} in doubt",
        took.len(),
        at(500),
        at(990),
        at(999),
        at(1000),
        log.orders.len(),
    )
}

#[test]
fn the_shop_goes_on_without_a_node_that_is_killed_and_its_books_balance() {
    let mut trio = shop("shop-killed");
    let mut crowd = Crowd::enter(&trio.https, &trio.place.path("book"));
    let mut troubles = Vec::new();
    for at in 0..ALL.len() {
        crowd.watch(A_WHILE);
        let trouble = Trouble::death(at, Instant::now());
        trio.node(at).signal("KILL");
        crowd.watch_until(trouble.until + A_WHILE);
        troubles.push(trouble);
        trio.start_again(at);
    }
    crowd.watch(A_WHILE);
    let log = crowd.go_home();
    println!("{}", told(&log));
    troubles.iter().for_each(|trouble| println!("{}", trouble.told(&log)));
    fails_only_in(&troubles, &log);
    balances(&book(&trio), &log.orders, &[]);
}

#[test]
fn the_shop_goes_on_without_a_node_that_stands_still_and_ends_only_what_it_had_begun() {
    let trio = shop("shop-still");
    let at = 1;
    let process = whereabouts(&trio.place, ALL[at], "pid");
    let mut crowd = Crowd::enter(&trio.https, &trio.place.path("book"));
    crowd.watch(A_WHILE);
    let from = Instant::now();
    trio.node(at).signal("STOP");
    crowd.watch(STILL_FOR);
    let gone = [("north", "@1 up"), ("south", "@1 lease-ended"), ("east", "@1 up")];
    until_listed(&trio.place, "north", &gone);
    let before = book(&trio).len();
    trio.node(at).signal("CONT");
    let trouble =
        Trouble { node: at, from, until: from + BACK_WITHIN, until_there: Instant::now() + BACK_WITHIN };
    trio.node(at).until_error("the node was removed from its cluster: it comes back");
    trio.node(at).until_error("the node is up");
    until_listed(&trio.place, "north", &[&gone[..], &[("south", "@2 up")]].concat());
    assert_eq!(whereabouts(&trio.place, ALL[at], "pid"), process, "it is the same process");
    crowd.watch_until(trouble.until_there + A_WHILE);
    let log = crowd.go_home();
    println!("{}\n{}", told(&log), trouble.told(&log));
    fails_only_in(&[trouble], &log);
    let book = book(&trio);
    // it may end the turns that it had begun, of which each executor has one: no other begins without a lease
    let late: Vec<_> = book[before..].iter().filter(|charge| charge.by == "south@1").collect();
    assert!(late.len() <= EXECUTORS, "a node without a lease has charged {late:?}");
    println!("late: {late:?}; by south@2: {}", book.iter().filter(|charge| charge.by == "south@2").count());
    balances(&book, &log.orders, &late);
}

#[test]
fn the_shop_loses_no_request_while_its_nodes_are_restarted_one_after_another() {
    let mut trio = shop("shop-rolling");
    let mut crowd = Crowd::enter(&trio.https, &trio.place.path("book"));
    for at in 0..ALL.len() {
        crowd.watch(A_WHILE);
        trio.stop(at);
        trio.start_again(at);
    }
    crowd.watch(A_WHILE);
    let log = crowd.go_home();
    println!("{}", told(&log));
    let (resets, taken): (Vec<_>, Vec<_>) =
        log.attempts.iter().partition(|attempt| attempt.end == End::Reset);
    println!("{} connections were reset that nobody had taken", resets.len());
    let stray: Vec<_> = log.orders.iter().filter(|order| order.is_stray).collect();
    assert!(stray.is_empty(), "they were taken, and reset: {stray:?}");
    let failed: Vec<_> = taken.iter().filter(|attempt| attempt.end != End::Answered).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let late: Vec<_> = taken.iter().filter(|attempt| attempt.ended - attempt.begun > CALL_WITHIN).collect();
    assert!(late.is_empty(), "{late:#?}");
    balances(&book(&trio), &log.orders, &[]);
}
