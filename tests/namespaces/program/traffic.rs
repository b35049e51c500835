//! Those who call and cast, until they are told to end.

use super::bridge::{BridgeRef, Slip, Weighed, service_of};
use super::ledger::{End, Ledger};
use odeon::prelude::*;
use odeon_tests::traffic::{KEYS, MARKER, Report};
use std::sync::Arc;

/// Callers for each receiver.
const CALLERS: usize = 2;
/// Of so many messages one has a stream of its own.
const LARGE_ONE_OF: u64 = 200;
/// Bytes of that one: more than go with others (64 KiB).
const LARGE: usize = 80_000;
/// Most bytes of others.
const SMALL_MAX: u64 = 600;

/// What a node sends.
#[odeon::contract(name = "traffic", version = "1.0")]
pub(crate) trait Traffic {
    /// Begins to call nodes and to cast to them, all together.
    async fn begin(&mut self, cx: &Cx, nodes: Vec<String>) -> Result<(), NoSuchNode>;
    /// Everybody comes to an end.
    async fn end(&mut self, cx: &Cx);
    /// What became of it.
    #[read]
    async fn report(&self, cx: &Cx) -> Report;
}

/// A node cannot be called.
#[derive(Clone, Debug, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[error("{node} cannot be called: {problem}")]
pub(crate) struct NoSuchNode {
    node: String,
    problem: String,
}

impl ContractError for NoSuchNode {}

/// Those who send from this node.
pub(crate) struct Crossing {
    node: String,
    ledger: Arc<Ledger>,
}

impl Crossing {
    pub(crate) fn new(node: String, ledger: Arc<Ledger>) -> Self {
        Self { node, ledger }
    }
}

#[odeon::service]
impl Traffic for Crossing {
    async fn begin(&mut self, cx: &Cx, nodes: Vec<String>) -> Result<(), NoSuchNode> {
        for node in nodes {
            for key in KEYS {
                let bridge: BridgeRef = cx
                    .entity(&service_of(&node), key)
                    .map_err(|error| NoSuchNode { node: node.clone(), problem: error.to_string() })?;
                let sender = Sender {
                    cx: cx.clone(),
                    ledger: self.ledger.clone(),
                    from: self.node.clone(),
                    to: node.clone(),
                    key,
                    bridge,
                };
                for _ in 0..CALLERS {
                    self.ledger.enter();
                    cx.spawn(sender.clone().call_until_the_end());
                }
                self.ledger.enter();
                cx.spawn(sender.cast_until_the_end());
            }
        }
        Ok(())
    }

    async fn end(&mut self, _: &Cx) {
        self.ledger.end();
    }

    async fn report(&self, _: &Cx) -> Report {
        self.ledger.report()
    }
}

/// Who sends to one receiver.
#[derive(Clone)]
struct Sender {
    cx: Cx,
    ledger: Arc<Ledger>,
    from: String,
    to: String,
    key: &'static str,
    bridge: BridgeRef,
}

impl Sender {
    fn slip(&self, number: u64) -> Slip {
        Slip { from: self.from.clone(), key: self.key.into(), number }
    }

    fn below(&self, bound: u64) -> u64 {
        self.cx.random(|random| random.below(bound))
    }

    async fn pause(&self, max: Duration) {
        self.cx.sleep(max.mul_f64(self.cx.random(|random| random.fraction()))).await;
    }

    /// The marker over and over: in clear, it would be in every packet.
    fn freight(&self) -> String {
        let length = match self.below(LARGE_ONE_OF) {
            0 => LARGE,
            _ => self.below(SMALL_MAX) as usize,
        };
        MARKER.repeat(1 + length / MARKER.len())
    }

    async fn call_until_the_end(self) {
        while !self.ledger.is_ended() {
            let within = Duration::from_millis(50 + self.below(4_000));
            let freight = self.freight();
            let number = self.ledger.call_begins(&self.to);
            let answer =
                self.bridge.weigh_consignment(self.slip(number), freight.clone()).within(within).await;
            let end = match answer {
                Ok(answer) if answer == Weighed::of(number, freight) => End::Answered,
                Ok(_) => End::Mistaken,
                Err(CallError::NotExecuted(refusal)) => End::Refused(refusal),
                Err(CallError::Unknown(cause)) => End::Unknown(cause),
                Err(CallError::Failed(never)) => match never {},
            };
            self.ledger.call_ends(&self.to, number, end);
            self.pause(Duration::from_millis(15)).await;
        }
        self.ledger.leave();
    }

    async fn cast_until_the_end(self) {
        // the number of one that was not accepted goes to the next
        let mut number = 1;
        while !self.ledger.is_ended() {
            for _ in 0..self.below(20) {
                let cast = self.bridge.note_waybill(self.slip(number), self.freight());
                let sent = match self.below(8) {
                    // without waiting for room
                    0..4 => cast.send(),
                    // worthless after a time that an outage outlasts
                    4 | 5 => cast.within(Duration::from_secs(2)).await,
                    _ => cast.await,
                };
                self.ledger.cast_sent(&self.to, &sent);
                number += u64::from(sent.is_ok());
            }
            self.pause(Duration::from_millis(80)).await;
        }
        self.ledger.leave();
    }
}
