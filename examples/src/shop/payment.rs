//! `payment`: an entity for each order, by its number. It charges once, however often it is asked.

use super::bank::{Bank, Charge, NotCharged};
use odeon::prelude::*;
use odeon::remote::Links;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The payment of one order.
#[odeon::contract(name = "payment", version = "1.0")]
pub trait Payment {
    /// Charges a card for this order. Repeated, it answers the first receipt and charges nothing.
    async fn charge(&mut self, cx: &Cx, card: String, cents: u64) -> Result<Receipt, PaymentError>;

    /// The receipt, if this order is paid.
    #[read]
    async fn receipt(&self, cx: &Cx) -> Option<Receipt>;
}

/// The order is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Receipt {
    /// The bank's number for it.
    pub number: u64,
    /// How much was charged, in cents.
    pub cents: u64,
}

impl From<Charge> for Receipt {
    fn from(charge: Charge) -> Self {
        Self { number: charge.number, cents: charge.cents }
    }
}

/// Why nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "error")]
pub enum PaymentError {
    /// The bank declined the card.
    #[error("the card was declined")]
    CardDeclined,
    /// The order is paid already, but not this amount.
    #[error("the order is paid already: {paid} cents, not {asked}")]
    OtherAmount {
        /// What was charged, in cents.
        paid: u64,
        /// What was to be charged now, in cents.
        asked: u64,
    },
    /// The bank cannot write down what it would charge.
    #[error("the bank charges nothing: {problem}")]
    BankClosed {
        /// Why.
        problem: String,
    },
}

impl ContractError for PaymentError {
    fn retry(&self) -> Retry {
        match self {
            Self::CardDeclined | Self::OtherAmount { .. } => Retry::Never,
            Self::BankClosed { .. } => Retry::Later,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::CardDeclined => 402,
            Self::OtherAmount { .. } => 409,
            Self::BankClosed { .. } => 503,
        }
    }
}

impl From<NotCharged> for PaymentError {
    fn from(why: NotCharged) -> Self {
        match why {
            NotCharged::Declined => Self::CardDeclined,
            NotCharged::Unwritten(error) => Self::BankClosed { problem: error.to_string() },
        }
    }
}

/// What the payment is told: the table `[services.payment]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// How long the bank takes, in milliseconds.
    pub bank_delay_ms: u64,
    /// The file with the bank's book, which all nodes of a machine may share: whichever has an order's payment then knows
    /// what another one has charged. Without it each process has a bank of its own, in memory.
    pub book: Option<PathBuf>,
}

/// The till of one order.
#[derive(Debug)]
pub struct Till {
    bank: Bank,
    terms: Terms,
    receipt: Option<Receipt>,
}

impl Till {
    /// Knows from the bank what a previous activation has charged, whatever became of that one.
    ///
    /// # Errors
    /// The bank cannot keep its book where it was told to.
    pub async fn start(cx: Cx, terms: Terms, bank: Bank) -> Result<Self, StartError> {
        let bank = match terms.book.clone() {
            None => bank,
            Some(path) => {
                let by = who(&cx);
                let kept = cx.blocking(move || bank.kept_in(&path, &by)).await;
                kept.map_err(StartError::new)?.map_err(StartError::new)?
            }
        };
        let receipt = bank.find(cx.key()).map(Receipt::from);
        Ok(Self { bank, terms, receipt })
    }
}

/// What the node of this activation is called: with its incarnation, in a cluster.
fn who(cx: &Cx) -> String {
    let Some(node) = cx.node() else { return String::new() };
    Links::of(&node).map_or_else(|| node.name().to_string(), |links| links.node().to_string())
}

#[odeon::service]
impl Payment for Till {
    async fn charge(&mut self, cx: &Cx, card: String, cents: u64) -> Result<Receipt, PaymentError> {
        if let Some(receipt) = &self.receipt {
            let paid = receipt.cents;
            return match paid == cents {
                true => Ok(receipt.clone()),
                false => Err(PaymentError::OtherAmount { paid, asked: cents }),
            };
        }
        if self.terms.bank_delay_ms > 0 {
            cx.sleep(Duration::from_millis(self.terms.bank_delay_ms)).await;
        }
        let charge = self.bank.charge(cx.key(), &card, cents)?;
        Ok(self.receipt.insert(charge.into()).clone())
    }

    async fn receipt(&self, _: &Cx) -> Option<Receipt> {
        self.receipt.clone()
    }
}
