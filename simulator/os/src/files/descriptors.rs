//! Calls on open files: reading, writing, syncing, locking.

use super::locks::Range;
use super::{Disk, OpenFile};
use crate::descriptor::{Kind, on_virtual};
use crate::kernel::Kernel;
use crate::memory::{self, Scatter};
use crate::symbol::{Errno, Outcome, interpose};
use crate::trace::Digest;
use libc::{c_int, flock64, off64_t, size_t, ssize_t};
use std::io::IoSlice;

/// Whether a command of `fcntl` is about locks.
pub(crate) fn is_lock(command: c_int) -> bool {
    matches!(
        command,
        libc::F_GETLK
            | libc::F_SETLK
            | libc::F_SETLKW
            | libc::F_OFD_GETLK
            | libc::F_OFD_SETLK
            | libc::F_OFD_SETLKW
    )
}

impl Kernel {
    fn open_file(&self, descriptor: c_int) -> Outcome<(u32, OpenFile)> {
        let object = self.table.get(descriptor)?;
        match object.kind {
            Kind::File(file) => Ok((object.host, file)),
            Kind::Directory(_) => Err(Errno(libc::EISDIR)),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    fn set_position(&mut self, descriptor: c_int, position: u64) -> Outcome<()> {
        if let Kind::File(file) = &mut self.table.get_mut(descriptor)?.kind {
            file.position = position;
        }
        Ok(())
    }

    /// `read` on a file.
    pub(crate) fn read_file(&mut self, descriptor: c_int, into: &mut Scatter<'_>) -> Outcome<isize> {
        let (_, file) = self.open_file(descriptor)?;
        let count = self.read_at(descriptor, into, file.position)?;
        self.set_position(descriptor, file.position + count as u64)?;
        Ok(count)
    }

    fn read_at(&mut self, descriptor: c_int, into: &mut Scatter<'_>, offset: u64) -> Outcome<isize> {
        let (host, file) = self.open_file(descriptor)?;
        if !file.readable {
            return Err(Errno(libc::EBADF));
        }
        Ok(into.put(self.host_mut(host).disk.inode(file.inode).from(offset)) as isize)
    }

    /// `write` on a file.
    pub(crate) fn write_file(&mut self, descriptor: c_int, pieces: &[IoSlice<'_>]) -> Outcome<isize> {
        let (host, file) = self.open_file(descriptor)?;
        let mut position = file.position;
        if file.append {
            position = self.host_mut(host).disk.inode(file.inode).len() as u64;
        }
        let start = position;
        for piece in pieces {
            position += self.write_at(descriptor, piece, position)? as u64;
        }
        self.set_position(descriptor, position)?;
        Ok((position - start) as isize)
    }

    fn write_at(&mut self, descriptor: c_int, bytes: &[u8], offset: u64) -> Outcome<isize> {
        let (host, file) = self.open_file(descriptor)?;
        if !file.writable {
            return Err(Errno(libc::EBADF));
        }
        self.change_disk(host)?;
        let start = usize::try_from(offset).map_err(|_| Errno(libc::EFBIG))?;
        let now = self.local_now();
        let disk = &mut self.host_mut(host).disk;
        let grows = (offset + bytes.len() as u64).saturating_sub(disk.inode(file.inode).len() as u64);
        disk.check_room(grows)?;
        disk.inode(file.inode).write(start, bytes, now);
        self.counters.file_writes += 1;
        self.counters.file_bytes += bytes.len() as u64;
        let words = [file.inode << 40 ^ offset, Digest::of(bytes)];
        self.record_file(host, words, || {
            format!("file {} written: {} bytes at {offset}", file.inode, bytes.len())
        });
        Ok(bytes.len() as isize)
    }

    fn seek(&mut self, descriptor: c_int, offset: i64, whence: c_int) -> Outcome<i64> {
        let (host, file) = self.open_file(descriptor)?;
        let base = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => file.position as i64,
            libc::SEEK_END => self.host_mut(host).disk.inode(file.inode).len() as i64,
            _ => return Err(Errno(libc::EINVAL)),
        };
        let position = base.checked_add(offset).filter(|to| *to >= 0).ok_or(Errno(libc::EINVAL))?;
        self.set_position(descriptor, position as u64)?;
        Ok(position)
    }

    fn set_length(&mut self, descriptor: c_int, length: i64) -> Outcome<c_int> {
        let (host, file) = self.open_file(descriptor)?;
        let length = usize::try_from(length).map_err(|_| Errno(libc::EINVAL))?;
        if !file.writable {
            return Err(Errno(libc::EINVAL));
        }
        self.change_disk(host)?;
        let now = self.local_now();
        let disk = &mut self.host_mut(host).disk;
        let grows = length.saturating_sub(disk.inode(file.inode).len());
        disk.check_room(grows as u64)?;
        disk.inode(file.inode).set_len(length, now);
        self.record_file(host, [file.inode << 40, length as u64], || {
            format!("file {} has now {length} bytes", file.inode)
        });
        Ok(0)
    }

    /// Reserves room: the file becomes at least so long.
    fn reserve(&mut self, descriptor: c_int, end: i64) -> Outcome<c_int> {
        let (host, file) = self.open_file(descriptor)?;
        let length = self.host_mut(host).disk.inode(file.inode).len() as i64;
        if end > length { self.set_length(descriptor, end) } else { Ok(0) }
    }

    fn sync(&mut self, descriptor: c_int) -> Outcome<c_int> {
        let object = self.table.get(descriptor)?;
        let host = object.host;
        let (number, directory) = match &object.kind {
            Kind::File(file) => (Some(file.inode), String::new()),
            Kind::Directory(path) => (None, path.clone()),
            _ => return Err(Errno(libc::EINVAL)),
        };
        self.change_disk(host)?;
        let (took, outcome) = self.host_mut(host).disk.sync(number, &directory);
        self.turn.lag += took;
        self.counters.file_syncs += 1;
        let words = [number.unwrap_or(0), took ^ u64::from(outcome.is_ok())];
        self.record_file(host, words, || match number {
            Some(number) => format!("file {number} synced in {took} ns: {outcome:?}"),
            None => format!("directory {directory} synced in {took} ns: {outcome:?}"),
        });
        outcome.map(|()| 0)
    }

    fn lock(&mut self, descriptor: c_int, operation: c_int) -> Outcome<c_int> {
        let (host, file) = self.open_file(descriptor)?;
        let locked = self.host_mut(host).disk.inode(file.inode).locks.lock_whole(file.owner, operation);
        if locked.is_err() && operation & libc::LOCK_NB == 0 {
            self.leak("a blocking flock");
        }
        locked.map(|()| 0)
    }

    /// The lock commands of `fcntl`.
    ///
    /// # Safety
    /// `lock` must point to a lock description.
    pub(crate) unsafe fn lock_range(
        &mut self,
        descriptor: c_int,
        command: c_int,
        lock: *mut flock64,
    ) -> Outcome<c_int> {
        let (host, file) = self.open_file(descriptor)?;
        // SAFETY: the caller promises the description.
        let lock = unsafe { &mut *lock };
        let inode = self.host_mut(host).disk.inode(file.inode);
        let base = match c_int::from(lock.l_whence) {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => file.position as i64,
            _ => inode.len() as i64,
        };
        let kind = c_int::from(lock.l_type);
        let start = (base + lock.l_start) as u64;
        let end = if lock.l_len == 0 { u64::MAX } else { start.saturating_add(lock.l_len as u64) };
        let wanted = Range::new(file.owner, start, end, kind == libc::F_WRLCK);
        let conflict = inode.locks.conflict(&wanted).filter(|_| kind != libc::F_UNLCK);
        if matches!(command, libc::F_GETLK | libc::F_OFD_GETLK) {
            describe(lock, conflict);
            return Ok(0);
        }
        if conflict.is_some() {
            if matches!(command, libc::F_SETLKW | libc::F_OFD_SETLKW) {
                self.leak("a blocking lock of a file's range");
            }
            return Err(Errno(libc::EAGAIN));
        }
        inode.locks.set_range(wanted, kind != libc::F_UNLCK);
        Ok(0)
    }
}

/// Answers who is in the way.
fn describe(lock: &mut flock64, conflict: Option<Range>) {
    let Some(held) = conflict else {
        lock.l_type = libc::F_UNLCK as i16;
        return;
    };
    lock.l_type = (if held.exclusive { libc::F_WRLCK } else { libc::F_RDLCK }) as i16;
    lock.l_whence = libc::SEEK_SET as i16;
    lock.l_start = held.start as i64;
    lock.l_len = if held.end == u64::MAX { 0 } else { (held.end - held.start) as i64 };
    lock.l_pid = -1;
}

/// `pread` and `pread64`.
///
/// # Safety
/// As `pread`.
unsafe fn read_at(descriptor: c_int, buffer: *mut u8, length: size_t, offset: off64_t) -> Option<ssize_t> {
    on_virtual(descriptor, -1, |kernel| {
        let offset = u64::try_from(offset).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the contract of pread.
        kernel.read_at(descriptor, &mut unsafe { Scatter::one(buffer, length) }, offset)
    })
}

/// `pwrite` and `pwrite64`.
///
/// # Safety
/// As `pwrite`.
unsafe fn write_at(descriptor: c_int, buffer: *const u8, length: size_t, offset: off64_t) -> Option<ssize_t> {
    on_virtual(descriptor, -1, |kernel| {
        let offset = u64::try_from(offset).map_err(|_| Errno(libc::EINVAL))?;
        // SAFETY: the contract of pwrite.
        kernel.write_at(descriptor, unsafe { memory::bytes(buffer, length) }, offset)
    })
}

interpose! {
    /// Reads at an offset.
    fn pread(descriptor: c_int, buffer: *mut u8, length: size_t, offset: off64_t) -> ssize_t {
        // SAFETY: the contract of pread.
        unsafe { read_at(descriptor, buffer, length, offset) }
    }

    /// Reads at an offset.
    fn pread64(descriptor: c_int, buffer: *mut u8, length: size_t, offset: off64_t) -> ssize_t {
        // SAFETY: the contract of pread64.
        unsafe { read_at(descriptor, buffer, length, offset) }
    }

    /// Writes at an offset.
    fn pwrite(descriptor: c_int, buffer: *const u8, length: size_t, offset: off64_t) -> ssize_t {
        // SAFETY: the contract of pwrite.
        unsafe { write_at(descriptor, buffer, length, offset) }
    }

    /// Writes at an offset.
    fn pwrite64(descriptor: c_int, buffer: *const u8, length: size_t, offset: off64_t) -> ssize_t {
        // SAFETY: the contract of pwrite64.
        unsafe { write_at(descriptor, buffer, length, offset) }
    }

    /// Moves the position.
    fn lseek(descriptor: c_int, offset: off64_t, whence: c_int) -> off64_t {
        on_virtual(descriptor, -1, |kernel| kernel.seek(descriptor, offset, whence))
    }

    /// Moves the position.
    fn lseek64(descriptor: c_int, offset: off64_t, whence: c_int) -> off64_t {
        on_virtual(descriptor, -1, |kernel| kernel.seek(descriptor, offset, whence))
    }

    /// Sets the length.
    fn ftruncate(descriptor: c_int, length: off64_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| kernel.set_length(descriptor, length))
    }

    /// Sets the length.
    fn ftruncate64(descriptor: c_int, length: off64_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| kernel.set_length(descriptor, length))
    }

