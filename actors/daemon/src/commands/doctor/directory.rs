//! The data directory: who runs in it, whether it can be written, room, and how long a sync of its disk takes.

use super::report::{Check, Group};
use super::site::{Occupant, Site};
use crate::duration::show;
use odeon::core::journal::BATCH_HEAD;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

pub(super) const GROUP: Group = Group::DataDirectory;
/// Room that the journal, its snapshots and the log of a node use up in days, not in minutes.
const ROOM_ENOUGH: u64 = 1 << 30;
/// A segment of the journal is begun anew in as much.
const ROOM_LEAST: u64 = 64 << 20;
/// How much one batch of the journal has when some changes came together: a block of most disks.
const BATCH: usize = 4 << 10;
const SYNCS: usize = 50;
/// A disk that is slower is not measured for longer.
const SYNCS_WITHIN: Duration = Duration::from_secs(2);
/// Then it hangs.
const DISK_WITHIN: Duration = Duration::from_secs(4);
/// Each change that nodes agree on waits for one.
const SYNC_SLOW: Duration = Duration::from_millis(10);

pub(super) const DISK_ADVICE: &str =
    "look at the disk, or at the server that it is on: the kernel's log (dmesg) may say what is wrong";

/// Makes all checks of it.
pub(super) async fn check(site: &Site) -> Vec<Check> {
    let directory = site.settings.directory.clone();
    let mut checks = Vec::new();
    checks.extend(occupant(&site.occupant));
    let measured = site.blocking(DISK_WITHIN, move || Disk::measure(&directory)).await;
    let named = site.settings.directory.display();
    match measured {
        Ok(Ok(disk)) => checks.extend(disk.judge(&site.settings.directory)),
        Ok(Err((path, error))) => checks.push(GROUP.failed(
            "directory",
            format_args!("{named} cannot be used: {}: {error}", path.display()),
            "name another one with --dir DIR, or [node] directory; the node's user has to write there",
        )),
        Err(problem) => checks.push(GROUP.failed(
            "directory",
            format_args!("{named}: the disk does not answer: {problem}"),
            DISK_ADVICE,
        )),
    }
    checks
}

fn occupant(occupant: &Occupant) -> Option<Check> {
    Some(match occupant {
        Occupant::None => return None,
        Occupant::Node(node) => {
            GROUP.ok("occupant", format_args!("the node {} runs in it, process {}", node.name, node.pid))
        }
        Occupant::Silent => GROUP.warning(
            "occupant",
            "a node runs in it and does not say where it listens: it starts, or stops",
            "ask again in a moment; if it stays so, its log says why",
        ),
        Occupant::Unknown(problem) => GROUP.failed(
            "occupant",
            format_args!("nobody can tell whether a node runs in it: {problem}"),
            DISK_ADVICE,
        ),
    })
}

/// What was measured of a disk.
#[derive(Debug)]
struct Disk {
    /// The directory is there.
    exists: bool,
    /// Bytes that whoever runs this may still write.
    room: io::Result<u64>,
    syncs: io::Result<Vec<Duration>>,
}

impl Disk {
    /// Writes into the directory, or where it would be made, and takes away again what it has written.
    fn measure(directory: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let place = nearest(directory)?;
        let room = rustix::fs::statvfs(&place).map_err(io::Error::from);
        let room = room.map(|found| found.f_bavail.saturating_mul(found.f_frsize));
        let probe = Probe::make(&place).map_err(|error| (place.clone(), error))?;
        let syncs = probe.sync();
        Ok(Self { exists: place == directory, room, syncs })
    }

    fn judge(&self, directory: &Path) -> Vec<Check> {
        let directory = directory.display();
        let there = match self.exists {
            true => GROUP.ok("directory", format_args!("{directory} can be written")),
            false => GROUP.ok("directory", format_args!("{directory} is not there yet, and can be made")),
        };
        let room = match &self.room {
            Ok(room) => judge_room(*room),
            Err(error) => GROUP.skipped("room", format_args!("the system does not say: {error}")),
        };
        vec![there, room, judge_syncs(self.syncs.as_deref())]
    }
}

/// The directory, or the nearest one above it that is there.
fn nearest(directory: &Path) -> Result<PathBuf, (PathBuf, io::Error)> {
    let whole = std::path::absolute(directory).map_err(|error| (directory.to_owned(), error))?;
    for path in whole.ancestors() {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Ok(if path == whole { directory.to_owned() } else { path.to_owned() });
            }
            Ok(_) => return Err((path.to_owned(), io::ErrorKind::NotADirectory.into())),
            // what is in the way is further up, if anything is
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err((path.to_owned(), error)),
        }
    }
    Err((whole, io::ErrorKind::NotFound.into()))
}

