//! `payment`: an entity for each order, by its number. It charges once, however often it is asked.

use super::bank::{Bank, Charge, Declined};
use odeon::prelude::*;
use serde::{Deserialize, Serialize};

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
}

impl ContractError for PaymentError {
    fn status(&self) -> u16 {
        match self {
            Self::CardDeclined => 402,
            Self::OtherAmount { .. } => 409,
        }
    }
}

/// What the payment is told: the table `[services.payment]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// How long the bank takes, in milliseconds.
    pub bank_delay_ms: u64,
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
    /// None of its own.
    pub async fn start(cx: Cx, terms: Terms, bank: Bank) -> Result<Self, StartError> {
        let receipt = bank.find(cx.key()).map(Receipt::from);
        Ok(Self { bank, terms, receipt })
    }
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
        let charge =
            self.bank.charge(cx.key(), &card, cents).map_err(|Declined| PaymentError::CardDeclined)?;
        Ok(self.receipt.insert(charge.into()).clone())
    }

    async fn receipt(&self, _: &Cx) -> Option<Receipt> {
        self.receipt.clone()
    }
}
