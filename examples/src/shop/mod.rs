//! A shop of four services, the realistic workload: [`checkout`] calls [`payment`], [`catalog`] and [`recommend`].
//!
//! A checkout is worth money, so it is sent as critical and survives what it can: a repeated order is charged once,
//! a declined card gives the goods back, and recommendations that fail or are late are left out. The [`bank`] is the
//! world outside: it counts what must never happen, in memory or, for several processes, in a [`book`]. [`load`] is a
//! crowd of shoppers.

pub mod bank;
pub mod book;
pub mod catalog;
pub mod checkout;
pub mod crowd;
pub mod load;
pub mod payment;
pub mod recommend;
#[cfg(test)]
mod tests;

pub use bank::{Audit, Bank};

use odeon::ServiceOptions;
use odeon::directory::ServiceKind;
use odeon::prelude::*;

/// How long the activation of a paid order stays: repetitions come soon or not at all, and the bank knows the rest.
const ORDER_IDLE_MAX: Duration = Duration::from_secs(5);

/// Adds the four services; money goes to the bank.
pub fn register(app: App, bank: &Bank) -> App {
    let orders =
        ServiceOptions { passivate_after: Some(ORDER_IDLE_MAX), ..ServiceOptions::of(ServiceKind::Entity) };
    let bank = bank.clone();
    app.entity("catalog", catalog::Shelf::start)
        .entity_with("payment", orders, move |cx: Cx, terms| payment::Till::start(cx, terms, bank.clone()))
        .service("recommend", recommend::Neighbours::start)
        .service("checkout", checkout::Desk::start)
}
