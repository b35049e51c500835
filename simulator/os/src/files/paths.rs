//! Calls on names: opening, renaming, removing, asking.

use super::{ROOT, Status};
use crate::descriptor::{Kind, is_virtual};
use crate::kernel::{self, Kernel};
use crate::symbol::{Errno, Outcome, interpose, reply, set_errno};
use crate::trace::Digest;
use libc::{c_char, c_int, c_uint, mode_t, stat64 as Stat, statx as Statx};
use std::ffi::{CStr, CString};
use std::{mem, ptr};

/// Files of the machine that std reads to count processors, and others to learn the time zone: they do not exist, so that
/// both are the same everywhere.
const HIDDEN: [&str; 4] = ["/proc/self/cgroup", "/sys/fs/cgroup", "/etc/localtime", "/usr/share/zoneinfo"];

/// A path without empty, `.` and `..` parts.
fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Where a path leads.
enum Place {
    /// To the running host's disk.
    Virtual(u32, String),
    /// To something that simulated machines do not have.
    Hidden,
    /// Out of the simulation.
    Real,
}

impl Kernel {
    fn locate(&self, directory: c_int, path: &str) -> Place {
        if !path.starts_with('/') {
            return match self.table.get(directory) {
                Ok(object) => match &object.kind {
                    Kind::Directory(above) => {
                        Place::Virtual(object.host, normalise(&format!("{above}/{path}")))
                    }
                    _ => Place::Real,
                },
                Err(_) => Place::Real,
            };
        }
        let full = normalise(path);
        match full.strip_prefix(ROOT) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => match self.running() {
                Ok(host) => Place::Virtual(host, full),
                Err(_) => Place::Real,
            },
            _ if HIDDEN.iter().any(|hidden| full.starts_with(hidden)) => Place::Hidden,
            _ => Place::Real,
        }
    }

    fn open_path(&mut self, host: u32, path: &str, flags: c_int, mode: mode_t) -> Outcome<c_int> {
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        if self.dying && (writes || flags & (libc::O_CREAT | libc::O_TRUNC) != 0) {
            self.counters.suppressed += 1;
            return Err(Errno(libc::EIO));
        }
        if self.disk(host).names.is_directory(path) {
            if writes {
                return Err(Errno(libc::EISDIR));
            }
            return Ok(self.table.open(host, Kind::Directory(path.to_owned()), false));
        }
        let exists = self.disk(host).names.file(path).is_some();
        if flags & libc::O_DIRECTORY != 0 {
            return Err(Errno(if exists { libc::ENOTDIR } else { libc::ENOENT }));
        }
        let creates = !exists && flags & libc::O_CREAT != 0;
        let truncates = exists && writes && flags & libc::O_TRUNC != 0;
        if creates || truncates {
            self.change_disk(host)?;
        }
        let now = self.local_now();
        let file = self.disk(host).open(path, flags, mode, now)?;
        if creates || truncates {
            let words = [file.inode, Digest::of(path.as_bytes())];
            let verb = if creates { "created" } else { "emptied" };
            self.record_file(host, words, || format!("file {} {verb}: {path}", words[0]));
        }
        Ok(self.table.open(host, Kind::File(file), false))
    }

    /// A change of names: gate, deed, record.
    fn change_names(
        &mut self,
        host: u32,
        verb: &'static str,
        path: &str,
        change: impl FnOnce(&mut super::Disk) -> Outcome<()>,
    ) -> Outcome<c_int> {
        self.change_disk(host)?;
        let outcome = change(self.disk(host));
        let words = [Digest::of(path.as_bytes()), Digest::of(verb.as_bytes()) ^ u64::from(outcome.is_ok())];
        self.record_file(host, words, || format!("{verb} {path}: {outcome:?}"));
        outcome.map(|()| 0)
    }

    fn rename_path(&mut self, host: u32, from: &str, to: &str) -> Outcome<c_int> {
        let both = format!("{from} > {to}");
        self.change_names(host, "rename", &both, |disk| disk.rename(from, to))
    }

    fn remove_path(&mut self, host: u32, path: &str, directory: bool) -> Outcome<c_int> {
        self.change_names(host, "remove", path, |disk| match directory {
            true => disk.names.remove_directory(path),
            false => disk.remove(path),
        })
    }

    fn status_of_descriptor(&mut self, descriptor: c_int) -> Outcome<Status> {
        let object = self.table.get(descriptor)?;
        let host = object.host;
        match &object.kind {
            Kind::File(file) => {
                let number = file.inode;
                self.disk(host).status(number)
            }
            Kind::Directory(path) => {
                let path = path.clone();
                self.disk(host).status_of(&path)
            }
            _ => {
                let socket = Status { directory: false, length: 0, inode: 0, modified: 0, mode: 0o600 };
                Ok(socket)
            }
        }
    }
}

