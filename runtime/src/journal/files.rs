//! The segments of a journal. All of this blocks, and runs in jobs.

use crate::host::{make_directory, sync_directory};
use bytes::Bytes;
use odeon_core::journal::{
    BATCH_HEAD, BatchHead, Contradiction, Index, Missing, Place, Record, RecordError, SEGMENT_HEAD,
    SegmentError, SegmentHead, Tail, records, scan,
};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the files of segments end; they begin with their positions.
const SUFFIX: &str = ".journal";
/// A segment that is being made.
const NEXT: &str = "next";
/// Whoever has it locked has the journal.
const LOCK: &str = "lock";
/// The smallest segment.
const SEGMENT_MIN: u64 = 64 << 10;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refuses.
    #[error("{path}: {error}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Somebody else has it.
    #[error("{0}: another process has this journal open")]
    Locked(PathBuf),
    /// It was begun before, and nothing of it is there. The replicas of this node must not vote without it.
    #[error(
        "{0} has no journal any more: what was promised is lost, so this node must not vote as the replica that it was"
    )]
    Gone(PathBuf),
    /// What was relied upon is not there any more. The replicas of this node must not vote with what is left.
    #[error(
        "{path} has rotted at byte {at}: what was promised may be lost, so this node must not vote as the replica that \
         it was"
    )]
    Rotten {
        /// Which segment.
        path: PathBuf,
        /// Where.
        at: u64,
    },
    /// A segment is missing, or not the one that should be there.
    #[error("{path} does not go on where the segment before it ends, at {expected}: one is missing")]
    Gap {
        /// Which segment.
        path: PathBuf,
        /// Where the one before it ends.
        expected: u64,
    },
    /// It is no segment that this version reads.
    #[error("{path}: {error}")]
    Segment {
        /// Which.
        path: PathBuf,
        /// What it is.
        error: SegmentError,
    },
    /// It is a segment, but this version does not know what it says.
    #[error("{path}: {error}")]
    Record {
        /// Which.
        path: PathBuf,
        /// What is not known.
        error: RecordError,
    },
    /// What it says makes no sense.
    #[error("{path}: {error}")]
    Contradiction {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Contradiction,
    },
    /// Entries are missing.
    #[error("{directory}: {missing}")]
    Missing {
        /// Where.
        directory: PathBuf,
        /// Which.
        missing: Missing,
    },
    /// The job did not run, or has panicked.
    #[error("{0}")]
    Blocking(String),
}

/// The files of an open journal.
pub(super) struct Files {
    directory: PathBuf,
    segment_bytes: u64,
    /// By where they begin.
    segments: BTreeMap<u64, Arc<File>>,
    /// The end of the last batch.
    end: u64,
    /// Its checksum.
    chain: u32,
    /// All before this is durable.
    synced: u64,
    /// Locked for as long as it is open.
    lock: Option<File>,
}

/// Segments that are read one after the other, oldest first.
#[derive(Default)]
struct Reading {
    /// Whether there was one.
    begun: bool,
    /// Where the last one ends.
    end: u64,
    chain: u32,
    /// All before this was durable.
    synced: u64,
    index: Index,
}

impl Reading {
    /// Reads the next one. True if its tail is torn.
    fn segment(&mut self, path: &Path, position: u64, last: bool) -> Result<bool, OpenError> {
        let at = || path.to_owned();
        let bytes = fs::read(path).map_err(|error| OpenError::Io { path: at(), error })?;
        let (head, checksum) = SegmentHead::read(&bytes).map_err(|error| match error {
            // it had its head before it had its name
            SegmentError::Short | SegmentError::Checksum => OpenError::Rotten { path: at(), at: 0 },
            error => OpenError::Segment { path: at(), error },
        })?;
        if head.position != position || (self.begun && (position, head.chain) != (self.end, self.chain)) {
            return Err(OpenError::Gap { path: at(), expected: self.end });
        }
        let found = scan(&bytes, (&head, checksum), |batch| {
            let body = batch.head.position + BATCH_HEAD as u64;
            for located in records(batch.body) {
                let located = located.map_err(|error| OpenError::Record { path: at(), error })?;
                self.index
                    .apply(&located.record, body + located.at as u64)
                    .map_err(|error| OpenError::Contradiction { path: at(), error })?;
            }
            Ok(())
        })?;
        (self.begun, self.end, self.chain, self.synced) = (true, found.end, found.chain, found.synced);
        match found.tail {
            Tail::Whole => Ok(false),
            Tail::Torn if last => Ok(true),
            Tail::Torn | Tail::Rotten => Err(OpenError::Rotten { path: at(), at: found.end - position }),
        }
    }

