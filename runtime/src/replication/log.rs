//! The log and the votes of a group, in the journal of its node.

use super::message::{Ballot, Written, decode, encode, entry_id, log_id};
use super::raft::{InSpan, LogId, RaftEntry, RaftVote, Types};
use crate::journal::{AppendError, Appending, Journal, ReadError};
use bytes::Bytes;
use odeon_core::EntryId;
use odeon_core::journal::{GroupId, Record};
use openraft::entry::RaftEntry as _;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{AsyncRuntime, LogState, OptionalSend};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the last entries that are kept in memory, for replicas that are not far behind.
const RECENT_BYTES: usize = 4 << 20;
/// Bytes of entries that are sent to another replica at once, or written at once.
pub(super) const APPEND_BYTES: usize = 256 << 10;
/// The journal is asked again after this time if it has no room, or no thread is free to read.
const PATIENCE: Duration = Duration::from_millis(2);

/// Clones are handles.
#[derive(Clone)]
pub(super) struct Log(Arc<Shared>);

struct Shared {
    group: GroupId,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    vote: Option<RaftVote>,
    /// The last entries, and the bytes of each. Those that are not durable are all here.
    recent: VecDeque<(RaftEntry, usize)>,
    /// The index of the first of them.
    first: u64,
    bytes: usize,
    /// The entries before this index are durable.
    durable: u64,
    /// How often the log was cut: what was written before says nothing of what was made since.
    cuts: u64,
    last: Option<LogId>,
    purged: Option<LogId>,
}

impl State {
    fn next(&self) -> u64 {
        self.first + self.recent.len() as u64
    }

    fn push(&mut self, entry: RaftEntry, bytes: usize) {
        self.last = Some(entry.log_id());
        self.bytes += bytes;
        self.recent.push_back((entry, bytes));
    }

    /// Entries before this index, made after so many cuts, are durable; what is old among them is forgotten.
    fn flushed(&mut self, end: u64, cuts: u64) {
        if cuts == self.cuts {
            self.durable = self.durable.max(end);
        }
        while self.bytes > RECENT_BYTES && self.first < self.durable {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, bytes)) = self.recent.pop_front() {
            self.bytes -= bytes;
            self.first += 1;
        }
    }

    /// Entries from this index on are no more.
    fn truncate(&mut self, end: u64, last: Option<LogId>) {
        while self.next() > end
            && let Some((_, bytes)) = self.recent.pop_back()
        {
            self.bytes -= bytes;
        }
        if self.recent.is_empty() {
            self.first = self.first.min(end);
        }
        self.durable = self.durable.min(end);
        self.cuts += 1;
        self.last = last;
    }

    fn purge(&mut self, last: LogId) {
        while !self.recent.is_empty() && self.first <= last.index {
            self.forget_first();
        }
        // a snapshot may be ahead of the log
        self.first = self.first.max(last.index + 1);
        self.durable = self.durable.max(last.index + 1);
        self.last = self.last.max(Some(last));
        self.purged = Some(last);
    }
}

fn other(error: impl ToString) -> io::Error {
    io::Error::other(error.to_string())
}

impl Log {
    /// What the journal has of a group.
    ///
    /// # Errors
    /// For people: it cannot be read, or another version has written it.
    pub(super) async fn open(group: GroupId, journal: Journal) -> Result<Self, String> {
        let vote = journal.vote(group).map(|vote| decode::<Ballot>(&vote)).transpose()?.map(RaftVote::from);
        let purged = journal.purged(group).map(|(_, id)| decode::<EntryId>(&id)).transpose()?.map(log_id);
        let entries = journal.entries(group);
        let end = entries.end;
        let recent = VecDeque::new();
        let state = State { vote, recent, first: end, bytes: 0, durable: end, cuts: 0, last: purged, purged };
        let log = Self(Arc::new(Shared { group, journal, state: Mutex::new(state) }));
        if !entries.is_empty() {
            let last = log.read(end - 1..end, usize::MAX).await.map_err(|error| error.to_string())?;
            log.0.state.lock().last = last.last().map(|entry| entry.log_id()).or(purged);
        }
        Ok(log)
    }

    async fn put(&self, records: Vec<Record<Bytes>>) -> io::Result<Appending> {
        loop {
            match self.0.journal.append(records.clone()) {
                Ok(appending) => return Ok(appending),
                Err(AppendError::Full(_)) => InSpan::sleep(PATIENCE).await,
                Err(error) => return Err(other(error)),
            }
        }
    }