    /// Reserves room.
    fn fallocate64(descriptor: c_int, mode: c_int, offset: off64_t, length: off64_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| match mode {
            0 => kernel.reserve(descriptor, offset + length),
            _ => Err(Errno(libc::EOPNOTSUPP)),
        })
    }

    /// Advice about reading ahead has no effect here.
    fn posix_fadvise64(descriptor: c_int, offset: off64_t, length: off64_t, advice: c_int) -> c_int {
        on_virtual(descriptor, 0, |_| Ok(0))
    }

    /// Makes a file or directory durable.
    fn fsync(descriptor: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| kernel.sync(descriptor))
    }

    /// Makes a file durable.
    fn fdatasync(descriptor: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| kernel.sync(descriptor))
    }

    /// Locks a whole file.
    fn flock(descriptor: c_int, operation: c_int) -> c_int {
        on_virtual(descriptor, -1, |kernel| kernel.lock(descriptor, operation))
    }

    /// Copies between files inside the kernel: not here; std falls back to reading and writing.
    fn copy_file_range(
        from: c_int,
        from_offset: *mut off64_t,
        to: c_int,
        to_offset: *mut off64_t,
        length: size_t,
        flags: u32,
    ) -> ssize_t {
        on_virtual(from.max(to), -1, |_| Err(Errno(libc::EINVAL)))
    }

    /// Copies between descriptors inside the kernel: not here; std falls back to reading and writing.
    fn sendfile64(to: c_int, from: c_int, offset: *mut off64_t, length: size_t) -> ssize_t {
        on_virtual(from.max(to), -1, |_| Err(Errno(libc::EINVAL)))
    }

    /// Moves bytes between descriptors inside the kernel: not here; std falls back to reading and writing.
    fn splice(
        from: c_int,
        from_offset: *mut off64_t,
        to: c_int,
        to_offset: *mut off64_t,
        length: size_t,
        flags: u32,
    ) -> ssize_t {
        on_virtual(from.max(to), -1, |_| Err(Errno(libc::EINVAL)))
    }

    /// Changes a file's permission bits.
    fn fchmod(descriptor: c_int, mode: libc::mode_t) -> c_int {
        on_virtual(descriptor, -1, |kernel| {
            let (host, file) = kernel.open_file(descriptor)?;
            kernel.change_disk(host)?;
            kernel.disk(host).inode(file.inode).mode = mode & 0o7777;
            Ok(0)
        })
    }
}

impl Kernel {
    /// A host's disk.
    pub(super) fn disk(&mut self, host: u32) -> &mut Disk {
        &mut self.host_mut(host).disk
    }
}
