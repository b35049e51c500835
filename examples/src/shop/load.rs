//! Shoppers: what they do in the shop, as plain code over references. Time, tasks and chance come from whoever
//! drives them: the [`crowd`](super::crowd) in a node, a scenario in the simulator.

use super::bank::{DECLINED_CARD, GOOD_CARD};
use super::catalog::{ASSORTMENT, CatalogRef};
use super::checkout::{CheckoutError, CheckoutRef, Confirmation, Line};
use super::recommend::RecommendRef;
use odeon::core::Random;
use odeon::node::RefError;
use odeon::prelude::*;
use odeon::{Contract, Node};
use serde::{Deserialize, Serialize};

/// Of so many visits one ends at the checkout.
const BROWSERS: u64 = 4;
/// Of so many cards one is declined.
const DECLINED: u64 = 50;
/// How often an order is placed whose outcome is in doubt.
const PLACE_TRIES: u32 = 3;
/// How many arrive when a shelf is empty.
const DELIVERY: u32 = 500;

/// The doors of the shop: references to what shoppers use.
#[derive(Clone, Debug)]
pub struct Doors {
    checkout: CheckoutRef,
    recommend: RecommendRef,
    shelves: Vec<(&'static str, CatalogRef)>,
}

impl Doors {
    /// From within a handler.
    ///
    /// # Errors
    /// A name is provided under another contract.
    pub fn of(cx: &Cx) -> Result<Self, RefError> {
        Self::with(cx.service("checkout")?, cx.service("recommend")?, |sku| cx.entity("catalog", sku))
    }

    /// From outside of the services.
    ///
    /// # Errors
    /// A name is provided under another contract.
    pub fn at(node: &Node) -> Result<Self, RefError> {
        Self::with(node.service("checkout")?, node.service("recommend")?, |sku| node.entity("catalog", sku))
    }

    fn with(
        checkout: CheckoutRef,
        recommend: RecommendRef,
        shelf: impl Fn(&str) -> Result<CatalogRef, RefError>,
    ) -> Result<Self, RefError> {
        let shelves = ASSORTMENT.iter().map(|(sku, ..)| Ok((*sku, shelf(sku)?)));
        Ok(Self { checkout, recommend, shelves: shelves.collect::<Result<_, RefError>>()? })
    }
}

/// How visits ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Visits {
    /// Looked, and bought nothing.
    pub browsed: u64,
    /// Bought.
    pub bought: u64,
    /// Of those that bought: without a recommendation.
    pub degraded: u64,
    /// The card was declined.
    pub declined: u64,
    /// A shelf was empty; more has been ordered.
    pub sold_out: u64,
    /// Something was not available. Nothing was charged.
    pub turned_away: u64,
    /// Left without knowing whether the card was charged.
    pub in_doubt: u64,
    /// Money that shoppers know to have spent, in cents.
    pub cents: u64,
}

impl Visits {
    /// Adds others.
    pub fn add(&mut self, other: &Visits) {
        self.browsed += other.browsed;
        self.bought += other.bought;
        self.degraded += other.degraded;
        self.declined += other.declined;
        self.sold_out += other.sold_out;
        self.turned_away += other.turned_away;
        self.in_doubt += other.in_doubt;
        self.cents += other.cents;
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.browsed + self.bought + self.declined + self.sold_out + self.turned_away + self.in_doubt
    }
}

/// One shopper, who comes again and again.
#[derive(Clone, Debug)]
pub struct Shopper {
    doors: Doors,
    random: Random,
    name: String,
    orders: u64,
}

impl Shopper {
    /// A shopper whose name is nobody else's: order numbers begin with it. Chance decides what is bought.
    pub fn new(doors: Doors, name: String, random: Random) -> Self {
        Self { doors, random, name, orders: 0 }
    }

    /// Looks at some products and perhaps buys. Answers how it ended: exactly one visit.
    pub async fn visit(&mut self) -> Visits {
        let cart = self.fill_cart();
        for line in &cart {
            let Some((_, shelf)) = self.doors.shelves.iter().find(|(sku, _)| *sku == line.sku) else {
                continue;
            };
            if shelf.find().await.is_err() {
                return Visits { turned_away: 1, ..Visits::default() };
            }
        }
        if self.random.below(BROWSERS) > 0 {
            let skus = cart.into_iter().map(|line| line.sku).collect();
            let looked = self.doors.recommend.also_bought(skus, 3).criticality(Criticality::Sheddable).await;
            // nobody minds a missing recommendation
            drop(looked);
            return Visits { browsed: 1, ..Visits::default() };
        }
        self.buy(cart).await
    }

    fn fill_cart(&mut self) -> Vec<Line> {
        let lines = 1 + self.random.below(3);
        let mut line = || {
            let at = self.random.below(ASSORTMENT.len() as u64) as usize;
            Line { sku: ASSORTMENT[at].0.into(), quantity: 1 + self.random.below(3) as u32 }
        };
        (0..lines).map(|_| line()).collect()
    }

    /// Places an order, again when its outcome is in doubt: the order number makes that harmless.
    async fn buy(&mut self, cart: Vec<Line>) -> Visits {
        self.orders += 1;
        let order = format!("{}-{}", self.name, self.orders);
        let card = if self.random.below(DECLINED) == 0 { DECLINED_CARD } else { GOOD_CARD };
        let nothing = Visits::default();
        for _ in 0..PLACE_TRIES {
            let place = self.doors.checkout.place(order.clone(), cart.clone(), card.into());
            match place.criticality(Criticality::Critical).await {
                Ok(confirmation) => return bought(&confirmation),
                Err(CallError::Failed(CheckoutError::CardDeclined)) => {
                    return Visits { declined: 1, ..nothing };
                }
                Err(CallError::Failed(CheckoutError::OutOfStock { sku, .. })) => {
                    self.restock(&sku).await;
                    return Visits { sold_out: 1, ..nothing };
                }
                Err(CallError::Failed(CheckoutError::InDoubt) | CallError::Unknown(_)) => {}
                Err(CallError::Failed(_) | CallError::NotExecuted(_)) => {
                    return Visits { turned_away: 1, ..nothing };
                }
            }
        }
        Visits { in_doubt: 1, ..nothing }
    }

    async fn restock(&self, sku: &str) {
        let Some((_, shelf)) = self.doors.shelves.iter().find(|(known, _)| *known == sku) else { return };
        if let Err(problem) = shelf.restock(DELIVERY).await {
            tracing::debug!(shelf = %shelf.address().locator(), %problem, "a delivery was not taken");
        }
    }
}

fn bought(confirmation: &Confirmation) -> Visits {
    Visits {
        bought: 1,
        degraded: confirmation.degraded.into(),
        cents: confirmation.receipt.cents,
        ..Visits::default()
    }
}
