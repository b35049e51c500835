//! The names of a disk: directories and the files in them, with a journal of changes that are not durable yet.
//!
//! When power is lost, a random part of the journal's end is undone, newest first.

use crate::symbol::{Errno, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// A change of names that a loss of power may undo.
#[derive(Debug)]
pub(super) enum Change {
    Created { path: String },
    Removed { path: String, inode: u64 },
    Renamed { from: String, to: String, replaced: Option<u64> },
    MovedDirectory { from: String, to: String },
    MadeDirectory { path: String },
    RemovedDirectory { path: String },
}

impl Change {
    /// The directory whose fsync makes the change durable.
    fn directory(&self) -> &str {
        parent(match self {
            Change::Created { path }
            | Change::Removed { path, .. }
            | Change::MadeDirectory { path }
            | Change::RemovedDirectory { path } => path,
            Change::Renamed { to, .. } | Change::MovedDirectory { to, .. } => to,
        })
    }

    /// The file that undoing the change would need.
    pub(super) fn pinned(&self) -> Option<u64> {
        match self {
            Change::Removed { inode, .. } => Some(*inode),
            Change::Renamed { replaced, .. } => *replaced,
            _ => None,
        }
    }
}

/// The directory tree of one disk. Paths are absolute and normalised.
#[derive(Debug)]
pub(super) struct Names {
    files: BTreeMap<String, u64>,
    directories: BTreeSet<String>,
    journal: Vec<Change>,
}

/// The directory of a normalised path.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

impl Names {
    /// A disk with nothing but its root.
    pub(super) fn new(root: &str) -> Names {
        Names { files: BTreeMap::new(), directories: BTreeSet::from([root.to_owned()]), journal: Vec::new() }
    }

    pub(super) fn file(&self, path: &str) -> Option<u64> {
        self.files.get(path).copied()
    }

    pub(super) fn is_directory(&self, path: &str) -> bool {
        self.directories.contains(path)
    }

    /// Fails unless a new name may be made here.
    fn check_parent(&self, path: &str) -> Outcome<()> {
        let above = parent(path);
        match self.is_directory(above) {
            true => Ok(()),
            false if self.files.contains_key(above) => Err(Errno(libc::ENOTDIR)),
            false => Err(Errno(libc::ENOENT)),
        }
    }

    pub(super) fn create(&mut self, path: &str, inode: u64) -> Outcome<()> {
        self.check_parent(path)?;
        self.files.insert(path.to_owned(), inode);
        self.journal.push(Change::Created { path: path.to_owned() });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Outcome<u64> {
        if self.is_directory(path) {
            return Err(Errno(libc::EISDIR));
        }
        let inode = self.files.remove(path).ok_or(Errno(libc::ENOENT))?;
        self.journal.push(Change::Removed { path: path.to_owned(), inode });
        Ok(inode)
    }

    /// Renames a file or a directory; returns the file that was replaced.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Outcome<Option<u64>> {
        self.check_parent(to)?;
        if self.is_directory(from) {
            let occupied = self.is_directory(to) && !self.list(to)?.is_empty();
            if occupied || to.starts_with(&format!("{from}/")) {
                return Err(Errno(if occupied { libc::ENOTEMPTY } else { libc::EINVAL }));
            }
            if from != to {
                self.move_directory(from, to);
                self.journal.push(Change::MovedDirectory { from: from.to_owned(), to: to.to_owned() });
            }
            return Ok(None);
        }
        if self.is_directory(to) {
            return Err(Errno(libc::EISDIR));
        }
        let inode = self.files.remove(from).ok_or(Errno(libc::ENOENT))?;
        let replaced = self.files.insert(to.to_owned(), inode).filter(|_| from != to);
        self.journal.push(Change::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(replaced)
    }

    fn move_directory(&mut self, from: &str, to: &str) {
        let below = format!("{from}/");
        let moved = |path: &String| (path == from || path.starts_with(&below)).then(|| path.clone());
        for path in self.files.keys().filter_map(moved).collect::<Vec<_>>() {
            if let Some(inode) = self.files.remove(&path) {
                self.files.insert(format!("{to}{}", &path[from.len()..]), inode);
            }
        }
        for path in self.directories.iter().filter_map(moved).collect::<Vec<_>>() {
            self.directories.remove(&path);
            self.directories.insert(format!("{to}{}", &path[from.len()..]));
        }
    }

    pub(super) fn make_directory(&mut self, path: &str) -> Outcome<()> {
        if self.is_directory(path) || self.files.contains_key(path) {
            return Err(Errno(libc::EEXIST));
        }
        self.check_parent(path)?;
        self.directories.insert(path.to_owned());
        self.journal.push(Change::MadeDirectory { path: path.to_owned() });
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &str) -> Outcome<()> {
        if !self.list(path)?.is_empty() {
            return Err(Errno(libc::ENOTEMPTY));
        }
        self.directories.remove(path);
        self.journal.push(Change::RemovedDirectory { path: path.to_owned() });
        Ok(())
    }

    /// The entries of a directory, in order, and whether each is a directory itself.
    pub(super) fn list(&self, path: &str) -> Outcome<Vec<(String, bool)>> {
        if !self.is_directory(path) {
            let is_file = self.files.contains_key(path);
            return Err(Errno(if is_file { libc::ENOTDIR } else { libc::ENOENT }));
        }
        let below = format!("{path}/");
        let entry = |full: &String| {
            let name = full.strip_prefix(&below)?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        let files = self.files.range(below.clone()..).take_while(|(full, _)| full.starts_with(&below));
        let directories = self.directories.range(below.clone()..).take_while(|full| full.starts_with(&below));
        let mut entries: Vec<(String, bool)> =
            files.filter_map(|(full, _)| entry(full)).map(|name| (name, false)).collect();
        entries.extend(directories.filter_map(entry).map(|name| (name, true)));
        Ok(entries)
    }

    /// All changes are durable now. Returns what no longer needs to be kept for an undo.
    pub(super) fn sync_all(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.journal)
    }

    /// The changes of one directory are durable now.
    pub(super) fn sync_directory(&mut self, path: &str) -> Vec<Change> {
        let (durable, open) =
            std::mem::take(&mut self.journal).into_iter().partition(|change| change.directory() == path);
        self.journal = open;
        durable
    }

    /// How many changes are not durable.
    pub(super) fn pending(&self) -> usize {
        self.journal.len()
    }

    /// Undoes the newest change. Returns it, and the files that lost their names with it.
    pub(super) fn undo_last(&mut self) -> Option<(Change, Vec<u64>)> {
        let change = self.journal.pop()?;
        let mut nameless = Vec::new();
        match &change {
            Change::Created { path } => nameless.extend(self.files.remove(path)),
            Change::Removed { path, inode } => nameless.extend(self.files.insert(path.clone(), *inode)),
            Change::Renamed { from, to, replaced } => {
                if let Some(inode) = self.files.remove(to) {
                    nameless.extend(self.files.insert(from.clone(), inode));
                }
                if let Some(replaced) = replaced {
                    self.files.insert(to.clone(), *replaced);
                }
            }
            Change::MovedDirectory { from, to } => self.move_directory(&to.clone(), &from.clone()),
            Change::MadeDirectory { path } => {
                let below = format!("{path}/");
                let lost: Vec<String> =
                    self.files.keys().filter(|full| full.starts_with(&below)).cloned().collect();
                nameless.extend(lost.iter().filter_map(|full| self.files.remove(full)));
                self.directories.retain(|full| full != path && !full.starts_with(&below));
            }
            Change::RemovedDirectory { path } => {
                self.directories.insert(path.clone());
            }
        }
        Some((change, nameless))
    }

    /// Forgets the journal: what is here now is what the disk holds.
    pub(super) fn settle(&mut self) {
        self.journal.clear();
    }

    /// How many names each file has.
    pub(super) fn links(&self) -> BTreeMap<u64, u32> {
        let mut links = BTreeMap::new();
        for inode in self.files.values() {
            *links.entry(*inode).or_insert(0) += 1;
        }
        links
    }
}