/// Takes a call on a path when it is virtual or hidden; a real one inside a turn is an escape.
///
/// # Safety
/// `path` must be a C string.
pub(super) unsafe fn on_path<T>(
    directory: c_int,
    path: *const c_char,
    failed: T,
    visit: impl FnOnce(&mut Kernel, u32, &str) -> Outcome<T>,
) -> Option<T> {
    // SAFETY: the caller promises a C string.
    let text = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    let outcome = kernel::in_turn(|kernel| match kernel.locate(directory, text) {
        Place::Virtual(host, full) => Some(visit(kernel, host, &full)),
        Place::Hidden => Some(Err(Errno(libc::ENOENT))),
        Place::Real => {
            kernel.leak("a path outside /sim");
            None
        }
    })??;
    Some(outcome.unwrap_or_else(|error| {
        set_errno(error);
        failed
    }))
}

/// `open` and its like.
///
/// # Safety
/// As `openat`.
unsafe fn open_at(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> Option<c_int> {
    // SAFETY: the contract of openat.
    unsafe { on_path(directory, path, -1, |kernel, host, path| kernel.open_path(host, path, flags, mode)) }
}

/// The mode word of `stat`: type and permissions.
fn mode_of(status: &Status) -> u32 {
    status.mode | if status.directory { libc::S_IFDIR } else { libc::S_IFREG }
}

/// `stat` and its like.
///
/// # Safety
/// As `stat64`.
unsafe fn status(path: *const c_char, into: *mut Stat) -> Option<c_int> {
    // SAFETY: the contract of stat64.
    unsafe {
        on_path(libc::AT_FDCWD, path, -1, |kernel, host, path| {
            let status = kernel.disk(host).status_of(path)?;
            write_status(&status, into);
            Ok(0)
        })
    }
}

/// `fstat` and its like.
///
/// # Safety
/// As `fstat64`.
unsafe fn status_of_open(descriptor: c_int, into: *mut Stat) -> Option<c_int> {
    crate::descriptor::on_virtual(descriptor, -1, |kernel| {
        let status = kernel.status_of_descriptor(descriptor)?;
        // SAFETY: the contract of fstat64.
        unsafe { write_status(&status, into) };
        Ok(0)
    })
}

/// Writes a status in the layout of `stat64`.
///
/// # Safety
/// `into` must be valid for writes.
unsafe fn write_status(status: &Status, into: *mut Stat) {
    // SAFETY: `stat64` is plain numbers, for which all zero is valid.
    let mut answer: Stat = unsafe { mem::zeroed() };
    answer.st_ino = status.inode;
    answer.st_nlink = 1;
    answer.st_size = status.length as i64;
    answer.st_blksize = 4_096;
    answer.st_blocks = status.length.div_ceil(512) as i64;
    answer.st_mode = mode_of(status);
    answer.st_mtime = Kernel::wall_seconds(status.modified);
    answer.st_mtime_nsec = (status.modified % 1_000_000_000) as i64;
    // SAFETY: the caller promises the place.
    unsafe { into.write(answer) };
}

/// `statx`, for the symbol and for the system call.
///
/// # Safety
/// As `statx`.
pub(crate) unsafe fn status_at(directory: c_int, path: *const c_char, into: *mut Statx) -> Option<c_int> {
    // SAFETY: the contract of statx; a null path only asks whether the call exists.
    let (asks_path, asks_descriptor) =
        unsafe { (!path.is_null() && *path != 0, !path.is_null() && *path == 0) };
    let write = |status: &Status| {
        // SAFETY: `statx` is plain numbers, for which all zero is valid.
        let mut answer: Statx = unsafe { mem::zeroed() };
        answer.stx_mask = libc::STATX_BASIC_STATS;
        answer.stx_blksize = 4_096;
        answer.stx_nlink = 1;
        answer.stx_ino = status.inode;
        answer.stx_size = status.length;
        answer.stx_blocks = status.length.div_ceil(512);
        answer.stx_mode = mode_of(status) as u16;
        answer.stx_mtime.tv_sec = Kernel::wall_seconds(status.modified);
        answer.stx_mtime.tv_nsec = (status.modified % 1_000_000_000) as u32;
        // SAFETY: the contract of statx.
        unsafe { into.write(answer) };
        0
    };
    if asks_path {
        // SAFETY: the contract of statx.
        return unsafe {
            on_path(directory, path, -1, |kernel, host, path| Ok(write(&kernel.disk(host).status_of(path)?)))
        };
    }
    if asks_descriptor && is_virtual(directory) {
        return kernel::with(|kernel| {
            reply(kernel.status_of_descriptor(directory).map(|status| write(&status)))
        });
    }
    None
}

interpose! {
    /// Opens a file.
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the contract of open.
        unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
    }

    /// Opens a file.
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the contract of open64.
        unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
    }

    /// Opens a file below a directory.
    fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the contract of openat.
        unsafe { open_at(directory, path, flags, mode) }
    }

    /// Opens a file below a directory.
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the contract of openat64.
        unsafe { open_at(directory, path, flags, mode) }
    }

    /// Asks about a file.
    fn stat(path: *const c_char, into: *mut Stat) -> c_int {
        // SAFETY: the contract of stat, whose structure is stat64 on 64-bit Linux.
        unsafe { status(path, into) }
    }

    /// Asks about a file.
    fn stat64(path: *const c_char, into: *mut Stat) -> c_int {
        // SAFETY: the contract of stat64.
        unsafe { status(path, into) }
    }

    /// Asks about a file; there are no links.
    fn lstat(path: *const c_char, into: *mut Stat) -> c_int {
        // SAFETY: the contract of lstat.
        unsafe { status(path, into) }
    }

    /// Asks about a file; there are no links.
    fn lstat64(path: *const c_char, into: *mut Stat) -> c_int {
        // SAFETY: the contract of lstat64.
        unsafe { status(path, into) }
    }

    /// Asks about an open file.
    fn fstat(descriptor: c_int, into: *mut Stat) -> c_int {
        // SAFETY: the contract of fstat.
        unsafe { status_of_open(descriptor, into) }
    }

    /// Asks about an open file.
    fn fstat64(descriptor: c_int, into: *mut Stat) -> c_int {
        // SAFETY: the contract of fstat64.
        unsafe { status_of_open(descriptor, into) }
    }

    /// Asks about a file.
    fn statx(directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, into: *mut Statx) -> c_int {
        // SAFETY: the contract of statx.
        unsafe { status_at(directory, path, into) }
    }

    /// Renames.
    fn rename(from: *const c_char, to: *const c_char) -> c_int {
        // SAFETY: the contract of rename.
        unsafe {
            on_path(libc::AT_FDCWD, from, -1, |kernel, host, from| {
                let to = CStr::from_ptr(to).to_str().map_err(|_| Errno(libc::EINVAL))?;
                match kernel.locate(libc::AT_FDCWD, to) {
                    Place::Virtual(_, to) => kernel.rename_path(host, from, &to),
                    Place::Hidden | Place::Real => Err(Errno(libc::EXDEV)),
                }
            })
        }
    }

    /// Removes a file.
    fn unlink(path: *const c_char) -> c_int {
        // SAFETY: the contract of unlink.
        unsafe {
            on_path(libc::AT_FDCWD, path, -1, |kernel, host, path| kernel.remove_path(host, path, false))
        }
    }

    /// Removes a file or directory below a directory.
    fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
        let removes = flags & libc::AT_REMOVEDIR != 0;
        // SAFETY: the contract of unlinkat.
        unsafe { on_path(directory, path, -1, |kernel, host, path| kernel.remove_path(host, path, removes)) }
    }

    /// Makes a directory.
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: the contract of mkdir.
        unsafe {
            on_path(libc::AT_FDCWD, path, -1, |kernel, host, path| {
                kernel.change_names(host, "make directory", path, |disk| disk.names.make_directory(path))
            })
        }
    }

    /// Removes a directory.
    fn rmdir(path: *const c_char) -> c_int {
        // SAFETY: the contract of rmdir.
        unsafe {
            on_path(libc::AT_FDCWD, path, -1, |kernel, host, path| kernel.remove_path(host, path, true))
        }
    }

    /// Asks whether a file is there.
    fn access(path: *const c_char, mode: c_int) -> c_int {
        // SAFETY: the contract of access.
        unsafe {
            on_path(libc::AT_FDCWD, path, -1, |kernel, host, path| {
                kernel.disk(host).status_of(path).map(|_| 0)
            })
        }
    }

    /// Changes a file's permission bits.
    fn chmod(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: the contract of chmod.
        unsafe {
            on_path(libc::AT_FDCWD, path, -1, |kernel, host, path| {
                kernel.change_disk(host)?;
                let disk = kernel.disk(host);
                if let Some(number) = disk.names.file(path) {
                    disk.inode(number).mode = mode & 0o7777;
                }
                disk.status_of(path).map(|_| 0)
            })
        }
    }

    /// The canonical form of a path.
    fn realpath(path: *const c_char, into: *mut c_char) -> *mut c_char {
        // SAFETY: the contract of realpath.
        unsafe {
            on_path(libc::AT_FDCWD, path, ptr::null_mut(), |kernel, host, path| {
                kernel.disk(host).status_of(path)?;
                let text = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
                if into.is_null() { Ok(libc::strdup(text.as_ptr())) } else { Ok(libc::strcpy(into, text.as_ptr())) }
            })
        }
    }
}
