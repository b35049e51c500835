//! A journal on real files.

#![allow(clippy::disallowed_methods, reason = "callers outside of any node are tasks of the test")]

use super::*;
use crate::host::{Inline, Job, Threads};
use odeon_core::journal::BODY_MAX;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::{fmt, fs};

const A: GroupId = GroupId(1);
const B: GroupId = GroupId(2);

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("odeon-journal-{}", uuid::Uuid::now_v7()));
        Self(path)
    }

    /// Small segments: there shall be several.
    fn config(&self) -> JournalConfig {
        JournalConfig { segment_bytes: 0, ..JournalConfig::in_directory(&self.0) }
    }

    async fn open(&self) -> Journal {
        self.try_open().await.expect("it can be opened")
    }

    async fn try_open(&self) -> Result<Journal, OpenError> {
        Journal::open(self.config(), Arc::new(Inline)).await
    }

    /// The segments, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(&self.0).expect("it is there").map(|entry| entry.expect("it can be read").path());
        let mut found: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|e| e == "journal")).collect();
        found.sort();
        found
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(group: GroupId, index: u64, content: impl Into<Vec<u8>>) -> Record<Bytes> {
    Record::Entry { group, index, content: content.into().into() }
}

async fn append(journal: &Journal, records: Vec<Record<Bytes>>) {
    journal.append(records).expect("it is taken").await.expect("it is written");
}

