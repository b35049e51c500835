//! The write-ahead log of a node: what was appended and confirmed is there after a crash, or the journal says that it
//! is not. What the bytes mean is decided in [`odeon_core::journal`]; here are the files, and who waits for them.
//!
//! Reading order: [`Journal`] takes what is appended and reads what is there, `queue` brings what waits to the disk
//! together, one write and one sync for all of it (group commit), `files` are the segments.

mod files;
mod queue;
#[cfg(test)]
mod tests;

pub use files::OpenError;
pub use queue::{AppendError, Appending};

use crate::host::{Blocking, run_blocking};
use crate::telemetry::dump::JournalDump;
use bytes::Bytes;
use files::Files;
use odeon_core::journal::{GroupId, Index, Place, Record};
use parking_lot::Mutex;
use queue::Queue;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Where its segments are. Made if it is not there.
    pub directory: PathBuf,
    /// After so many bytes another segment is begun; 64 KiB at least. Default 16 MiB.
    pub segment_bytes: u64,
    /// Bytes that may wait to be written; more are refused. Default 64 MiB.
    pub waiting_bytes_max: usize,
    /// It was begun before: without a segment it is not opened ([`OpenError::Gone`]). Default: it may be begun.
    pub must_exist: bool,
}

impl JournalConfig {
    /// One in this directory, all else as by default.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_bytes: 16 << 20,
            waiting_bytes_max: 64 << 20,
            must_exist: false,
        }
    }
}

/// Why entries were not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// They are not in the log: purged, truncated, or not written yet.
    #[error("{group} has no entry {index}")]
    None {
        /// Whose.
        group: GroupId,
        /// The first that is not there.
        index: u64,
    },
    /// As many jobs as may wait for the disk do. Worth a retry.
    #[error("the node's threads for blocking work are busy")]
    Busy,
    /// The disk does not give them as they were written. The journal has failed.
    #[error("{0}")]
    Failed(Arc<str>),
}

/// The write-ahead log of a node. Clones are handles.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

struct Shared {
    blocking: Arc<dyn Blocking>,
    /// Where it was opened.
    executor: Handle,
    queue: Mutex<Queue>,
    waiting_bytes_max: usize,
    /// What is durable. Never held while the disk works.
    index: Mutex<Index>,
    /// For jobs alone: one at a time.
    files: Mutex<Files>,
    failed: watch::Sender<Option<Arc<str>>>,
}

impl Journal {
    /// Opens the journal of a directory, or begins one. What a crash has torn, which nobody was told is kept, is cut off.
    ///
    /// # Errors
    /// [`OpenError`]. A journal of which something is missing or has rotted is not opened: its node must not vote with
    /// what is left.
    pub async fn open(config: JournalConfig, blocking: Arc<dyn Blocking>) -> Result<Self, OpenError> {
        let JournalConfig { directory, segment_bytes, waiting_bytes_max, must_exist } = config;
        let open = move || Files::open(directory, segment_bytes, must_exist);
        let opened = run_blocking(&*blocking, open).await;
        let (files, index) = opened.map_err(|error| OpenError::Blocking(error.to_string()))??;
        Ok(Self(Arc::new(Shared {
            blocking,
            executor: Handle::current(),
            queue: Mutex::default(),
            waiting_bytes_max,
            index: Mutex::new(index),
            files: Mutex::new(files),
            failed: watch::Sender::new(None),
        })))
    }

    /// Whether a journal that nobody has open could be opened: reads all of it and changes nothing. A journal that
    /// `must_exist` was begun before. Blocks.
    ///
    /// # Errors
    /// What [`Journal::open`] would say.
    pub fn inspect(directory: &Path, must_exist: bool) -> Result<(), OpenError> {
        files::inspect(directory, must_exist)
    }

    /// Appends records behind all that were appended before, all or none of them. They are on their way when this
    /// returns; the future ends once they are durable. Dropping it takes nothing back.
    ///
    /// # Errors
    /// [`AppendError`], here or from the future.
    pub fn append(&self, records: Vec<Record<Bytes>>) -> Result<Appending, AppendError> {
        Shared::append(&self.0, records)
    }

