//! The bytes of one file: what programs read, and what of it would survive a loss of power.
//!
//! A write dirties pages of 4 KiB and keeps what they held before; an fsync forgets that. When power is lost,
//! each dirty page is lost, kept, or torn by sectors of 512 bytes.

use super::locks::Locks;
use crate::entropy::Stream;
use crate::kernel::Counters;
use std::collections::BTreeMap;

/// The unit of write-back.
const PAGE: usize = 4_096;
/// The unit that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Pages with what they held when they were last durable.
type Pages = BTreeMap<usize, Vec<u8>>;

/// One file.
#[derive(Debug, Default)]
pub(super) struct Inode {
    bytes: Vec<u8>,
    durable_length: usize,
    dirty: Pages,
    /// Dirty pages that a failed fsync gave up: the kernel counts them as clean, later fsyncs pass them over,
    /// and they are not durable (as Linux does it).
    abandoned: Pages,
    pub(super) locks: Locks,
    /// Names of this file.
    pub(super) links: u32,
    /// Open descriptions of this file.
    pub(super) opens: u32,
    /// Journal entries that may bring a name of this file back.
    pub(super) pins: u32,
    /// The host's time of the last change, in nanoseconds.
    pub(super) modified: u64,
    pub(super) mode: u32,
}

impl Inode {
    pub(super) fn new(mode: u32, now: u64) -> Inode {
        Inode { links: 1, mode, modified: now, ..Inode::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes from an offset on.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset).map_or(self.bytes.len(), |start| start.min(self.bytes.len()));
        &self.bytes[start..]
    }

    /// Keeps what the pages of a range held, if that is not kept yet.
    fn touch(&mut self, from: usize, to: usize) {
        if to <= from {
            return;
        }
        for page in from / PAGE..=(to - 1) / PAGE {
            if self.dirty.contains_key(&page) {
                continue;
            }
            let before = self.abandoned.remove(&page).unwrap_or_else(|| {
                let start = (page * PAGE).min(self.bytes.len());
                let end = (start + PAGE).min(self.bytes.len());
                self.bytes[start..end].to_vec()
            });
            self.dirty.insert(page, before);
        }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8], now: u64) {
        let end = offset + bytes.len();
        self.touch(offset, end);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.modified = now;
    }

    pub(super) fn set_len(&mut self, length: usize, now: u64) {
        if length < self.bytes.len() {
            self.touch(length, self.bytes.len());
        }
        self.bytes.resize(length, 0);
        self.modified = now;
    }

    /// Everything written is durable now.
    pub(super) fn sync(&mut self) {
        self.dirty.clear();
        self.durable_length = self.bytes.len();
    }

    /// The disk refused: what was dirty is given up.
    pub(super) fn fail_sync(&mut self) {
        self.abandoned.append(&mut self.dirty);
    }

    /// Nobody has the file open any more.
    pub(super) fn forget_openers(&mut self) {
        self.opens = 0;
        self.locks = Locks::default();
    }

    /// Power is lost: decides the fate of what was not durable.
    pub(super) fn lose_power(&mut self, chance: &mut Stream, counters: &mut Counters) {
        let mut pages = std::mem::take(&mut self.dirty);
        pages.append(&mut self.abandoned);
        for (page, before) in pages {
            match chance.between(0, 3) {
                0 | 1 => {
                    counters.pages_lost += 1;
                    self.revert(page, &before, 0, PAGE);
                }
                2 => counters.pages_kept += 1,
                _ => {
                    counters.pages_torn += 1;
                    for sector in 0..PAGE / SECTOR {
                        if chance.chance(0.5) {
                            self.revert(page, &before, sector * SECTOR, (sector + 1) * SECTOR);
                        }
                    }
                }
            }
        }
        if self.bytes.len() != self.durable_length && chance.chance(0.5) {
            self.bytes.resize(self.durable_length, 0);
        }
        self.durable_length = self.bytes.len();
    }

    /// Puts back what a part of a page held before; what the file did not have then is zero.
    fn revert(&mut self, page: usize, before: &[u8], from: usize, to: usize) {
        for at in from..to {
            let Some(byte) = self.bytes.get_mut(page * PAGE + at) else { return };
            *byte = before.get(at).copied().unwrap_or(0);
        }
    }
}