/// A file without a name, which is gone with this.
struct Probe {
    file: File,
}

impl Probe {
    fn make(place: &Path) -> io::Result<Self> {
        let number = getrandom::u64().map_err(io::Error::other)?;
        let path = place.join(format!("doctor-{number:016x}"));
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self { file })
    }

    /// As the journal does it: a batch, a sync, and a mark behind it that the next sync takes along.
    fn sync(&self) -> io::Result<Vec<Duration>> {
        let (batch, mark) = ([0x5a; BATCH], [0; BATCH_HEAD]);
        let (begun, mut took) = (Instant::now(), Vec::with_capacity(SYNCS));
        while took.len() < SYNCS && begun.elapsed() < SYNCS_WITHIN {
            let at = Instant::now();
            (&self.file).write_all(&batch)?;
            self.file.sync_data()?;
            took.push(at.elapsed());
            (&self.file).write_all(&mark)?;
        }
        Ok(took)
    }
}

fn judge_room(free: u64) -> Check {
    let found = format!("{:.1} GiB are free", free as f64 / (1u64 << 30) as f64);
    let advice = "free some, or name a directory on another disk: a node whose journal cannot grow stops";
    match free {
        ROOM_ENOUGH.. => GROUP.ok("room", found),
        ROOM_LEAST.. => GROUP.warning("room", format_args!("{} MiB are free", free >> 20), advice),
        _ => GROUP.failed("room", format_args!("{} MiB are free", free >> 20), advice),
    }
}

fn judge_syncs(took: Result<&[Duration], &io::Error>) -> Check {
    let name = "disk sync";
    let took = match took {
        Ok(took) => took,
        Err(error) => {
            let found = format!("a file cannot be written and synced: {error}");
            return GROUP.failed(
                name,
                found,
                "look at the disk: nothing that nodes agree on can be kept on it",
            );
        }
    };
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let (Some(median), Some(worst)) = (sorted.get(sorted.len() / 2), sorted.last()) else {
        return GROUP.skipped(name, "nothing was measured");
    };
    let found = format!(
        "median {}, worst {} of {} writes of {} KiB",
        show(*median),
        show(*worst),
        sorted.len(),
        BATCH >> 10
    );
    match *median > SYNC_SLOW {
        false => GROUP.ok(name, found),
        true => GROUP.warning(
            name,
            found,
            "each change that nodes agree on waits for one: put the directory on a disk of its own, or on a faster one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    #[test]
    fn little_room_is_told_of_and_next_to_none_fails() {
        let outcome = |free| judge_room(free).outcome;
        assert_eq!(outcome(5 << 30), Outcome::Ok);
        assert_eq!(outcome((1 << 30) - 1), Outcome::Warning);
        assert_eq!(outcome(64 << 20), Outcome::Warning);
        assert_eq!(outcome((64 << 20) - 1), Outcome::Failed);
    }

    #[test]
    fn a_disk_is_judged_by_the_median_of_its_syncs() {
        let millis = |all: &[u64]| all.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        let check = judge_syncs(Ok(&millis(&[3, 1, 900, 2, 4])));
        assert_eq!(check.outcome, Outcome::Ok, "one slow sync is no slow disk");
        assert_eq!(check.found, "median 3ms, worst 900ms of 5 writes of 4 KiB");
        assert_eq!(judge_syncs(Ok(&millis(&[9, 11, 12]))).outcome, Outcome::Warning);
        assert_eq!(judge_syncs(Ok(&millis(&[10]))).outcome, Outcome::Ok);
        let error = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(judge_syncs(Err(&error)).outcome, Outcome::Failed);
    }

    #[test]
    fn a_directory_that_is_not_there_is_measured_where_it_would_be_made_and_nothing_is_left() {
        let place = std::env::temp_dir().join(format!("odeon-doctor-{}", std::process::id()));
        // a former process may have had the same id
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).expect("it is writable");
        let disk = Disk::measure(&place.join("a/b")).expect("it can be made");
        assert!(!disk.exists && disk.syncs.expect("it is synced").len() > 1);
        assert!(Disk::measure(&place).expect("it is there").exists);
        fs::write(place.join("file"), "").expect("it is ours");
        let (path, error) = Disk::measure(&place.join("file/b")).expect_err("a file is in its place");
        assert_eq!((path, error.kind()), (place.join("file"), io::ErrorKind::NotADirectory));
        assert_eq!(fs::read_dir(&place).expect("it is there").count(), 1);
        fs::remove_dir_all(&place).expect("it is ours");
    }
}
