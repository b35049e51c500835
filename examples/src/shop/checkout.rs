//! `checkout`: stateless. Turns a cart into a paid order, or leaves everything as it was.

use super::catalog::{CatalogError, CatalogRef, Product};
use super::payment::{PaymentError, PaymentRef, Receipt};
use super::recommend::RecommendRef;
use odeon::node::RefError;
use odeon::prelude::*;
use serde::{Deserialize, Serialize};

/// How long a recommendation may take before the order is confirmed without one.
const RECOMMEND_WITHIN: Duration = Duration::from_millis(50);
/// How often a payment is asked for whose outcome is unknown.
const CHARGE_TRIES: u32 = 2;
/// Most lines of an order.
const LINES_MAX: usize = 50;

/// Turns a cart into a paid order.
#[odeon::contract(name = "checkout", version = "1.0")]
pub trait Checkout {
    /// Places an order. Repeated with the same order number, it answers the same and charges nothing.
    async fn place(
        &self,
        cx: &Cx,
        order: String,
        lines: Vec<Line>,
        card: String,
    ) -> Result<Confirmation, CheckoutError>;
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Line {
    /// The article number.
    pub sku: String,
    /// How many.
    pub quantity: u32,
}

/// The order is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Confirmation {
    /// The order number.
    pub order: String,
    /// What was charged.
    pub receipt: Receipt,
    /// What others bought too; empty when recommendations failed or were late.
    pub also: Vec<String>,
    /// Whether something that is nice to have was left out.
    pub degraded: bool,
}

/// Why the order was not placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "error")]
pub enum CheckoutError {
    /// There is nothing to sell, or too much of it.
    #[error("an order has 1 to {most} lines, each with a quantity")]
    Lines {
        /// The most lines.
        most: usize,
    },
    /// There is no such product.
    #[error("there is no product {sku}")]
    NoSuchProduct {
        /// The article number.
        sku: String,
    },
    /// There are not enough of it.
    #[error("only {stock} of {sku} left")]
    OutOfStock {
        /// The article number.
        sku: String,
        /// How many are for sale.
        stock: u32,
    },
    /// The bank declined the card.
    #[error("the card was declined")]
    CardDeclined,
    /// This order was paid with another amount: the number was used before.
    #[error("order {order} was placed before with another cart")]
    OtherOrder {
        /// The order number.
        order: String,
    },
    /// A service that is needed did not do it. Nothing was charged.
    #[error("{service} is not available: {problem}")]
    Unavailable {
        /// The service.
        service: String,
        /// What it said.
        problem: String,
    },
    /// It is not known whether the card was charged. Placing the same order again finds out.
    #[error("it is not known whether the card was charged: place the same order again")]
    InDoubt,
}

impl ContractError for CheckoutError {
    fn retry(&self) -> Retry {
        match self {
            Self::OutOfStock { .. } | Self::Unavailable { .. } | Self::InDoubt => Retry::Later,
            Self::Lines { .. }
            | Self::NoSuchProduct { .. }
            | Self::CardDeclined
            | Self::OtherOrder { .. } => Retry::Never,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Lines { .. } => 422,
            Self::NoSuchProduct { .. } => 404,
            Self::OutOfStock { .. } | Self::OtherOrder { .. } => 409,
            Self::CardDeclined => 402,
            Self::Unavailable { .. } => 503,
            Self::InDoubt => 504,
        }
    }
}

/// Takes orders.
#[derive(Clone, Debug)]
pub struct Desk {
    recommend: RecommendRef,
}

impl Desk {
    /// With the services of this node.
    ///
    /// # Errors
    /// A name is provided under another contract.
    pub async fn start(cx: Cx) -> Result<Self, StartError> {
        Ok(Self { recommend: cx.service("recommend").map_err(StartError::new)? })
    }

    /// Sets every line aside, or none. Answers what the order costs, in cents.
    async fn reserve(&self, cx: &Cx, order: &str, lines: &[Line]) -> Result<u64, CheckoutError> {
        let mut cents: u64 = 0;
        for (done, line) in lines.iter().enumerate() {
            match self.reserve_line(cx, order, line).await {
                Ok(product) => {
                    cents = cents.saturating_add(product.cents.saturating_mul(line.quantity.into()));
                }
                Err(problem) => {
                    // this line too: it may have been set aside although the answer was lost
                    self.tell_shelves(cx, &lines[..=done], |shelf| shelf.release(order.into()));
                    return Err(problem);
                }
            }
        }
        Ok(cents)
    }

