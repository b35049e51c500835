//! The cells of the entities of a service by key. One word for each: the key is in the cell.

use crate::cell::Handle;
use crate::service::message::Message;
use hashbrown::HashTable;
use odeon_core::ActivationId;
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Locks: executors that look at different keys hardly ever meet.
const SHARDS: usize = 16;

/// The cells of the entities of a service. Their order is seen by nobody.
pub(super) struct Active<M: Message> {
    shards: [Mutex<HashTable<Handle<M>>>; SHARDS],
    /// Keys come from outside: whoever chooses them must not know where they end up (SipHash with keys by chance).
    hasher: RandomState,
    count: AtomicUsize,
}

impl<M: Message> Active<M> {
    pub(super) fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::new(HashTable::new()));
        Self { shards, hasher: RandomState::new(), count: AtomicUsize::new(0) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn shard(&self, key: &str) -> (&Mutex<HashTable<Handle<M>>>, u64) {
        let hash = self.hasher.hash_one(key);
        // a table uses the highest and the lowest bits
        (&self.shards[(hash >> 32) as usize % SHARDS], hash)
    }

    pub(super) fn find(&self, key: &str) -> Option<Handle<M>> {
        let (shard, hash) = self.shard(key);
        shard.lock().find(hash, |handle| handle.key() == Some(key)).cloned()
    }

    /// The cell of a key, unless that is over; else what `make` makes, which takes its place.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn find_or<E>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<Handle<M>, E>,
    ) -> Result<Handle<M>, E> {
        let (shard, hash) = self.shard(key);
        let mut cells = shard.lock();
        if let Some(handle) = cells.find_mut(hash, |handle| handle.key() == Some(key)) {
            // one that ends refuses what comes too late for it, but its successor must not begin beside it
            if handle.is_over() {
                *handle = make()?;
            }
            return Ok(handle.clone());
        }
        let handle = make()?;
        self.count.fetch_add(1, Relaxed);
        cells.insert_unique(hash, handle.clone(), |handle| self.hasher.hash_one(handle.key().unwrap_or("")));
        Ok(handle)
    }

    /// All whose keys are meant.
    pub(super) fn all(&self, is_meant: impl Fn(&str) -> bool) -> Vec<Handle<M>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            all.extend(shard.iter().filter(|handle| handle.key().is_some_and(&is_meant)).cloned());
        }
        all
    }

    /// Takes the cell of a key out, if it is this one.
    pub(super) fn remove(&self, key: &str, id: ActivationId) {
        let (shard, hash) = self.shard(key);
        let removed = match shard.lock().find_entry(hash, |handle| handle.id() == id) {
            Ok(found) => found.remove().0,
            Err(_) => return,
        };
        self.count.fetch_sub(1, Relaxed);
        // outside of the lock: it may be the last to know the cell
        drop(removed);
    }
}