    /// What all of them say.
    fn index(self, directory: &Path) -> Result<Index, OpenError> {
        match self.index.check() {
            Ok(()) => Ok(self.index),
            Err(missing) => Err(OpenError::Missing { directory: directory.to_owned(), missing }),
        }
    }
}

/// Whether a journal that nobody has open could be opened. Reads all of it and changes nothing.
///
/// # Errors
/// It could not. A directory that is not there is one without segments.
pub(super) fn inspect(directory: &Path, must_exist: bool) -> Result<(), OpenError> {
    let found = match list(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(OpenError::Io { path: directory.to_owned(), error }),
    };
    if must_exist && found.is_empty() {
        return Err(OpenError::Gone(directory.to_owned()));
    }
    let (mut read, last) = (Reading::default(), found.last().copied());
    for position in found {
        read.segment(&path(directory, position), position, Some(position) == last)?;
    }
    read.index(directory).map(|_| ())
}

fn path(directory: &Path, position: u64) -> PathBuf {
    directory.join(format!("{position:020}{SUFFIX}"))
}

/// What reads entries, whatever is written meanwhile.
pub(super) struct Readers(BTreeMap<u64, Arc<File>>);

impl Files {
    /// Reads all that is there.
    pub(super) fn open(
        directory: PathBuf,
        segment_bytes: u64,
        must_exist: bool,
    ) -> Result<(Self, Index), OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { path, error }
        };
        make_directory(&directory).map_err(at(&directory))?;
        let lock = directory.join(LOCK);
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(&lock).map_err(at(&lock))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked(directory.clone()),
            TryLockError::Error(error) => OpenError::Io { path: directory.clone(), error },
        })?;
        let found = list(&directory).map_err(at(&directory))?;
        if must_exist && found.is_empty() {
            return Err(OpenError::Gone(directory));
        }
        // a name that is found here may only be in memory, if the process that gave it has died before it synced it
        sync_directory(&directory).map_err(at(&directory))?;
        let (mut files, mut read) = (
            Self {
                segment_bytes: segment_bytes.max(SEGMENT_MIN),
                segments: BTreeMap::new(),
                end: 0,
                chain: 0,
                synced: 0,
                directory,
                lock: Some(lock),
            },
            Reading::default(),
        );
        let last = found.last().copied();
        for position in found {
            files.load(&mut read, position, Some(position) == last)?;
        }
        let index = read.index(&files.directory)?;
        if files.segments.is_empty() {
            files
                .begin_segment(&[])
                .map_err(|error| OpenError::Io { path: files.directory.clone(), error })?;
        }
        Ok((files, index))
    }

    /// Others may open the journal from now on.
    pub(super) fn release(&mut self) {
        self.lock = None;
    }

    /// Opens a segment. What a crash has torn is cut off.
    fn load(&mut self, read: &mut Reading, position: u64, last: bool) -> Result<(), OpenError> {
        let path = path(&self.directory, position);
        let io = |error| OpenError::Io { path: path.clone(), error };
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(io)?;
        if read.segment(&path, position, last)? {
            let at = read.end - position;
            tracing::info!(path = %path.display(), at, "what a crash has torn is cut off");
            file.set_len(at).and_then(|()| file.sync_all()).map_err(io)?;
        }
        if last {
            write_again(&path, &file, read.synced - position..read.end - position).map_err(io)?;
        }
        (self.end, self.chain, self.synced) = (read.end, read.chain, read.end);
        self.segments.insert(position, Arc::new(file));
        Ok(())
    }

    fn current(&self) -> (u64, &Arc<File>) {
        let (position, file) = self.segments.last_key_value().expect("one is open");
        (*position, file)
    }

    /// Begins another segment if a batch of so many bytes would make this one too long.
    pub(super) fn make_room(
        &mut self,
        bytes: usize,
        summary: impl FnOnce() -> Vec<Record<Vec<u8>>>,
    ) -> Result<(), String> {
        let (begin, file) = self.current();
        let used = self.end - begin;
        if used <= SEGMENT_HEAD as u64 || used + bytes as u64 <= self.segment_bytes {
            return Ok(());
        }
        // the mark at its end was written and not synced
        let synced = file.sync_data();
        let begun = synced.and_then(|()| self.begin_segment(&summary()));
        begun.map_err(|error| {
            format!("{}: another segment cannot be begun: {error}", self.directory.display())
        })
    }

    /// Begins a segment that says this. It has its name once all of it is durable.
    fn begin_segment(&mut self, summary: &[Record<Vec<u8>>]) -> io::Result<()> {
        let (head, chain) = SegmentHead { position: self.end, chain: self.chain }.write();
        let mut bytes = head.to_vec();
        let position = self.end + bytes.len() as u64;
        let mut batch = vec![0; BATCH_HEAD];
        summary.iter().for_each(|record| record.write(&mut batch));
        let chain = BatchHead { position, synced: self.end, chain }.seal(&mut batch);
        bytes.extend_from_slice(&batch);
        let (next, path) = (self.directory.join(NEXT), path(&self.directory, self.end));
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&next)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&next, &path)?;
        sync_directory(&self.directory)?;
        let begin = self.end;
        (self.end, self.chain) = (begin + bytes.len() as u64, chain);
        self.synced = self.end;
        self.segments.insert(begin, Arc::new(file));
        Ok(())
    }

    /// Writes a batch, whose head is still free, and syncs it. Gives back where its body begins.
    pub(super) fn commit(&mut self, mut batch: Vec<u8>) -> Result<u64, String> {
        let position = self.end;
        let (_, file) = self.current();
        let chain = BatchHead { position, synced: self.synced, chain: self.chain }.seal(&mut batch);
        let mut to: &File = file;
        let end = position + batch.len() as u64;
        let written = to.write_all(&batch).and_then(|()| file.sync_data()).and_then(|()| {
            // that it is durable is written behind it, for whoever finds it rotten; when that is durable does not matter
            let mut mark = vec![0; BATCH_HEAD];
            let chain = BatchHead { position: end, synced: end, chain }.seal(&mut mark);
            to.write_all(&mark).map(|()| (end + mark.len() as u64, chain))
        });
        let (marked, chain) = written.map_err(|error| {
            let (begin, _) = self.current();
            format!("{}: it cannot be written: {error}", path(&self.directory, begin).display())
        })?;
        (self.end, self.chain, self.synced) = (marked, chain, end);
        Ok(position + BATCH_HEAD as u64)
    }

    /// Removes the segments of which nothing is needed: those that end before this place, or all but the current one.
    pub(super) fn drop_before(&mut self, oldest: Option<u64>) -> Result<(), String> {
        let begins: Vec<u64> = self.segments.keys().copied().collect();
        for pair in begins.windows(2) {
            if oldest.is_some_and(|oldest| oldest < pair[1]) {
                break;
            }
            let path = path(&self.directory, pair[0]);
            // one after the other: after a crash those that are left must be a row
            fs::remove_file(&path)
                .and_then(|()| sync_directory(&self.directory))
                .map_err(|error| format!("{}: it cannot be removed: {error}", path.display()))?;
            self.segments.remove(&pair[0]);
        }
        Ok(())
    }

    pub(super) fn readers(&self) -> Readers {
        Readers(self.segments.clone())
    }
}

