//! Virtual files: every path below `/sim` is private to the running host and lives on its virtual disk.
//!
//! [`Disk`] is the state, `descriptors` the calls on open files, `paths` the calls on names, `listing` the
//! reading of directories.

mod descriptors;
mod inode;
mod listing;
mod locks;
mod names;
mod paths;
#[cfg(test)]
mod tests;

use crate::entropy::Stream;
use crate::kernel::{Counters, Kernel};
use crate::symbol::{Errno, Outcome};
use crate::trace::Happening;
use inode::Inode;
use libc::c_int;
use names::{Change, Names};
use std::collections::BTreeMap;

pub(crate) use descriptors::is_lock;
pub(crate) use listing::Listings;
pub(crate) use paths::status_at;

/// The directory that all virtual files live below.
const ROOT: &str = "/sim";

/// How a disk behaves and misbehaves.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Least time of an fsync, in nanoseconds.
    pub sync_min: u64,
    /// Greatest time of an fsync, in nanoseconds.
    pub sync_max: u64,
    /// A file's fsync does not persist its name (POSIX); otherwise it does (ext4).
    pub strict_names: bool,
    /// Probability that an fsync fails with `EIO`.
    pub sync_failure: f64,
    /// fsync says success and does nothing.
    pub sync_lies: bool,
    /// Bytes that fit before writes fail with `ENOSPC`.
    pub capacity: Option<u64>,
}

/// One open description of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenFile {
    inode: u64,
    position: u64,
    append: bool,
    readable: bool,
    writable: bool,
    /// Tells lock owners apart.
    owner: u64,
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug)]
struct Status {
    directory: bool,
    length: u64,
    inode: u64,
    modified: u64,
    mode: u32,
}

/// The disk of one host. It outlives the host's crashes.
#[derive(Debug)]
pub struct Disk {
    inodes: BTreeMap<u64, Inode>,
    names: Names,
    last: u64,
    chance: Stream,
    faults: Faults,
    /// The host is to crash inside its n-th changing call from now.
    calls_left: Option<u64>,
}

impl Disk {
    pub(crate) fn new(chance: Stream) -> Disk {
        let names = Names::new(ROOT);
        Disk { inodes: BTreeMap::new(), names, last: 2, chance, faults: Faults::default(), calls_left: None }
    }

    /// How the disk misbehaves, to look at or change.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// The host shall crash inside its `count`-th changing call from now (0 is the next).
    pub fn crash_at_call(&mut self, count: Option<u64>) {
        self.calls_left = count;
    }