    async fn reserve_line(&self, cx: &Cx, order: &str, line: &Line) -> Result<Product, CheckoutError> {
        let shelf: CatalogRef = cx.entity("catalog", &line.sku).map_err(|e| unavailable("catalog", e))?;
        shelf.reserve(order.into(), line.quantity).await.map_err(|error| match error {
            CallError::Failed(CatalogError::NoSuchProduct { sku }) => CheckoutError::NoSuchProduct { sku },
            CallError::Failed(CatalogError::OutOfStock { sku, stock }) => {
                CheckoutError::OutOfStock { sku, stock }
            }
            other => unavailable("catalog", other),
        })
    }

    /// Charges the card, once. Asks again when it is not known whether that was done: payment remembers.
    async fn charge(
        &self,
        payment: &PaymentRef,
        order: &str,
        card: &str,
        cents: u64,
    ) -> Result<Receipt, CheckoutError> {
        let mut in_doubt = false;
        for _ in 0..CHARGE_TRIES {
            match payment.charge(card.into(), cents).await {
                Ok(receipt) => return Ok(receipt),
                Err(CallError::Failed(PaymentError::CardDeclined)) => {
                    return Err(CheckoutError::CardDeclined);
                }
                Err(CallError::Failed(PaymentError::OtherAmount { .. })) => {
                    return Err(CheckoutError::OtherOrder { order: order.into() });
                }
                // an earlier try may have charged
                Err(CallError::NotExecuted(_) | CallError::Failed(PaymentError::BankClosed { .. }))
                    if in_doubt =>
                {
                    break;
                }
                Err(
                    refused
                    @ (CallError::NotExecuted(_) | CallError::Failed(PaymentError::BankClosed { .. })),
                ) => {
                    return Err(unavailable("payment", refused));
                }
                Err(CallError::Unknown(_)) => in_doubt = true,
            }
        }
        Err(CheckoutError::InDoubt)
    }

    /// Tells the shelf of each line; one that cannot be told is logged.
    fn tell_shelves(
        &self,
        cx: &Cx,
        lines: &[Line],
        tell: impl Fn(&CatalogRef) -> odeon::service::Cast<'_, CatalogRef>,
    ) {
        for line in lines {
            let told = cx
                .entity::<CatalogRef>("catalog", &line.sku)
                .map_err(|e: RefError| e.to_string())
                .and_then(|shelf| tell(&shelf).send().map_err(|e| e.to_string()));
            if let Err(problem) = told {
                tracing::warn!(sku = line.sku, %problem, "a shelf could not be told");
            }
        }
    }

    /// The order is paid: ships it and recommends more, if that can be had in time.
    async fn confirm(&self, cx: &Cx, order: String, lines: &[Line], receipt: Receipt) -> Confirmation {
        self.tell_shelves(cx, lines, |shelf| shelf.ship(order.clone()));
        let skus = lines.iter().map(|line| line.sku.clone()).collect();
        let also = self.recommend.also_bought(skus, 3).within(RECOMMEND_WITHIN).await;
        let degraded = also.is_err();
        Confirmation { order, receipt, also: also.unwrap_or_default(), degraded }
    }
}

/// One line for each article: a shelf knows one quantity for each order.
fn merged(lines: Vec<Line>) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        match merged.iter_mut().find(|known| known.sku == line.sku) {
            Some(known) => known.quantity = known.quantity.saturating_add(line.quantity),
            None => merged.push(line),
        }
    }
    merged
}

fn unavailable(service: &str, problem: impl std::fmt::Display) -> CheckoutError {
    CheckoutError::Unavailable { service: service.into(), problem: problem.to_string() }
}

#[odeon::service]
impl Checkout for Desk {
    async fn place(
        &self,
        cx: &Cx,
        order: String,
        lines: Vec<Line>,
        card: String,
    ) -> Result<Confirmation, CheckoutError> {
        if lines.is_empty() || lines.len() > LINES_MAX || lines.iter().any(|line| line.quantity == 0) {
            return Err(CheckoutError::Lines { most: LINES_MAX });
        }
        let lines = merged(lines);
        let payment: PaymentRef = cx.entity("payment", &order).map_err(|e| unavailable("payment", e))?;
        let paid = payment.receipt().await.map_err(|e| unavailable("payment", e))?;
        if let Some(receipt) = paid {
            return Ok(self.confirm(cx, order, &lines, receipt).await);
        }
        let cents = self.reserve(cx, &order, &lines).await?;
        match self.charge(&payment, &order, &card, cents).await {
            Ok(receipt) => Ok(self.confirm(cx, order, &lines, receipt).await),
            // what may be paid stays set aside until the order is placed again
            Err(CheckoutError::InDoubt) => Err(CheckoutError::InDoubt),
            Err(problem) => {
                self.tell_shelves(cx, &lines, |shelf| shelf.release(order.clone()));
                Err(problem)
            }
        }
    }
}
