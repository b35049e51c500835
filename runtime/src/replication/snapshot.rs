//! Snapshots of a group in files, the newest one kept. A file is written beside the old one, synced, and put in its
//! place: a crash leaves one or the other.

use super::machine::Freeze;
use super::message::{Meta, decode, encode};
use super::raft::InSpan;
use crate::host::{Blocking, make_directory, run_blocking, sync_directory};
use crate::service::context::BlockingError;
use bytes::Bytes;
use odeon_core::journal::GroupId;
use openraft::AsyncRuntime;
use parking_lot::Mutex;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest snapshot, in bytes: a state machine in memory has to bound itself.
pub(super) const SNAPSHOT_MAX: u64 = 1 << 30;
/// "odeon snapshot, version 1".
const MAGIC: &[u8; 8] = b"odeonsn1";
/// The magic, lengths of meta and state, and a checksum of all that follows and of them.
const HEAD: usize = 8 + 4 + 8 + 4;
const ENDING: &str = "snapshot";
/// The blocking seam is asked again after this time if it has no thread.
const PATIENCE: Duration = Duration::from_millis(2);

/// The snapshots of one group. Clones are handles.
#[derive(Clone)]
pub(super) struct Snapshots {
    directory: Arc<Path>,
    group: GroupId,
    blocking: Arc<dyn Blocking>,
}

impl Snapshots {
    pub(super) fn new(directory: PathBuf, group: GroupId, blocking: Arc<dyn Blocking>) -> Self {
        Self { directory: directory.into(), group, blocking }
    }

    /// Runs work on files, once there is a thread for it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, GroupId) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // a job that finds no thread is dropped: the work is taken out by the one that runs
        let work = Arc::new(Mutex::new(Some(work)));
        loop {
            let (work, directory, group) = (work.clone(), self.directory.clone(), self.group);
            let job = move || {
                let work = work.lock().take().expect("one job runs");
                work(&directory, group)
            };
            match run_blocking(&*self.blocking, job).await {
                Ok(done) => return done,
                Err(BlockingError::Busy) => InSpan::sleep(PATIENCE).await,
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
    }

    /// The newest one.
    ///
    /// # Errors
    /// It cannot be read, or is not as it was written: what it stood for may not be in the log any more.
    pub(super) async fn newest(&self) -> io::Result<Option<(Meta, Bytes)>> {
        self.run(|directory, group| match list(directory, group)?.pop() {
            Some((_, path)) => {
                // the process that gave it its name may have died before it synced that
                sync_directory(directory)?;
                read(&path).map(Some)
            }
            None => Ok(None),
        })
        .await
    }

    /// Keeps one that is newer than those before.
    pub(super) async fn keep(&self, meta: Meta, state: Bytes) -> io::Result<()> {
        self.run(move |directory, group| write(directory, group, &meta, &state)).await
    }

    /// Writes a state down, keeps it, and gives it back.
    pub(super) async fn take(&self, freeze: Freeze, meta: Meta) -> io::Result<Bytes> {
        self.run(move |directory, group| {
            let state = freeze();
            write(directory, group, &meta, &state)?;
            Ok(Bytes::from(state))
        })
        .await
    }
}

/// Those of a group, the newest last, with the index of the last entry of each.
fn list(directory: &Path, group: GroupId) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some((of, rest)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        let Some((index, ENDING)) = rest.split_once('.') else { continue };
        if of.parse() == Ok(group.0)
            && let Ok(index) = index.parse()
        {
            found.push((index, directory.join(name)));
        }
    }
    found.sort();
    Ok(found)
}

fn path_of(directory: &Path, group: GroupId, index: u64, ending: &str) -> PathBuf {
    directory.join(format!("{}-{index:020}.{ending}", group.0))
}

