//! Locks of one file: whole-file locks (`flock`) and byte ranges (`fcntl`), both owned by the open description.

use crate::symbol::{Errno, Outcome};
use libc::c_int;
use std::collections::BTreeSet;

/// A lock on a range of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    owner: u64,
    pub(super) start: u64,
    /// The first byte after it; `u64::MAX` reaches to the end, wherever that is.
    pub(super) end: u64,
    pub(super) exclusive: bool,
}

impl Range {
    pub(super) fn new(owner: u64, start: u64, end: u64, exclusive: bool) -> Range {
        Range { owner, start, end, exclusive }
    }

    fn overlaps(&self, other: &Range) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// All locks of one file.
#[derive(Debug, Default)]
pub(super) struct Locks {
    exclusive: Option<u64>,
    shared: BTreeSet<u64>,
    ranges: Vec<Range>,
}

impl Locks {
    /// `flock` by this owner. Fails with `EWOULDBLOCK` when somebody else is in the way.
    pub(super) fn lock_whole(&mut self, owner: u64, operation: c_int) -> Outcome<()> {
        if operation & libc::LOCK_UN != 0 {
            self.unlock_whole(owner);
            return Ok(());
        }
        let exclusive = operation & libc::LOCK_EX != 0;
        let is_held = self.exclusive.is_some_and(|holder| holder != owner);
        let is_shared = self.shared.iter().any(|holder| *holder != owner);
        if is_held || (exclusive && is_shared) {
            return Err(Errno(libc::EWOULDBLOCK));
        }
        self.unlock_whole(owner);
        if exclusive {
            self.exclusive = Some(owner);
        } else {
            self.shared.insert(owner);
        }
        Ok(())
    }

    fn unlock_whole(&mut self, owner: u64) {
        self.exclusive = self.exclusive.filter(|holder| *holder != owner);
        self.shared.remove(&owner);
    }

    /// Everything of an owner ends with its description.
    pub(super) fn release(&mut self, owner: u64) {
        self.unlock_whole(owner);
        self.ranges.retain(|range| range.owner != owner);
    }

    /// A lock of somebody else that is in the way of this one.
    pub(super) fn conflict(&self, wanted: &Range) -> Option<Range> {
        let in_way = |held: &&Range| {
            held.owner != wanted.owner && held.overlaps(wanted) && (held.exclusive || wanted.exclusive)
        };
        self.ranges.iter().find(in_way).copied()
    }

    /// Sets or clears a range; what the owner held inside it is replaced, what sticks out stays.
    pub(super) fn set_range(&mut self, range: Range, lock: bool) {
        let mut kept = Vec::new();
        for held in self.ranges.drain(..) {
            if held.owner != range.owner || !held.overlaps(&range) {
                kept.push(held);
                continue;
            }
            if held.start < range.start {
                kept.push(Range { end: range.start, ..held });
            }
            if range.end < held.end {
                kept.push(Range { start: range.end, ..held });
            }
        }
        if lock {
            kept.push(range);
        }
        self.ranges = kept;
    }
}