/// Makes a part of a file durable. What is read here may only be in memory, if the process alone has died; and if a sync
/// had failed before, the system takes that for durable which is not, until it is written again (Rebello et al., "Can
/// Applications Recover from fsync Failures?", 2020).
fn write_again(path: &Path, file: &File, part: Range<u64>) -> io::Result<()> {
    let mut bytes = vec![0; (part.end - part.start) as usize];
    file.read_exact_at(&mut bytes, part.start)?;
    // the other one appends, wherever it is told to write
    let again = OpenOptions::new().write(true).open(path)?;
    again.write_all_at(&bytes, part.start)?;
    again.sync_data()
}

impl Readers {
    /// The content at a place.
    pub(super) fn read(&self, place: &Place) -> Result<Bytes, String> {
        let segment = self.0.range(..=place.position).next_back();
        let (begin, file) = segment.ok_or("the segment of an entry is gone")?;
        let mut content = vec![0; place.length as usize];
        file.read_exact_at(&mut content, place.position - begin)
            .map_err(|error| format!("the journal cannot be read at {}: {error}", place.position))?;
        match crc32fast::hash(&content) == place.checksum {
            true => Ok(content.into()),
            false => Err(format!("the journal has rotted at {}", place.position)),
        }
    }
}

/// Where the segments of a directory begin, in order.
fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let position = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse::<u64>().ok());
        found.extend(position);
    }
    found.sort_unstable();
    Ok(found)
}
