//! Who waits for the disk. Whatever has gathered while it worked goes to it together.

use super::Shared;
use crate::host::Job;
use crate::telemetry::dump::{JournalDump, millis};
use bytes::Bytes;
use odeon_core::journal::{BATCH_HEAD, BODY_MAX, Contradiction, ENTRY_MAX, Record};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// The seam for blocking work is asked again after this time if it has no thread.
const PATIENCE: Duration = Duration::from_millis(2);

/// Why records were not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// They have too many bytes. Nothing of them was written.
    #[error(
        "a record of {0} bytes, or several of as many; {ENTRY_MAX} are the most for one, {BODY_MAX} for all"
    )]
    TooLong(usize),
    /// As many bytes as may wait do. Nothing of them was written; worth a retry.
    #[error("{0} bytes wait to be written already")]
    Full(usize),
    /// They do not fit to what is there. Nothing of them was written.
    #[error("{0}")]
    Contradiction(#[from] Contradiction),
    /// The journal has failed. Whether they are there is not known.
    #[error("{0}")]
    Failed(Arc<str>),
}

/// Records on their way to the disk.
#[derive(Debug)]
#[must_use = "what is appended is not durable before this has ended"]
pub struct Appending(oneshot::Receiver<Result<(), AppendError>>);

impl Future for Appending {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let lost = |_| Err(AppendError::Failed("the node ended before they were written".into()));
        Pin::new(&mut self.0).poll(cx).map(|outcome| outcome.unwrap_or_else(lost))
    }
}

/// What waits.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// A job is under way.
    is_writing: bool,
    /// How many appends it has in its hands, and since when.
    in_hand: Option<(usize, Instant)>,
    /// When something was synced last.
    synced: Option<Instant>,
}

struct Waiting {
    records: Vec<Record<Bytes>>,
    bytes: usize,
    done: oneshot::Sender<Result<(), AppendError>>,
}

impl Shared {
    pub(super) fn append(self: &Arc<Self>, records: Vec<Record<Bytes>>) -> Result<Appending, AppendError> {
        if let Some(why) = self.failure() {
            return Err(AppendError::Failed(why));
        }
        let bytes = records.iter().map(Record::length).sum();
        let longest = records.iter().map(|record| record.content().len()).max().unwrap_or(0);
        if longest > ENTRY_MAX || bytes > BODY_MAX {
            return Err(AppendError::TooLong(bytes));
        }
        let (done, appending) = oneshot::channel();
        let begins = {
            let mut queue = self.queue.lock();
            if queue.bytes + bytes > self.waiting_bytes_max && queue.bytes > 0 {
                return Err(AppendError::Full(queue.bytes));
            }
            queue.bytes += bytes;
            queue.waiting.push_back(Waiting { records, bytes, done });
            !std::mem::replace(&mut queue.is_writing, true)
        };
        if begins {
            let shared = self.clone();
            if let Err(job) = self.blocking.run(Box::new(move || shared.write_all())) {
                self.write_later(job);
            }
        }
        Ok(Appending(appending))
    }

    /// What waits for the disk.
    pub(super) fn look(&self) -> JournalDump {
        let queue = self.queue.lock();
        JournalDump {
            waiting: queue.waiting.len(),
            waiting_bytes: queue.bytes,
            writing: queue.in_hand.map_or(0, |(count, _)| count),
            writing_ms: queue.in_hand.map(|(_, since)| millis(since.elapsed())),
            synced_ms: queue.synced.map(|at| millis(at.elapsed())),
            failure: self.failure().map(|why| why.to_string()),
        }
    }

    /// There is nobody to write: somebody is asked again. What waits stays in its order.
    #[cold]
    fn write_later(self: &Arc<Self>, mut job: Job) {
        let shared = self.clone();
        self.executor.spawn(async move {
            loop {
                sleep(PATIENCE).await;
                match shared.blocking.run(job) {
                    Ok(()) => break,
                    Err(again) => job = again,
                }
            }
        });
    }

    /// Writes until nothing waits.
    fn write_all(&self) {
        // one that panics leaves nobody waiting, for what it has is dropped; nor may anybody write behind it
        let guard = Unfinished(self);
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                break;
            }
            self.write(batch);
        }
        std::mem::forget(guard);
    }

    /// What is written next; nothing: the job is over.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.pop_front_if(|next| bytes + next.bytes <= BODY_MAX) {
            bytes += next.bytes;
            batch.push(next);
        }
        queue.bytes -= bytes;
        queue.is_writing = !batch.is_empty();
        queue.in_hand = queue.is_writing.then(|| (batch.len(), Instant::now()));
        batch
    }

    fn write(&self, batch: Vec<Waiting>) {
        let (batch, body) = self.fitting(batch);
        if batch.is_empty() {
            return;
        }
        let outcome = match self.failure() {
            Some(why) => Err(AppendError::Failed(why)),
            None => self.commit(&batch, body).map_err(|error| AppendError::Failed(self.fail(error))),
        };
        for each in batch {
            // who has left does not want to know
            let _ = each.done.send(outcome.clone());
        }
    }

    /// Those that fit to what is there and to each other, and the body of their batch.
    fn fitting(&self, batch: Vec<Waiting>) -> (Vec<Waiting>, Vec<u8>) {
        let index = self.index.lock();
        let mut fitting = index.fitting();
        let (mut fit, mut body) = (Vec::with_capacity(batch.len()), vec![0; BATCH_HEAD]);
        for each in batch {
            match fitting.take(&each.records) {
                Ok(()) => {
                    each.records.iter().for_each(|record| record.write(&mut body));
                    fit.push(each);
                }
                Err(contradiction) => {
                    let _ = each.done.send(Err(contradiction.into()));
                }
            }
        }
        (fit, body)
    }

    fn commit(&self, batch: &[Waiting], body: Vec<u8>) -> Result<(), String> {
        let mut files = self.files.lock();
        files.make_room(body.len(), || self.index.lock().summary())?;
        let mut at = files.commit(body)?;
        self.queue.lock().synced = Some(Instant::now());
        let mut index = self.index.lock();
        let (mut purges, before) = (false, index.oldest());
        for record in batch.iter().flat_map(|each| &each.records) {
            let content = at + (record.length() - record.content().len()) as u64;
            index.apply(record, content).map_err(|contradiction| contradiction.to_string())?;
            at += record.length() as u64;
            purges |=
                matches!(record, Record::Purge { .. } | Record::Forget { .. } | Record::Truncate { .. });
        }
        let oldest = index.oldest();
        drop(index);
        if purges && oldest != before {
            files.drop_before(oldest)?;
        }
        Ok(())
    }
}

struct Unfinished<'a>(&'a Shared);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let why = self.0.fail("the job that writes the journal has panicked".into());
        let waiting = {
            let mut queue = self.0.queue.lock();
            (queue.is_writing, queue.bytes, queue.in_hand) = (false, 0, None);
            std::mem::take(&mut queue.waiting)
        };
        for each in waiting {
            let _ = each.done.send(Err(AppendError::Failed(why.clone())));
        }
    }
}
