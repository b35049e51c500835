//! The programs of the scenario: a node that counts what is paid in and keeps notes, a program that pays in and writes
//! for ever, and what they write down.

use crate::Machine;
use crate::reach::reached;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass, Tasks};
use odeon::core::{NodeName, Random};
use odeon::prelude::*;
use odeon::remote::{LinkStatus, Transport};
use odeon::{Client, ClientConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::time::sleep;

const PORT: u16 = 7_000;
/// How often a node looks whether there is a link to the other one, and the program for a node that lets it in.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the program shows its link.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// Between two payments.
const PAY_EVERY: Duration = Duration::from_millis(50);
/// While nothing is wrong a call is answered within this time, also on a poor link.
const CALM_WITHIN: Duration = Duration::from_secs(5);
/// Those who pay at the same time.
const PAYERS: u64 = 3;
/// Notebooks of each node.
const BOOKS: u64 = 2;
const CLIENT: &str = "reports";

/// What a node starts with.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) pass: Pass,
    pub(super) all: [&'static str; 2],
}

/// What the program outside starts with.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) pass: Pass,
    /// The only one that it is told of.
    pub(super) node: &'static str,
    pub(super) services: [&'static str; 2],
    pub(super) seed: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    NotExecuted,
    Unknown,
}

/// What is written into one notebook by one run of the program.
type Pen = (u64, &'static str, u64);

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    addresses: BTreeMap<String, SocketAddr>,
    last: u64,
    /// How often each payment has run.
    ran: BTreeMap<u64, u32>,
    ends: BTreeMap<u64, End>,
    /// The number of the last note that was accepted, and of the last one that was kept.
    written: BTreeMap<Pen, u64>,
    kept: BTreeMap<Pen, u64>,
    /// Whose tills have answered since this was last wiped.
    pub(super) answered: BTreeSet<&'static str>,
    /// No more than even a poor link carries.
    pub(super) is_calm: bool,
    /// Nothing has been wrong for a while: every payment succeeds.
    pub(super) is_safe: bool,
    /// No further payments.
    pub(super) is_over: bool,
    /// The link of the program as it was seen last.
    pub(super) link: Option<LinkStatus>,
    broken: Vec<String>,
}

impl Board {
    /// Outcomes that are not what has happened.
    pub(super) fn untrue(&mut self) -> Vec<String> {
        let mut untrue = std::mem::take(&mut self.broken);
        for (payment, end) in &self.ends {
            let ran = self.ran.get(payment).copied().unwrap_or(0);
            match (end, ran) {
                (End::Answered, 1) | (End::NotExecuted, 0) | (End::Unknown, 0 | 1) => {}
                _ => untrue.push(format!("payment {payment} ended as {end:?}, and has run {ran} times")),
            }
        }
        untrue
    }

    /// A note is kept: in order, none twice, and none that nobody has written.
    fn keeps(&mut self, pen: Pen, number: u64) {
        let written = self.written.get(&pen).copied().unwrap_or(0);
        let last = self.kept.insert(pen, number).unwrap_or(0);
        if number <= last || number > written {
            self.broken
                .push(format!("note {number} of {pen:?} was kept after {last}, and {written} were written"));
        }
    }

    /// The program shows its link.
    fn shows(&mut self, link: LinkStatus) {
        let refused: u64 = link.refused.values().sum();
        let lost: u64 = link.lost.values().sum();
        if link.sent != link.handled + link.expired + refused + lost + link.open {
            self.broken.push(format!("the books of the program do not balance: {link:?}"));
        }
        self.link = Some(link);
    }
}

/// Takes payments.
#[odeon::contract(name = "till", version = "1.0")]
pub(super) trait Till {
    /// Gives the receipt back as it came.
    async fn pay(&self, cx: &Cx, payment: u64, receipt: String) -> String;
}

/// Keeps notes.
#[odeon::contract(name = "notebook", version = "1.0")]
pub(super) trait Notebook {
    #[cast]
    async fn note(&mut self, cx: &Cx, run: u64, number: u64, text: String);
}

#[derive(Clone)]
struct Drawer(Books<Board>);

#[odeon::service]
impl Till for Drawer {
    async fn pay(&self, cx: &Cx, payment: u64, receipt: String) -> String {
        let principal = cx.caller().principal;
        self.0.open(|b| {
            *b.ran.entry(payment).or_default() += 1;
            if principal.as_deref() != Some(CLIENT) {
                b.broken.push(format!("payment {payment} comes from {principal:?}"));
            }
        });
        receipt
    }
}

struct Pages {
    node: &'static str,
    board: Books<Board>,
}

#[odeon::service]
impl Notebook for Pages {
    async fn note(&mut self, cx: &Cx, run: u64, number: u64, _: String) {
        let key = cx.key().parse().expect("keys are numbers");
        self.board.open(|b| b.keeps((run, self.node, key), number));
    }
}

fn till(node: &str) -> String {
    format!("till-{node}")
}

fn notebook(node: &str) -> String {
    format!("notebook-{node}")
}

/// The program of a node.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let node = start.all.into_iter().find(|node| *node == name.as_str()).expect("it is one of them");
    let (drawer, pages) = (Drawer(board.clone()), board.clone());
    let app = App::new()
        .service(&till(node), move || drawer.clone())
        .entity(&notebook(node), move || Pages { node, board: pages.clone() });
    let (_node, links) = linked::start(&machine, &start.pass, PORT, app).await;
    board.open(|b| b.addresses.insert(name.to_string(), links.local_address()));
    loop {
        for other in start.all.iter().filter(|other| **other != name.as_str()) {
            let is_linked =
                links.status().iter().any(|link| link.connected && link.node.name.as_str() == *other);
            if !is_linked
                && let Some(address) = board.open(|b| b.addresses.get(*other).copied())
                && let Err(error) = links.connect(address).await
            {
                tracing::debug!(%error, "the other node is not reached");
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The program outside: pays in at all tills, and writes into all notebooks, for ever.
pub(super) async fn call(machine: Machine, caller: Caller, board: Books<Board>) {
    let client = loop {
        let address = board.open(|b| b.addresses.get(caller.node).copied());
        let config = address.map(|address| ClientConfig {
            addresses: vec![address],
            trust: caller.pass.trust(),
            transport: Transport::default(),
        });
        if let Some(config) = config {
            match Client::connect(config).await {
                Ok(client) => break client,
                Err(error) => tracing::debug!(%error, "no node lets it in"),
            }
        }
        sleep(LOOK_EVERY).await;
    };
    let mut tasks = Tasks::on(&machine);
    let mut random = Random::seeded(caller.seed ^ machine.incarnation);
    for node in caller.services {
        for _ in 0..PAYERS {
            let reference = client.service::<TillRef>(&till(node)).expect("a name");
            let random = random.fork();
            tasks.spawn(pay_for_ever(reference, node, random, board.clone()));
        }
        for key in 0..BOOKS {
            let reference = client.entity::<NotebookRef>(&notebook(node), &key.to_string()).expect("names");
            let random = random.fork();
            tasks.spawn(note_for_ever(reference, (machine.incarnation, node, key), random, board.clone()));
        }
    }
    loop {
        for link in client.links() {
            board.open(|b| b.shows(link));
        }
        sleep(SHOW_EVERY).await;
    }
}

/// Now and then so long that it travels on a stream of its own.
fn text(random: &mut Random) -> String {
    let long = if random.chance(0.03) { 70_000 + random.below(100_000) } else { random.below(100) };
    "x".repeat(long as usize)
}

async fn pay_for_ever(till: TillRef, node: &'static str, mut random: Random, board: Books<Board>) {
    while !board.open(|b| b.is_over) {
        let (payment, is_calm, is_safe) = board.open(|b| {
            b.last += 1;
            (b.last, b.is_calm, b.is_safe)
        });
        let (receipt, within) = match is_calm {
            true => (String::new(), CALM_WITHIN),
            false => (text(&mut random), Duration::from_millis(200 + random.below(1_500))),
        };
        let outcome = till.pay(payment, receipt.clone()).within(within).await;
        let told = outcome.as_ref().map_or_else(ToString::to_string, |_| "answered".into());
        let end = match outcome {
            Ok(same) => {
                if same != receipt {
                    board.open(|b| b.broken.push(format!("payment {payment} had another receipt")));
                }
                End::Answered
            }
            Err(CallError::NotExecuted(refusal)) => {
                reached(&format!("client: not executed, {}", refusal.name()));
                End::NotExecuted
            }
            Err(CallError::Unknown(cause)) => {
                reached(&format!("client: unknown, {}", cause.name()));
                End::Unknown
            }
            Err(CallError::Failed(never)) => match never {},
        };
        board.open(|b| {
            b.ends.insert(payment, end);
            if is_safe && end != End::Answered {
                b.broken.push(format!("payment {payment} of {within:?} and {} bytes ended as {end:?} while nothing was wrong: {}", receipt.len(), told));
            }
            if end == End::Answered {
                b.answered.insert(node);
            }
        });
        sleep(PAY_EVERY.mul_f64(random.fraction() * 2.0)).await;
    }
}

async fn note_for_ever(notebook: NotebookRef, pen: Pen, mut random: Random, board: Books<Board>) {
    while !board.open(|b| b.is_over) {
        let notes = if board.open(|b| b.is_calm) { 0 } else { random.below(20) };
        for _ in 0..notes {
            let number = board.open(|b| b.written.get(&pen).copied().unwrap_or(0)) + 1;
            let note = notebook.note(pen.0, number, text(&mut random)).within(Duration::from_secs(2));
            let sent = if random.chance(0.3) { note.await } else { note.send() };
            if sent.is_ok() {
                board.open(|b| b.written.insert(pen, number));
            }
        }
        sleep(Duration::from_millis(random.below(300))).await;
    }
}
