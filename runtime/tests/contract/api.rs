//! The contract that most of these tests use, its service, and how to call by names and bytes.

use odeon::directory::RawRequest;
use odeon::service::compact::Compact;
use odeon::service::contract::{Arguments, Encoding};
use odeon::service::reply::RawOutcome;
use odeon::{Contract, ContractError, Cx, Node};
use odeon_core::{Criticality, Retry, TraceContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Card {
    pub(crate) number: u64,
    pub(crate) owner: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Receipt {
    pub(crate) total: u32,
}

/// Why a payment was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PayError {
    /// Not enough money.
    #[error("{missing} are missing")]
    Poor { missing: u32 },
}

impl ContractError for PayError {
    fn retry(&self) -> Retry {
        Retry::Later
    }

    fn status(&self) -> u16 {
        402
    }
}

/// Keeps money and notes.
#[odeon::contract(name = "ledger", version = "2.7")]
pub(crate) trait Ledger {
    /// Puts money in. Answers
    /// with what is there now.
    ///
    /// Never fails.
    async fn add(&mut self, cx: &Cx, amount: u32) -> u32;

    async fn pay(
        &mut self,
        cx: &Cx,
        /// Whose money.
        card: Card,
        amount: u32,
        #[serde(default)] tip: u32,
    ) -> Result<Receipt, PayError>;

    #[cast]
    async fn note(&mut self, cx: &Cx, text: String);

    #[read]
    async fn notes(&self, cx: &Cx, from: usize) -> Vec<String>;

    async fn nothing(&self, _: &Cx);
}

#[derive(Default)]
pub(crate) struct Book {
    balance: u32,
    notes: Vec<String>,
}

#[odeon::service]
impl Ledger for Book {
    async fn add(&mut self, _: &Cx, amount: u32) -> u32 {
        self.balance += amount;
        self.balance
    }

    async fn pay(&mut self, _: &Cx, card: Card, amount: u32, tip: u32) -> Result<Receipt, PayError> {
        let total = amount + tip;
        if self.balance < total {
            return Err(PayError::Poor { missing: total - self.balance });
        }
        self.balance -= total;
        self.notes.push(card.owner);
        Ok(Receipt { total })
    }

    async fn note(&mut self, _: &Cx, text: String) {
        self.notes.push(text);
    }

    async fn notes(&self, _: &Cx, from: usize) -> Vec<String> {
        self.notes[from..].to_vec()
    }

    async fn nothing(&self, _: &Cx) {}
}

pub(crate) fn card() -> Card {
    Card { number: 4711, owner: "Ada".into() }
}

/// Calls a service by names and bytes.
pub(crate) async fn raw(
    node: &Node,
    service: &str,
    method: &str,
    encoding: Encoding,
    body: impl Into<Vec<u8>>,
) -> RawOutcome {
    let service = node.dynamic(&service.parse().expect("a name")).expect("it is registered");
    let request = RawRequest {
        method: method.into(),
        key: None,
        arguments: Arguments { body: body.into().into(), encoding },
        within: Duration::from_secs(10),
        criticality: Criticality::Normal,
        trace: TraceContext::default(),
        request: Uuid::nil(),
        principal: None,
        tenant: None,
    };
    service.call(request).await
}

/// What a call by names and JSON answers.
pub(crate) async fn json(node: &Node, service: &str, method: &str, body: &str) -> serde_json::Value {
    match raw(node, service, method, Encoding::Json, body).await {
        RawOutcome::Answered(body) => serde_json::from_slice(&body).expect("an answer is JSON"),
        other => panic!("no answer: {other:?}"),
    }
}

/// A place where a service under test leaves what happened to it.
pub(crate) type Diary = Arc<parking_lot::Mutex<Vec<String>>>;

/// Sends samples of all that the contract's methods take and answer there and back. Says which methods go by name.
pub(crate) fn by_name<C: Contract>() -> Vec<&'static str> {
    let all = odeon::test::assert_round_trips::<C>();
    all.into_iter().filter(|(_, compact)| *compact != Compact::Safe).map(|(name, _)| name).collect()
}