    /// All groups that have something here.
    pub fn groups(&self) -> Vec<GroupId> {
        self.0.index.lock().groups().collect()
    }

    /// What a group has said of its vote last.
    pub fn vote(&self, group: GroupId) -> Option<Bytes> {
        self.0.index.lock().vote(group).map(Bytes::copy_from_slice)
    }

    /// The last entry that a group has purged, and what it remembers of that.
    pub fn purged(&self, group: GroupId) -> Option<(u64, Bytes)> {
        let index = self.0.index.lock();
        index.purged(group).map(|(index, content)| (index, Bytes::copy_from_slice(content)))
    }

    /// The numbers of the entries of a group that are durable and needed.
    pub fn entries(&self, group: GroupId) -> Range<u64> {
        self.0.index.lock().entries(group)
    }

    /// Reads entries: from the first of these numbers on as many as have `bytes_max` together, one at least.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        if let Some(why) = self.failure() {
            return Err(ReadError::Failed(why));
        }
        let places = self.places(group, range.clone(), bytes_max)?;
        let shared = self.0.clone();
        let read = run_blocking(&*self.0.blocking, move || {
            let files = shared.files.lock().readers();
            places.iter().map(|place| files.read(place)).collect::<Result<Vec<_>, _>>()
        });
        match read.await {
            Ok(Ok(contents)) => Ok(contents),
            Ok(Err(error)) => {
                // it may have been purged since
                self.places(group, range, bytes_max)?;
                Err(ReadError::Failed(self.0.fail(error)))
            }
            Err(_) => Err(ReadError::Busy),
        }
    }

    /// Where these entries are.
    fn places(&self, group: GroupId, range: Range<u64>, bytes_max: usize) -> Result<Vec<Place>, ReadError> {
        let index = self.0.index.lock();
        let (mut places, mut bytes) = (Vec::new(), 0);
        for number in range {
            let place = index.place(group, number).ok_or(ReadError::None { group, index: number })?;
            bytes += place.length as usize;
            if bytes > bytes_max && !places.is_empty() {
                break;
            }
            places.push(place);
        }
        Ok(places)
    }

    /// Why the journal has failed, if it has. Then nothing more is appended or read: the disk may not have what it said
    /// to have, and asking again does not tell (Rebello et al., Can Applications Recover from fsync Failures?, 2020).
    pub fn failure(&self) -> Option<Arc<str>> {
        self.0.failure()
    }

    /// What waits for the disk.
    pub(crate) fn look(&self) -> JournalDump {
        self.0.look()
    }

    /// Takes and gives nothing any more. Once this has ended somebody else may open the journal, whoever still has a
    /// handle of this one.
    pub async fn close(&self) {
        self.0.failed.send_if_modified(|failed| {
            let is_open = failed.is_none();
            if is_open {
                *failed = Some("it is closed".into());
            }
            is_open
        });
        let shared = self.0.clone();
        // without a thread for it the journal is closed when the last handle is dropped
        let _ = run_blocking(&*self.0.blocking, move || shared.files.lock().release()).await;
    }

    /// Ends when the journal has failed, or is closed, with the reason: the node has to stop.
    pub async fn failed(&self) -> Arc<str> {
        let mut failed = self.0.failed.subscribe();
        let why = failed.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.expect("the sender is held by this journal")
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("failure", &self.failure()).finish_non_exhaustive()
    }
}

impl Shared {
    fn failure(&self) -> Option<Arc<str>> {
        self.failed.borrow().clone()
    }

    /// The journal has failed. Gives back why it did first.
    fn fail(&self, error: String) -> Arc<str> {
        let why: Arc<str> = error.into();
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!(error = %why, "the journal has failed");
                *failed = Some(why.clone());
            }
            first
        });
        self.failure().expect("it was just set")
    }
}