    /// A new disk in place of this one: everything on it is gone.
    pub fn wipe(&mut self) {
        self.inodes.clear();
        self.names = Names::new(ROOT);
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.len() as u64).sum()
    }

    /// A file that is known to exist.
    fn inode(&mut self, number: u64) -> &mut Inode {
        self.inodes
            .get_mut(&number)
            .expect("a file lives as long as it has a name, is open, or may come back")
    }

    /// Makes a directory and those above it, as the machine's installer would; durable at once. Does nothing if it is
    /// there: what is not durable stays so.
    pub fn install_directory(&mut self, path: &str) {
        if self.names.is_directory(path) {
            return;
        }
        let mut at = ROOT.len();
        while let Some(next) = path[at + 1..].find('/') {
            at += next + 1;
            let _ = self.names.make_directory(&path[..at]);
        }
        let _ = self.names.make_directory(path);
        self.unpin_all();
    }

    fn unpin_all(&mut self) {
        let durable = self.names.sync_all();
        self.unpin(&durable);
    }

    /// These changes can no longer be undone.
    fn unpin(&mut self, changes: &[Change]) {
        for number in changes.iter().filter_map(Change::pinned) {
            self.inode(number).pins -= 1;
            self.forget_if_unused(number);
        }
    }

    fn forget_if_unused(&mut self, number: u64) {
        let unused = |inode: &Inode| inode.links == 0 && inode.opens == 0 && inode.pins == 0;
        if self.inodes.get(&number).is_some_and(unused) {
            self.inodes.remove(&number);
        }
    }

    fn open(&mut self, path: &str, flags: c_int, mode: u32, now: u64) -> Outcome<OpenFile> {
        let number = match self.names.file(path) {
            Some(_) if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 => {
                return Err(Errno(libc::EEXIST));
            }
            Some(number) => number,
            None if flags & libc::O_CREAT == 0 => return Err(Errno(libc::ENOENT)),
            None => {
                self.last += 1;
                let number = self.last;
                self.names.create(path, number)?;
                self.inodes.insert(number, Inode::new(mode & 0o7755, now));
                number
            }
        };
        let access = flags & libc::O_ACCMODE;
        let writable = access != libc::O_RDONLY;
        let inode = self.inode(number);
        inode.opens += 1;
        if flags & libc::O_TRUNC != 0 && writable {
            inode.set_len(0, now);
        }
        self.last += 1;
        Ok(OpenFile {
            inode: number,
            position: 0,
            append: flags & libc::O_APPEND != 0,
            readable: access != libc::O_WRONLY,
            writable,
            owner: self.last,
        })
    }

    /// The last descriptor of a description is gone.
    pub(crate) fn close(&mut self, file: &OpenFile) {
        if let Some(inode) = self.inodes.get_mut(&file.inode) {
            inode.opens = inode.opens.saturating_sub(1);
            inode.locks.release(file.owner);
            self.forget_if_unused(file.inode);
        }
    }

    fn remove(&mut self, path: &str) -> Outcome<()> {
        let number = self.names.remove(path)?;
        let inode = self.inode(number);
        inode.links -= 1;
        inode.pins += 1;
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Outcome<()> {
        if let Some(replaced) = self.names.rename(from, to)? {
            let inode = self.inode(replaced);
            inode.links -= 1;
            inode.pins += 1;
        }
        Ok(())
    }

    /// Whether so many more bytes fit.
    fn check_room(&self, more: u64) -> Outcome<()> {
        match self.faults.capacity {
            Some(capacity) if self.used() + more > capacity => Err(Errno(libc::ENOSPC)),
            _ => Ok(()),
        }
    }

    /// Makes a file (or, without one, a directory) durable. Returns how long that took and how it ended.
    fn sync(&mut self, number: Option<u64>, directory: &str) -> (u64, Outcome<()>) {
        let took = self.chance.between(self.faults.sync_min, self.faults.sync_max);
        if self.chance.chance(self.faults.sync_failure) {
            if let Some(number) = number {
                self.inode(number).fail_sync();
            }
            return (took, Err(Errno(libc::EIO)));
        }
        if self.faults.sync_lies {
            return (took, Ok(()));
        }
        if let Some(number) = number {
            self.inode(number).sync();
        }
        let durable = match (number, self.faults.strict_names) {
            (Some(_), true) => Vec::new(),
            (None, true) => self.names.sync_directory(directory),
            (_, false) => self.names.sync_all(),
        };
        self.unpin(&durable);
        (took, Ok(()))
    }

    fn status_of(&self, path: &str) -> Outcome<Status> {
        if self.names.is_directory(path) {
            return Ok(Status { directory: true, length: 4_096, inode: 2, modified: 0, mode: 0o755 });
        }
        self.status(self.names.file(path).ok_or(Errno(libc::ENOENT))?)
    }

    fn status(&self, number: u64) -> Outcome<Status> {
        let inode = self.inodes.get(&number).ok_or(Errno(libc::ENOENT))?;
        let (length, modified) = (inode.len() as u64, inode.modified);
        Ok(Status { directory: false, length, inode: number, modified, mode: inode.mode })
    }

    /// The host died. When its machine lost power too, what was not durable meets its fate.
    pub(crate) fn crash(&mut self, machine_survives: bool, counters: &mut Counters) {
        self.calls_left = None;
        self.inodes.values_mut().for_each(Inode::forget_openers);
        if machine_survives {
            // The kernel lives: what was written is still in its cache.
            let unused = |inode: &Inode| inode.links == 0 && inode.pins == 0;
            self.inodes.retain(|_, inode| !unused(inode));
            return;
        }
        let undone = self.chance.between(0, self.names.pending() as u64);
        for _ in 0..undone {
            self.names.undo_last();
            counters.names_lost += 1;
        }
        self.names.settle();
        let links = self.names.links();
        self.inodes.retain(|number, _| links.contains_key(number));
        for (number, inode) in &mut self.inodes {
            inode.links = links[number];
            inode.pins = 0;
            inode.lose_power(&mut self.chance, counters);
        }
    }
}

impl Kernel {
    /// Gate of every call that changes a disk: the place where an appointed crash strikes, and where a dying
    /// host's destructors find nothing to write to.
    fn change_disk(&mut self, host: u32) -> Outcome<()> {
        if !self.dying {
            match &mut self.host_mut(host).disk.calls_left {
                Some(0) => self.doom(host),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        if self.dying {
            self.counters.suppressed += 1;
            return Err(Errno(libc::EIO));
        }
        Ok(())
    }

    /// Records a change of a disk.
    fn record_file(&mut self, host: u32, words: [u64; 2], text: impl FnOnce() -> String) {
        self.record_on(Some(host), Happening::File, words, text);
    }
}
