//! The world outside of the shop: moves money whenever it is told to, and keeps the book that the shop is judged by.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

/// Orders that the book remembers; older ones are only in the sums.
const ORDERS_MAX: usize = 1_000_000;

/// The test card that is always declined.
pub const DECLINED_CARD: &str = "4000000000000002";
/// A test card that works.
pub const GOOD_CARD: &str = "4242424242424242";

/// A bank. Clones are the same bank.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    book: Arc<Mutex<Book>>,
    after_charge: Option<AfterCharge>,
}

/// What happens when money has moved, before whoever asked for it hears of it.
#[derive(Clone)]
struct AfterCharge(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for AfterCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterCharge")
    }
}

#[derive(Debug, Default)]
struct Book {
    charges: BTreeMap<String, Charge>,
    /// Orders, the oldest first.
    order: VecDeque<String>,
    audit: Audit,
}

/// Money that has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The bank's number for it.
    pub number: u64,
    /// How much, in cents.
    pub cents: u64,
}

/// Sums over everything that the bank has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Audit {
    /// Charges.
    pub charges: u64,
    /// Charges for an order that had been charged already. The shop promises that there are none.
    pub double_charges: u64,
    /// Cards that were declined.
    pub declined: u64,
    /// Money that was moved, in cents.
    pub cents: u64,
}

/// The card was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declined;

impl Bank {
    /// A bank with an empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same bank; this is called on the caller's stack when money has moved and nobody knows yet, where a test may
    /// let the caller fail.
    #[must_use]
    pub fn after_charge(self, then: impl Fn() + Send + Sync + 'static) -> Self {
        Self { after_charge: Some(AfterCharge(Arc::new(then))), ..self }
    }

    /// Charges a card: each time that it is asked to.
    ///
    /// # Errors
    /// The card is declined.
    pub fn charge(&self, order: &str, card: &str, cents: u64) -> Result<Charge, Declined> {
        let mut book = self.book.lock();
        if card == DECLINED_CARD || card.is_empty() {
            book.audit.declined += 1;
            return Err(Declined);
        }
        book.audit.charges += 1;
        book.audit.cents += cents;
        let charge = Charge { number: book.audit.charges, cents };
        if book.charges.insert(order.into(), charge.clone()).is_some() {
            book.audit.double_charges += 1;
        } else {
            book.order.push_back(order.into());
        }
        if book.order.len() > ORDERS_MAX
            && let Some(oldest) = book.order.pop_front()
        {
            book.charges.remove(&oldest);
        }
        drop(book);
        if let Some(then) = &self.after_charge {
            then.0();
        }
        Ok(charge)
    }

    /// What was charged for an order.
    pub fn find(&self, order: &str) -> Option<Charge> {
        self.book.lock().charges.get(order).cloned()
    }

    /// The sums: what an invariant looks at.
    pub fn audit(&self) -> Audit {
        self.book.lock().audit.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bank_does_what_it_is_told_and_counts_what_must_not_happen() {
        let bank = Bank::new();
        assert_eq!(bank.find("a"), None);
        let charge = bank.charge("a", GOOD_CARD, 250).expect("it works");
        assert_eq!(bank.find("a"), Some(charge));
        assert_eq!(bank.charge("b", DECLINED_CARD, 100), Err(Declined));
        assert_eq!(bank.audit(), Audit { charges: 1, double_charges: 0, declined: 1, cents: 250 });
        bank.charge("a", GOOD_CARD, 250).expect("it works");
        assert_eq!(bank.audit().double_charges, 1);
    }
}
