//! What nodes call each other for.

use super::ledger::Ledger;
use odeon::prelude::*;
use odeon_tests::traffic::SERVICE;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The service of a node.
pub(crate) fn service_of(node: &str) -> String {
    format!("{SERVICE}-{node}")
}

/// What every message says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Slip {
    pub(crate) from: String,
    pub(crate) key: String,
    /// Of the call among those of its node, or of the cast among those to its receiver.
    pub(crate) number: u64,
}

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Weighed {
    pub(crate) grams: u64,
    pub(crate) freight: String,
}

impl Weighed {
    /// The answer to this call and no other.
    pub(crate) fn of(number: u64, freight: String) -> Self {
        Self { grams: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), freight }
    }
}

/// Weighs what comes.
#[odeon::contract(name = "weighbridge", version = "1.0")]
pub(crate) trait Bridge {
    /// Gives back what came.
    async fn weigh_consignment(&mut self, cx: &Cx, slip: Slip, freight: String) -> Weighed;
    /// Nothing comes back.
    #[cast]
    async fn note_waybill(&mut self, cx: &Cx, slip: Slip, freight: String);
}

/// Writes down what came.
pub(crate) struct Scale {
    ledger: Arc<Ledger>,
}

impl Scale {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger }
    }
}

#[odeon::service]
impl Bridge for Scale {
    async fn weigh_consignment(&mut self, _: &Cx, slip: Slip, freight: String) -> Weighed {
        self.ledger.call_came(&slip);
        Weighed::of(slip.number, freight)
    }

    async fn note_waybill(&mut self, _: &Cx, slip: Slip, _: String) {
        self.ledger.cast_came(&slip);
    }
}
