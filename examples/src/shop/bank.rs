//! The world outside of the shop: moves money whenever it is told to, and keeps the book that the shop is judged by: in
//! memory, or in a file that other processes write, too.

use super::book::{Book, BookError, Entry};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Orders that the bank remembers; older ones are only in the sums.
const ORDERS_MAX: usize = 1_000_000;

/// The test card that is always declined.
pub const DECLINED_CARD: &str = "4000000000000002";
/// A test card that works.
pub const GOOD_CARD: &str = "4242424242424242";

/// A bank. Clones are the same bank.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    accounts: Arc<Mutex<Accounts>>,
    /// Who charges by this clone, if there is a file that wants to know.
    by: Option<Arc<str>>,
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
struct Accounts {
    known: Known,
    /// None: all is in memory.
    book: Option<Book>,
}

/// What is known of charges: all of them, or what has been read of the book.
#[derive(Debug, Default)]
struct Known {
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

/// Why no money has moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCharged {
    /// The card was declined.
    #[error("the card was declined")]
    Declined,
    /// The charge could not be written down.
    #[error(transparent)]
    Unwritten(BookError),
}

impl Known {
    fn enter(&mut self, order: String, charge: Charge) {
        self.audit.charges += 1;
        self.audit.cents += charge.cents;
        if self.charges.insert(order.clone(), charge).is_some() {
            self.audit.double_charges += 1;
        } else {
            self.order.push_back(order);
        }
        if self.order.len() > ORDERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.charges.remove(&oldest);
        }
    }
}

impl Accounts {
    /// Takes in what has been written meanwhile, whoever has.
    fn read_on(&mut self) -> Result<(), BookError> {
        let Self { known, book } = self;
        let Some(book) = book else { return Ok(()) };
        book.read_on(|number, entry| known.enter(entry.order, Charge { number, cents: entry.cents }))
    }
}

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

    /// The same bank, whose charges are in a file that other processes may write, too; what is there by now is known.
    /// Whoever charges by this clone is called so there.
    ///
    /// Reads the file: from a handler, call it where that stops nobody.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn kept_in(&self, path: &Path, by: &str) -> Result<Self, BookError> {
        let mut accounts = self.accounts.lock();
        match &accounts.book {
            None => accounts.book = Some(Book::open(path)?),
            Some(book) if book.path() == path => {}
            Some(book) => return Err(BookError::Other { is: book.path().into(), asked: path.into() }),
        }
        accounts.read_on()?;
        Ok(Self { by: Some(by.into()), ..self.clone() })
    }

    /// Charges a card: each time that it is asked to.
    ///
    /// With a book it writes to a file, though it is called from handlers. That is a line into the memory of the system,
    /// which takes microseconds and waits for no disk: what is to outlive processes need not outlive the machine. And it
    /// belongs into the handler's turn: what is handed to another thread may happen after the activation has ended.
    ///
    /// # Errors
    /// [`NotCharged`].
    pub fn charge(&self, order: &str, card: &str, cents: u64) -> Result<Charge, NotCharged> {
        let mut accounts = self.accounts.lock();
        let Accounts { known, book } = &mut *accounts;
        if card == DECLINED_CARD || card.is_empty() {
            known.audit.declined += 1;
            return Err(NotCharged::Declined);
        }
        let charge = if let Some(book) = book {
            let by = self.by.as_deref().unwrap_or_default().to_owned();
            let number =
                book.append(&Entry { order: order.into(), cents, by }).map_err(NotCharged::Unwritten)?;
            Charge { number, cents }
        } else {
            let charge = Charge { number: known.audit.charges + 1, cents };
            known.enter(order.into(), charge.clone());
            charge
        };
        drop(accounts);
        if let Some(then) = &self.after_charge {
            then.0();
        }
        Ok(charge)
    }

    /// What was charged for an order. Of what a file says it knows what was there when [`kept_in`](Self::kept_in) was
    /// called last.
    pub fn find(&self, order: &str) -> Option<Charge> {
        self.accounts.lock().known.charges.get(order).cloned()
    }

    /// The sums: what an invariant looks at. Of a file, as [`find`](Self::find); who was declined is not written there.
    pub fn audit(&self) -> Audit {
        self.accounts.lock().known.audit.clone()
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
        assert_eq!(bank.charge("b", DECLINED_CARD, 100), Err(NotCharged::Declined));
        assert_eq!(bank.audit(), Audit { charges: 1, double_charges: 0, declined: 1, cents: 250 });
        bank.charge("a", GOOD_CARD, 250).expect("it works");
        assert_eq!(bank.audit().double_charges, 1);
    }

    #[test]
    fn banks_with_one_book_know_of_each_others_charges() {
        let path = std::env::temp_dir().join(format!("odeon-bank-{}", std::process::id()));
        let [north, south] =
            ["north@1", "south@1"].map(|by| Bank::new().kept_in(&path, by).expect("a new file"));
        let charge = north.charge("a", GOOD_CARD, 250).expect("it works");
        assert_eq!(north.charge("b", DECLINED_CARD, 100), Err(NotCharged::Declined));
        let south = south.kept_in(&path, "south@2").expect("it can be read");
        assert_eq!(south.find("a"), Some(charge));
        let twice = south.charge("a", GOOD_CARD, 250).expect("it works");
        for bank in [&north, &south] {
            let bank = bank.kept_in(&path, "").expect("it can be read");
            assert_eq!(bank.find("a").as_ref(), Some(&twice));
            let audit = bank.audit();
            assert_eq!((audit.charges, audit.double_charges, audit.cents), (2, 1, 500));
        }
        let said = north.kept_in(&path.with_extension("other"), "").expect_err("it has one").to_string();
        assert!(said.contains("a process has one"), "{said}");
        std::fs::remove_file(path).expect("it was made");
    }
}