fn write(directory: &Path, group: GroupId, meta: &Meta, state: &[u8]) -> io::Result<()> {
    make_directory(directory)?;
    let index = meta.last.map_or(0, |last| last.index);
    let place = path_of(directory, group, index, ENDING);
    let new = path_of(directory, group, index, "new");
    let meta = encode(meta);
    let mut head = Vec::with_capacity(HEAD + meta.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&(meta.len() as u32).to_le_bytes());
    head.extend_from_slice(&(state.len() as u64).to_le_bytes());
    head.extend_from_slice(&checksum(&head, &[&meta, state]).to_le_bytes());
    head.extend_from_slice(&meta);
    let mut file = File::create(&new)?;
    file.write_all(&head)?;
    file.write_all(state)?;
    file.sync_all()?;
    fs::rename(&new, &place)?;
    sync_directory(directory)?;
    // one that stays although it is old is no harm
    for (_, old) in list(directory, group)?.into_iter().filter(|(of, _)| *of < index) {
        let _ = fs::remove_file(old);
    }
    Ok(())
}

fn checksum(head: &[u8], parts: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    parts.iter().for_each(|part| sum.update(part));
    sum.finalize()
}

fn read(path: &Path) -> io::Result<(Meta, Bytes)> {
    let bytes = Bytes::from(fs::read(path)?);
    let rotten = |problem: &str| {
        let text = format!("the snapshot {} is not as it was written: {problem}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(|| rotten("it is cut off"))?;
    let (head, sum) = head.split_at(HEAD - 4);
    if &head[..8] != MAGIC {
        return Err(rotten("it does not begin as one of this version"));
    }
    let meta = u32::from_le_bytes(head[8..12].try_into().expect("four bytes")) as usize;
    let state = u64::from_le_bytes(head[12..20].try_into().expect("eight bytes"));
    if rest.len() as u64 != meta as u64 + state {
        return Err(rotten("it is of another length"));
    }
    if sum != checksum(head, &[rest]).to_le_bytes() {
        return Err(rotten("its checksum is another"));
    }
    let meta_bytes = &rest[..meta];
    Ok((decode(meta_bytes).map_err(|error| rotten(&error))?, bytes.slice(HEAD + meta..)))
}

#[cfg(test)]
mod tests {
    use super::super::message::Seats;
    use super::*;
    use odeon_core::EntryId;
    use std::collections::BTreeMap;

    fn meta(index: u64) -> Meta {
        let seats = Seats { voters: vec![[odeon_core::ReplicaId(1)].into()], nodes: BTreeMap::new() };
        Meta { last: Some(EntryId { term: 2, index }), seats, seated: None }
    }

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("odeon-snapshot-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    #[test]
    fn the_newest_one_is_read_and_older_ones_of_its_group_are_gone() {
        let directory = directory("newest");
        let (one, other) = (GroupId(1), GroupId(12));
        write(&directory, other, &meta(3), b"other").expect("written");
        for index in [5, 40, 100] {
            write(&directory, one, &meta(index), format!("state {index}").as_bytes()).expect("written");
        }
        let found = list(&directory, one).expect("listed");
        assert_eq!(found.len(), 1);
        let (read_meta, state) = read(&found[0].1).expect("read");
        assert_eq!((read_meta, &state[..]), (meta(100), &b"state 100"[..]));
        assert_eq!(list(&directory, other).expect("listed").len(), 1, "another group's stays");
        fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn each_rotten_byte_and_each_cut_is_noticed() {
        let directory = directory("rotten");
        write(&directory, GroupId(1), &meta(7), b"the state").expect("written");
        let path = path_of(&directory, GroupId(1), 7, ENDING);
        let whole = fs::read(&path).expect("read");
        for at in 0..whole.len() {
            let mut rotten = whole.clone();
            rotten[at] ^= 0x10;
            fs::write(&path, &rotten).expect("written");
            assert!(read(&path).is_err(), "byte {at}");
            fs::write(&path, &whole[..at]).expect("written");
            assert!(read(&path).is_err(), "cut at {at}");
        }
        fs::write(&path, &whole).expect("written");
        assert!(read(&path).is_ok());
        fs::remove_dir_all(directory).expect("removed");
    }
}