/// Entries of 10 kB, so that a segment has six.
async fn fill(journal: &Journal, group: GroupId, range: Range<u64>) {
    for index in range {
        append(journal, vec![entry(group, index, vec![index as u8; 10_000])]).await;
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

#[tokio::test]
async fn what_was_appended_is_there_when_the_journal_is_opened_again() {
    let directory = Directory::new();
    let journal = directory.open().await;
    fill(&journal, A, 0..20).await;
    let vote = Record::Vote { group: A, content: Bytes::from_static(b"for 3") };
    append(&journal, vec![vote, entry(B, 0, "b"), Record::Truncate { group: A, index: 15 }]).await;
    append(&journal, vec![entry(A, 15, "anew")]).await;
    append(&journal, vec![Record::Purge { group: A, index: 2, content: Bytes::from_static(b"t2") }]).await;
    drop(journal);
    assert!(directory.segments().len() > 2, "{:?}", directory.segments());
    let journal = directory.open().await;
    assert_eq!(journal.groups(), [A, B]);
    assert_eq!((journal.entries(A), journal.entries(B)), (3..16, 0..1));
    assert_eq!(journal.vote(A).as_deref(), Some(&b"for 3"[..]));
    assert_eq!(journal.purged(A), Some((2, Bytes::from_static(b"t2"))));
    let read = journal.read(A, 3..16, usize::MAX).await.expect("they are there");
    assert_eq!(read.len(), 13);
    assert!(read[..12].iter().zip(3..).all(|(content, index)| **content == vec![index as u8; 10_000]));
    assert_eq!(read[12], "anew");
    assert_eq!(journal.read(A, 3..16, 25_000).await.expect("some").len(), 2, "as many as there is room for");
    assert_eq!(journal.read(A, 3..16, 1).await.expect("one").len(), 1, "but one at least");
    let none = journal.read(A, 15..17, usize::MAX).await.expect_err("16 is not there");
    assert_eq!(none, ReadError::None { group: A, index: 16 });
    assert!(journal.read(A, 2..3, 1).await.is_err(), "it was purged");
}

#[tokio::test]
async fn segments_of_which_nothing_is_needed_go_and_votes_stay() {
    let directory = Directory::new();
    let journal = directory.open().await;
    append(&journal, vec![Record::Vote { group: B, content: Bytes::from_static(b"for 1") }]).await;
    fill(&journal, A, 0..30).await;
    let before = directory.segments();
    append(&journal, vec![Record::Purge { group: A, index: 19, content: Bytes::new() }]).await;
    let after = directory.segments();
    assert!(after.len() < before.len() && after.len() > 1 && before.ends_with(&after), "{after:?}");
    append(&journal, vec![Record::Purge { group: A, index: 40, content: Bytes::new() }]).await;
    assert_eq!(directory.segments().len(), 1, "a snapshot was ahead of the log");
    append(&journal, vec![entry(A, 41, "on")]).await;
    drop(journal);
    let journal = directory.open().await;
    assert_eq!((journal.entries(A), journal.vote(B)), (41..42, Some(Bytes::from_static(b"for 1"))));
    append(&journal, vec![Record::Forget { group: B }]).await;
    drop(journal);
    assert_eq!(directory.open().await.groups(), [A]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_harms_nothing() {
    let directory = Directory::new();
    let journal = directory.open().await;
    let gap = journal.append(vec![entry(A, 0, "x"), entry(A, 2, "x")]).expect("it is taken").await;
    assert!(matches!(gap, Err(AppendError::Contradiction(c)) if c.expected == 1), "{gap:?}");
    assert_eq!(journal.entries(A), 0..0, "all or nothing");
    append(&journal, vec![entry(A, 0, "x"), entry(A, 1, "x")]).await;
    let long = journal.append(vec![entry(A, 2, vec![0; 9 << 20])]).expect_err("it is too long");
    assert!(matches!(long, AppendError::TooLong(_)));
    let many = (2..5).map(|index| entry(A, index, vec![0; BODY_MAX / 3])).collect();
    assert!(matches!(journal.append(many), Err(AppendError::TooLong(_))));
    append(&journal, vec![entry(A, 2, "x")]).await;
    assert_eq!((journal.entries(A), journal.failure()), (0..3, None));
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_a_rotten_one_is_told() {
    let directory = Directory::new();
    let journal = directory.open().await;
    fill(&journal, A, 0..3).await;
    drop(journal);
    let segment = directory.segments().pop().expect("one at least");
    let whole = fs::read(&segment).expect("it can be read");
    // in the midst of the last entry, as a crash would leave it
    fs::write(&segment, &whole[..whole.len() - 5_000]).expect("it can be written");
    let journal = directory.open().await;
    assert_eq!(journal.entries(A), 0..2);
    append(&journal, vec![entry(A, 2, "anew")]).await;
    drop(journal);
    assert_eq!(directory.open().await.read(A, 2..3, 1).await.expect("it is there"), ["anew"]);
    // the same place wrong, with what says behind it that it was durable
    fs::write(&segment, &whole).expect("it can be written");
    flip(&segment, whole.len() - 5_000);
    let rotten = directory.try_open().await.expect_err("what was promised is lost");
    assert!(matches!(rotten, OpenError::Rotten { .. }), "{rotten}");
    assert!(rotten.to_string().contains("must not vote"), "{rotten}");
}

#[tokio::test]
async fn a_segment_that_is_missing_is_noticed() {
    let directory = Directory::new();
    let journal = directory.open().await;
    fill(&journal, A, 0..30).await;
    drop(journal);
    let segments = directory.segments();
    let hidden = directory.0.join("hidden");
    fs::rename(&segments[1], &hidden).expect("it can be moved");
    let gap = directory.try_open().await.expect_err("one in the middle is missing");
    assert!(matches!(gap, OpenError::Gap { .. }), "{gap}");
    fs::rename(&hidden, &segments[1]).expect("it can be moved");
    fs::rename(&segments[0], &hidden).expect("it can be moved");
    let missing = directory.try_open().await.expect_err("entries are missing");
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    fs::rename(&hidden, &segments[0]).expect("it can be moved");
    flip(&segments[0], 40);
    assert!(matches!(directory.try_open().await, Err(OpenError::Rotten { .. })), "later ones rely on it");
}

#[tokio::test]
async fn a_journal_that_somebody_has_open_is_not_opened_again() {
    let directory = Directory::new();
    let journal = directory.open().await;
    assert!(matches!(directory.try_open().await, Err(OpenError::Locked(_))));
    drop(journal);
    directory.open().await;
}

#[tokio::test]
async fn an_entry_that_rots_while_the_journal_is_open_is_not_given_out_and_ends_it() {
    let directory = Directory::new();
    let journal = directory.open().await;
    fill(&journal, A, 0..1).await;
    let segment = directory.segments().pop().expect("one");
    let length = fs::metadata(&segment).expect("it is there").len() as usize;
    flip(&segment, length - 5_000);
    let rotten = journal.read(A, 0..1, 1).await.expect_err("it is not what was written");
    assert!(matches!(&rotten, ReadError::Failed(why) if why.contains("rotted")), "{rotten}");
    assert!(journal.failed().await.contains("rotted"));
    assert!(matches!(journal.append(vec![entry(A, 1, "x")]), Err(AppendError::Failed(_))));
}

/// Runs jobs when it is told to.
#[derive(Default)]
struct ByHand {
    jobs: Mutex<Vec<Job>>,
    /// Nothing more may wait.
    is_full: AtomicBool,
    refused: AtomicUsize,
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByHand")
    }
}

impl Blocking for ByHand {
    fn run(&self, job: Job) -> Result<(), Job> {
        if self.is_full.load(SeqCst) {
            self.refused.fetch_add(1, SeqCst);
            return Err(job);
        }
        self.jobs.lock().push(job);
        Ok(())
    }
}

impl ByHand {
    /// A journal whose disk works when it is told to.
    async fn open(self: &Arc<Self>, config: JournalConfig) -> Journal {
        let opening = tokio::spawn(Journal::open(config, self.clone()));
        while self.jobs.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        self.go();
        opening.await.expect("no panic").expect("it can be opened")
    }

    fn go(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        jobs.into_iter().for_each(|job| job());
    }
}

#[tokio::test]
async fn what_gathers_while_the_disk_works_is_written_at_once_and_in_order() {
    let directory = Directory::new();
    drop(directory.open().await);
    let disk = Arc::new(ByHand::default());
    let journal = disk.open(JournalConfig { waiting_bytes_max: 1_000, ..directory.config() }).await;
    let length = || fs::metadata(&directory.segments()[0]).expect("it is there").len();
    let before = length();
    let appending: Vec<_> = (0..10)
        .map(|index| journal.append(vec![entry(A, index, "12345678")]).expect("it is taken"))
        .collect();
    assert_eq!(disk.jobs.lock().len(), 1, "one job for all");
    let full = journal.append(vec![entry(A, 10, vec![0; 900])]).expect_err("there is no room");
    assert!(matches!(full, AppendError::Full(290)), "{full}");
    assert_eq!((journal.entries(A), length()), (0..0, before), "nothing is durable yet");
    disk.go();
    for each in appending {
        each.await.expect("it is written");
    }
    // one batch, and the mark behind it
    assert_eq!((journal.entries(A), length() - before), (0..10, 32 + 10 * 29 + 32));
}

#[tokio::test]
async fn what_finds_no_thread_to_write_it_waits_for_one_in_its_order() {
    let directory = Directory::new();
    drop(directory.open().await);
    let disk = Arc::new(ByHand::default());
    let journal = disk.open(directory.config()).await;
    disk.is_full.store(true, SeqCst);
    let first = journal.append(vec![entry(A, 0, "a")]).expect("it is taken");
    while disk.refused.load(SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    let second = journal.append(vec![entry(A, 1, "b")]).expect("it is taken");
    disk.is_full.store(false, SeqCst);
    while disk.jobs.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    disk.go();
    first.await.expect("it is written");
    second.await.expect("it is written");
    assert_eq!(journal.entries(A), 0..2);
}

#[tokio::test]
async fn many_append_from_many_threads() {
    let directory = Directory::new();
    let journal =
        Journal::open(directory.config(), Arc::new(Threads::start("blocking", 2, 64).expect("threads")))
            .await;
    let journal = journal.expect("it can be opened");
    let groups: Vec<_> = (0..8)
        .map(|group| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for index in 0..50 {
                    append(&journal, vec![entry(GroupId(group), index, vec![group as u8; 1_000])]).await;
                }
            })
        })
        .collect();
    for group in groups {
        group.await.expect("no panic");
    }
    // a job that a thread has not let go of yet would hold the directory
    journal.close().await;
    let journal = directory.open().await;
    for group in 0..8 {
        let read = journal.read(GroupId(group), 0..50, usize::MAX).await.expect("all are there");
        assert!(read.len() == 50 && read.iter().all(|content| **content == vec![group as u8; 1_000]));
    }
}

#[tokio::test]
async fn a_journal_that_is_closed_can_be_opened_whoever_still_has_a_handle_of_it() {
    let directory = Directory::new();
    let journal = directory.open().await;
    append(&journal, vec![entry(A, 0, "kept")]).await;
    assert!(matches!(directory.try_open().await, Err(OpenError::Locked(_))));
    let other = journal.clone();
    journal.close().await;
    let again = directory.open().await;
    assert_eq!(again.entries(A), 0..1);
    assert!(matches!(other.append(vec![entry(A, 1, "late")]), Err(AppendError::Failed(_))));
    append(&again, vec![entry(A, 1, "another")]).await;
}

#[tokio::test]
async fn a_journal_that_was_begun_and_is_gone_is_not_begun_anew() {
    let directory = Directory::new();
    directory.open().await.close().await;
    let again = JournalConfig { must_exist: true, ..directory.config() };
    Journal::open(again.clone(), Arc::new(Inline)).await.expect("it is there").close().await;
    directory.segments().iter().for_each(|segment| fs::remove_file(segment).expect("removed"));
    let gone = Journal::open(again, Arc::new(Inline)).await.map(drop).expect_err("nothing of it is there");
    assert!(matches!(gone, OpenError::Gone(_)) && gone.to_string().contains("must not vote"), "{gone}");
}
