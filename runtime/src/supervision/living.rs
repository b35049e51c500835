//! The table of living cells. Every birth and every end goes through it, so it is a hash table and not a tree; and
//! it has no order that anybody sees.

use crate::cell::port::Port;
use odeon_core::ActivationId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Weak;

/// A table that is as small as this is never made smaller.
const KEPT: usize = 64;

/// Living cells by id. Weak: a cell is kept by its task.
#[derive(Default)]
pub(super) struct Living(HashMap<ActivationId, Weak<dyn Port>, BuildHasherDefault<Counted>>);

impl Living {
    pub(super) fn insert(&mut self, id: ActivationId, cell: Weak<dyn Port>) {
        self.0.insert(id, cell);
    }

    /// False if it was not there.
    pub(super) fn remove(&mut self, id: ActivationId) -> bool {
        let was = self.0.remove(&id).is_some();
        // after a crowd has gone its room is given back
        if self.0.capacity() > KEPT && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
        was
    }

    pub(super) fn get(&self, id: ActivationId) -> Option<&Weak<dyn Port>> {
        self.0.get(&id)
    }

    /// In no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ActivationId, &Weak<dyn Port>)> {
        self.0.iter().map(|(id, cell)| (*id, cell))
    }
}

/// Hashes ids that are counted. The lower bits, which choose the place in the table, are those of the id: cells that
/// were born together lie together. The upper ones, which tell neighbours apart, are spread (Knuth, TAOCP 3, 6.4).
#[derive(Default)]
struct Counted(u64);

impl Hasher for Counted {
    fn write_u64(&mut self, id: u64) {
        const UPPER: u64 = 0x7f << 57;
        self.0 = (id & !UPPER) | (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) & UPPER);
    }

    fn write(&mut self, bytes: &[u8]) {
        // an id is one word
        bytes.iter().for_each(|byte| self.write_u64(self.0 << 8 | u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
