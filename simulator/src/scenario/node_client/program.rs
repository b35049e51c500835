//! The programs of the scenario: a node that counts what is paid in, a program that pays in for ever, and what they
//! write down.

use crate::Machine;
use crate::scenario::books::Books;
use crate::scenario::linked::{self, Pass};
use odeon::core::NodeName;
use odeon::prelude::*;
use odeon::remote::Transport;
use odeon::{Client, ClientConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::time::sleep;

const PORT: u16 = 7_000;
/// How often a node looks whether there is a link to the other one, and the program for a node that lets it in.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two payments.
const PAY_EVERY: Duration = Duration::from_millis(50);
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
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    NotExecuted,
    Unknown,
}

/// All that is written down.
#[derive(Default)]
pub(super) struct Board {
    addresses: BTreeMap<String, SocketAddr>,
    last: u64,
    /// How often each payment has run.
    ran: BTreeMap<u64, u32>,
    ends: BTreeMap<u64, End>,
    /// Whose tills have answered since this was last wiped.
    pub(super) answered: BTreeSet<&'static str>,
    /// No further payments.
    pub(super) is_over: bool,
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
}

/// Takes payments.
#[odeon::contract(name = "till", version = "1.0")]
pub(super) trait Till {
    async fn pay(&self, cx: &Cx, payment: u64) -> u64;
}

#[derive(Clone)]
struct Drawer(Books<Board>);

#[odeon::service]
impl Till for Drawer {
    async fn pay(&self, cx: &Cx, payment: u64) -> u64 {
        let principal = cx.caller().principal;
        self.0.open(|b| {
            *b.ran.entry(payment).or_default() += 1;
            if principal.as_deref() != Some(CLIENT) {
                b.broken.push(format!("payment {payment} comes from {principal:?}"));
            }
        });
        payment
    }
}

fn till(node: &str) -> String {
    format!("till-{node}")
}

/// The program of a node.
pub(super) async fn serve(machine: Machine, start: Start, board: Books<Board>) {
    let name: NodeName = machine.name.parse().expect("a node name");
    let drawer = Drawer(board.clone());
    let app = App::new().service(&till(name.as_str()), move || drawer.clone());
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

/// The program outside: pays in at each till in turn, for ever.
pub(super) async fn call(_: Machine, caller: Caller, board: Books<Board>) {
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
    let tills = caller.services.map(|node| client.service::<TillRef>(&till(node)).expect("a name"));
    loop {
        for (node, reference) in caller.services.iter().zip(&tills) {
            if board.open(|b| b.is_over) {
                continue;
            }
            let payment = board.open(|b| {
                b.last += 1;
                b.last
            });
            let end = match reference.pay(payment).within(Duration::from_secs(1)).await {
                Ok(_) => End::Answered,
                Err(CallError::NotExecuted(_)) => End::NotExecuted,
                Err(CallError::Unknown(_)) => End::Unknown,
                Err(CallError::Failed(never)) => match never {},
            };
            board.open(|b| {
                b.ends.insert(payment, end);
                if end == End::Answered {
                    b.answered.insert(node);
                }
            });
        }
        sleep(PAY_EVERY).await;
    }
}
