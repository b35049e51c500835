//! What the shop of a cluster sells, by its bank's book.

use odeon_examples::shop::book::{Book, Entry};
use std::collections::BTreeSet;
use std::path::Path;

/// The book, as far as it has been read.
pub(crate) struct Sales {
    book: Book,
    charges: Vec<Entry>,
}

impl Sales {
    /// Nothing has been sold yet.
    pub(crate) fn at(book: &Path) -> Self {
        Self { book: Book::open(book).expect("the place is writable"), charges: Vec::new() }
    }

    /// All charges by now, in their order.
    pub(crate) fn charges(&mut self) -> &[Entry] {
        let Self { book, charges } = self;
        book.read_on(|_, entry| charges.push(entry)).expect("it can be read");
        charges
    }

    /// Charges for orders that had been charged before.
    pub(crate) fn repeated(&mut self) -> Vec<Entry> {
        let mut orders = BTreeSet::new();
        self.charges().iter().filter(|charge| !orders.insert(charge.order.as_str())).cloned().collect()
    }
}
