//! The disk by itself: what a loss of power does to bytes and names.

use super::*;

fn disk(strict_names: bool) -> Disk {
    let mut disk = Disk::new(Stream::new(1, "disk"));
    disk.faults.strict_names = strict_names;
    disk.install_directory("/sim/data");
    disk
}

/// Makes a file with these bytes, unsynced.
fn write(disk: &mut Disk, path: &str, bytes: &[u8]) -> u64 {
    let file = disk.open(path, libc::O_CREAT | libc::O_WRONLY, 0o644, 0).expect("the directory exists");
    disk.inode(file.inode).write(0, bytes, 0);
    file.inode
}

fn lose_power(disk: &mut Disk) -> Counters {
    let mut counters = Counters::default();
    disk.crash(false, &mut counters);
    counters
}

#[test]
fn what_was_synced_survives_a_loss_of_power() {
    for strict in [false, true] {
        let mut disk = disk(strict);
        let number = write(&mut disk, "/sim/data/x", &[7; 10_000]);
        assert_eq!(disk.sync(Some(number), "").1, Ok(()));
        assert_eq!(disk.sync(None, "/sim/data").1, Ok(()));
        let counters = lose_power(&mut disk);
        assert_eq!((counters.pages_lost, counters.pages_torn, counters.names_lost), (0, 0, 0));
        assert_eq!(disk.inode(number).from(0), &[7; 10_000]);
    }
}

#[test]
fn a_dead_process_loses_nothing() {
    let mut disk = disk(true);
    let number = write(&mut disk, "/sim/data/x", &[7; 10_000]);
    disk.crash(true, &mut Counters::default());
    assert_eq!(disk.inode(number).from(0), &[7; 10_000]);
}

#[test]
fn unsynced_pages_are_lost_kept_or_torn_by_sectors() {
    let mut disk = disk(false);
    let number = write(&mut disk, "/sim/data/x", &vec![1; 4_096 * 200]);
    assert_eq!(disk.sync(Some(number), "").1, Ok(()));
    disk.inode(number).write(0, &vec![2; 4_096 * 200], 0);
    let counters = lose_power(&mut disk);
    assert!(counters.pages_lost > 50 && counters.pages_kept > 20 && counters.pages_torn > 20, "{counters:?}");
    for sector in disk.inode(number).from(0).chunks(512) {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is written whole or not at all");
    }
}

#[test]
fn pages_of_a_failed_sync_are_not_durable_after_the_next_one() {
    let mut disk = disk(false);
    let number = write(&mut disk, "/sim/data/x", &vec![1; 4_096 * 100]);
    assert_eq!(disk.sync(Some(number), "").1, Ok(()));
    disk.inode(number).write(0, &vec![2; 4_096 * 100], 0);
    disk.faults.sync_failure = 1.0;
    assert_eq!(disk.sync(Some(number), "").1, Err(Errno(libc::EIO)));
    disk.faults.sync_failure = 0.0;
    assert_eq!(disk.sync(Some(number), "").1, Ok(()));
    assert!(lose_power(&mut disk).pages_lost > 20);
}

#[test]
fn on_a_strict_disk_a_name_needs_the_sync_of_its_own_directory() {
    let survives = |directory: &str, seed: u64| {
        let mut disk = disk(true);
        disk.chance = Stream::new(seed, "power");
        disk.install_directory("/sim/data/a");
        disk.install_directory("/sim/data/b");
        let number = write(&mut disk, "/sim/data/a/x", b"x");
        assert_eq!(disk.sync(Some(number), "").1, Ok(()));
        assert_eq!(disk.sync(None, directory).1, Ok(()));
        lose_power(&mut disk);
        disk.names.file("/sim/data/a/x").is_some()
    };
    assert!((0..20).all(|seed| survives("/sim/data/a", seed)));
    assert!(!(0..20).all(|seed| survives("/sim/data/b", seed)));
}

#[test]
fn undoing_a_rename_brings_the_replaced_file_back() {
    for seed in 0..20 {
        let mut disk = disk(false);
        disk.chance = Stream::new(seed, "power");
        let old = write(&mut disk, "/sim/data/manifest", b"old");
        assert_eq!(disk.sync(Some(old), "").1, Ok(()));
        let new = write(&mut disk, "/sim/data/next", b"new");
        assert_eq!(disk.sync(Some(new), "").1, Ok(()));
        assert_eq!(disk.rename("/sim/data/next", "/sim/data/manifest"), Ok(()));
        let undone = lose_power(&mut disk).names_lost == 1;
        let held = disk.names.file("/sim/data/manifest").expect("one of both is there");
        assert_eq!(held, if undone { old } else { new });
        assert_eq!(disk.inodes.contains_key(&old), undone, "a file without a name is gone");
    }
}

#[test]
fn a_removed_file_lives_until_it_is_closed_and_its_removal_is_durable() {
    let mut disk = disk(false);
    let file =
        disk.open("/sim/data/x", libc::O_CREAT | libc::O_RDWR, 0o644, 0).expect("the directory exists");
    disk.remove("/sim/data/x").expect("the file has a name");
    assert!(disk.inodes.contains_key(&file.inode));
    disk.close(&file);
    assert!(disk.inodes.contains_key(&file.inode), "a loss of power may bring the name back");
    disk.unpin_all();
    assert!(!disk.inodes.contains_key(&file.inode));
}

#[test]
fn a_lost_directory_takes_its_files_along() {
    let mut disk = disk(true);
    disk.names.make_directory("/sim/data/log").expect("the directory above exists");
    let number = write(&mut disk, "/sim/data/log/x", b"x");
    assert_eq!(disk.sync(Some(number), "").1, Ok(()));
    assert_eq!(disk.sync(None, "/sim/data/log").1, Ok(()));
    while disk.names.undo_last().is_some() {}
    assert!(disk.names.file("/sim/data/log/x").is_none());
}

#[test]
fn range_locks_split_and_exclude_others() {
    let mut locks = locks::Locks::default();
    locks.set_range(locks::Range::new(1, 0, 100, true), true);
    locks.set_range(locks::Range::new(1, 40, 60, true), false);
    let in_way = |locks: &locks::Locks, start, end| locks.conflict(&locks::Range::new(2, start, end, false));
    assert!(in_way(&locks, 0, 10).is_some() && in_way(&locks, 90, 200).is_some());
    assert!(in_way(&locks, 40, 60).is_none());
    locks.release(1);
    assert!(in_way(&locks, 0, u64::MAX).is_none());
}

#[test]
fn what_a_machine_finds_when_it_starts_again_is_no_more_durable_than_before() {
    let lost = (0..20).any(|seed| {
        let mut disk = disk(false);
        disk.chance = Stream::new(seed, "power");
        write(&mut disk, "/sim/data/x", b"x");
        // only the process has died
        disk.install_directory("/sim/data");
        lose_power(&mut disk);
        disk.names.file("/sim/data/x").is_none()
    });
    assert!(lost);
}
