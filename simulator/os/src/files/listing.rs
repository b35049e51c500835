//! Reading directories: `opendir` and its family.

use super::paths::on_path;
use crate::descriptor::{Kind, is_virtual};
use crate::kernel::{self, Kernel};
use crate::symbol::{Errno, Outcome, interpose, set_errno};
use libc::{c_char, c_int, c_void, dirent64};
use std::collections::BTreeMap;
use std::{mem, ptr};

/// A directory being read.
struct Listing {
    entries: Vec<(String, bool)>,
    next: usize,
    /// What the last call returned; valid until the next one.
    entry: dirent64,
    descriptor: c_int,
}

/// The directories being read, by the address that the program holds as its `DIR`.
#[derive(Default)]
pub(crate) struct Listings(BTreeMap<usize, Box<Listing>>);

impl std::fmt::Debug for Listings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} directories being read", self.0.len())
    }
}

impl Kernel {
    fn open_listing(&mut self, host: u32, path: &str, descriptor: Option<c_int>) -> Outcome<*mut c_void> {
        let mut entries = self.disk(host).names.list(path)?;
        entries.extend([(".".to_owned(), true), ("..".to_owned(), true)]);
        let descriptor =
            descriptor.unwrap_or_else(|| self.table.open(host, Kind::Directory(path.to_owned()), false));
        // SAFETY: `dirent64` is plain numbers, for which all zero is valid.
        let entry = unsafe { mem::zeroed() };
        let mut listing = Box::new(Listing { entries, next: 0, entry, descriptor });
        let pointer: *mut Listing = &mut *listing;
        self.listings.0.insert(pointer as usize, listing);
        Ok(pointer.cast())
    }

    /// The directory behind an open descriptor.
    fn listing_of(&mut self, descriptor: c_int) -> Outcome<*mut c_void> {
        let object = self.table.get(descriptor)?;
        let Kind::Directory(path) = &object.kind else { return Err(Errno(libc::ENOTDIR)) };
        let (host, path) = (object.host, path.clone());
        self.open_listing(host, &path, Some(descriptor))
    }
}

impl Listing {
    fn advance(&mut self) -> *mut dirent64 {
        let Some((name, directory)) = self.entries.get(self.next) else { return ptr::null_mut() };
        self.next += 1;
        self.entry.d_ino = self.next as u64;
        self.entry.d_type = if *directory { libc::DT_DIR } else { libc::DT_REG };
        self.entry.d_reclen = size_of::<dirent64>() as u16;
        self.entry.d_name.fill(0);
        for (into, byte) in self.entry.d_name.iter_mut().zip(name.bytes().take(255)) {
            *into = byte as c_char;
        }
        &mut self.entry
    }
}

/// Hands a listing to the program, or null with `errno` set.
fn pointer(outcome: Outcome<*mut c_void>) -> *mut c_void {
    outcome.unwrap_or_else(|error| {
        set_errno(error);
        ptr::null_mut()
    })
}

/// The virtual listing behind a `DIR`, if it is one.
fn on_listing<T>(directory: *mut c_void, visit: impl FnOnce(&mut Listing) -> T) -> Option<T> {
    kernel::with(|kernel| kernel.listings.0.get_mut(&(directory as usize)).map(|listing| visit(listing)))?
}

interpose! {
    /// Opens a directory for reading.
    fn opendir(path: *const c_char) -> *mut c_void {
        // SAFETY: the contract of opendir.
        unsafe {
            on_path(libc::AT_FDCWD, path, ptr::null_mut(), |kernel, host, path| {
                kernel.open_listing(host, path, None)
            })
        }
    }

    /// Reads a directory that is open already.
    fn fdopendir(descriptor: c_int) -> *mut c_void {
        if is_virtual(descriptor) {
            kernel::with(|kernel| pointer(kernel.listing_of(descriptor)))
        } else {
            None
        }
    }

    /// The next entry.
    fn readdir64(directory: *mut c_void) -> *mut dirent64 {
        on_listing(directory, Listing::advance)
    }

    /// The descriptor of a directory being read.
    fn dirfd(directory: *mut c_void) -> c_int {
        on_listing(directory, |listing| listing.descriptor)
    }

    /// Ends the reading.
    fn closedir(directory: *mut c_void) -> c_int {
        kernel::with(|kernel| {
            let listing = kernel.listings.0.remove(&(directory as usize))?;
            let _ = kernel.close(listing.descriptor);
            Some(0)
        })
        .flatten()
    }
}