    async fn put_durable(&self, record: Record<Bytes>) -> io::Result<()> {
        self.put(vec![record]).await?.await.map_err(other)
    }

    /// Entries of a range, as far as they are there: from the first on as many as have so many bytes, one at least.
    async fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<RaftEntry>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut next = range.start;
        while next < range.end && (bytes < bytes_max || entries.is_empty()) {
            if self.recent(&mut next, range.end, bytes_max, &mut bytes, &mut entries) {
                break;
            }
            let (older, length) = self.older(next, range.end, bytes_max).await?;
            let Some(first) = older.first() else { break };
            debug_assert_eq!(first.index(), next);
            next += older.len() as u64;
            bytes += length;
            entries.extend(older);
        }
        Ok(entries)
    }

    /// Takes those that are in memory. False: the next one is not.
    fn recent(
        &self,
        next: &mut u64,
        end: u64,
        bytes_max: usize,
        bytes: &mut usize,
        entries: &mut Vec<RaftEntry>,
    ) -> bool {
        let state = self.0.state.lock();
        // what was purged meanwhile is not there
        *next = (*next).max(state.purged.map_or(0, |last| last.index + 1));
        if *next < state.first && *next < end {
            return false;
        }
        let skip = next.saturating_sub(state.first) as usize;
        for (entry, length) in state.recent.iter().skip(skip) {
            if *next >= end || (*bytes + length > bytes_max && !entries.is_empty()) {
                break;
            }
            *bytes += length;
            *next += 1;
            entries.push(entry.clone());
        }
        true
    }

    /// Those that are on the disk only, before an index at the most.
    async fn older(&self, from: u64, end: u64, bytes_max: usize) -> io::Result<(Vec<RaftEntry>, usize)> {
        let end = end.min(self.0.state.lock().first);
        let contents = loop {
            let bytes_max = bytes_max.min(RECENT_BYTES);
            match self.0.journal.read(self.0.group, from..end, bytes_max).await {
                Ok(contents) => break contents,
                // purged since
                Err(ReadError::None { .. }) => return Ok((Vec::new(), 0)),
                Err(ReadError::Busy) => InSpan::sleep(PATIENCE).await,
                Err(error @ ReadError::Failed(_)) => return Err(other(error)),
            }
        };
        let bytes = contents.iter().map(Bytes::len).sum();
        let entries = (from..).zip(contents).map(|(index, content)| decode::<Written>(&content)?.at(index));
        Ok((entries.collect::<Result<_, String>>().map_err(other)?, bytes))
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let next = self.0.state.lock().next();
        self.read(start..end.min(next), usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.0.state.lock().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, io::Error> {
        self.read(start..end, APPEND_BYTES).await
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.0.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        let content = encode(&Ballot::from(vote));
        self.put_durable(Record::Vote { group: self.0.group, content }).await?;
        self.0.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        let mut end = 0;
        for entry in entries {
            let content = encode(&Written::from(&entry));
            let index = entry.index();
            if bytes + content.len() > APPEND_BYTES && !records.is_empty() {
                // the last ones tell that all are there
                last = Some(self.put(std::mem::take(&mut records)).await?);
                bytes = 0;
            }
            bytes += content.len();
            self.0.state.lock().push(entry, content.len());
            records.push(Record::Entry { group: self.0.group, index, content });
            end = index + 1;
        }
        if !records.is_empty() {
            last = Some(self.put(records).await?);
        }
        let Some(appending) = last else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let (log, cuts) = (self.clone(), self.0.state.lock().cuts);
        InSpan::spawn(async move {
            let written = appending.await;
            if written.is_ok() {
                log.0.state.lock().flushed(end, cuts);
            }
            callback.io_completed(written.map_err(other));
        });
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let index = last.map_or(0, |last| last.index + 1);
        self.0.state.lock().truncate(index, last);
        self.put_durable(Record::Truncate { group: self.0.group, index }).await
    }

    async fn purge(&mut self, last: LogId) -> Result<(), io::Error> {
        let content = encode(&entry_id(&last));
        self.0.state.lock().purge(last);
        self.put_durable(Record::Purge { group: self.0.group, index: last.index, content }).await
    }
}
