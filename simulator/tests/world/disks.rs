//! Virtual disks: a hand-written log and an atomically replaced manifest survive crashes inside their writes,
//! and the usual mistakes (no sync, a lying disk, no sync of the directory) are caught.

use crate::support::{assert_clean, has_said, on_fresh_thread, said, simulate};
use odeon_simulator::{Crash, DiskOptions, HostId, Options, Report, Simulation, trace};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Which steps a log writer takes for durability.
#[derive(Clone, Copy)]
struct Care {
    files: bool,
    directories: bool,
}

const CAREFUL: Care = Care { files: true, directories: true };

fn sync_directory(path: &str, care: Care) -> io::Result<()> {
    if care.directories { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Appends 1, 2, 3 … and acknowledges each; at its start checks that nothing acknowledged is missing.
async fn keep_log(incarnation: u64, acknowledged: Arc<AtomicU64>, care: Care) -> io::Result<()> {
    fs::create_dir_all("/sim/data/log")?;
    sync_directory("/sim/data", care)?;
    let mut log = OpenOptions::new().read(true).append(true).create(true).open("/sim/data/log/entries")?;
    sync_directory("/sim/data/log", care)?;
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    let entries = bytes.chunks_exact(8).zip(1u64..);
    let mut count = entries.take_while(|(entry, number)| *entry == number.to_le_bytes()).count() as u64;
    log.set_len(count * 8)?;
    log.seek(SeekFrom::End(0))?;
    let promised = acknowledged.load(Ordering::Relaxed);
    assert!(count >= promised, "{promised} entries were acknowledged, {count} are left");
    if let Ok(manifest) = fs::read_to_string("/sim/data/manifest") {
        assert!(manifest.starts_with("incarnation") && manifest.ends_with('.'), "a torn manifest");
    }
    let mut next = File::create("/sim/data/manifest.next")?;
    write!(next, "incarnation {incarnation} {}.", "x".repeat(5_000))?;
    next.sync_all()?;
    fs::rename("/sim/data/manifest.next", "/sim/data/manifest")?;
    sync_directory("/sim/data", care)?;
    loop {
        tokio::time::sleep(Duration::from_millis(7)).await;
        count += 1;
        log.write_all(&count.to_le_bytes())?;
        if care.files {
            log.sync_data()?;
        }
        acknowledged.store(count, Ordering::Relaxed);
        let mut again = [0; 8];
        log.read_exact_at(&mut again, (count - 1) * 8)?;
        assert_eq!(again, count.to_le_bytes());
    }
}

/// A host with a log, and `rounds` of crashes at seeded moments: between turns, or inside file calls.
fn crashing(seed: u64, disks: DiskOptions, care: Care, inside: bool, rounds: u64) -> Report {
    on_fresh_thread(move || {
        let mut simulation = Simulation::new(Options { disks, ..Options::calm(seed) }, true);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let host = simulation.host("log", move |machine| {
            let acknowledged = acknowledged.clone();
            async move {
                let ended = keep_log(machine.incarnation, acknowledged, care).await;
                trace::line(&format!("log ended: {ended:?}"));
            }
        });
        simulation.start(host);
        for _ in 0..rounds {
            crash_once(&mut simulation, host, inside);
        }
        simulation.run_for(Duration::from_secs(1));
        simulation.finish()
    })
}

fn crash_once(simulation: &mut Simulation, host: HostId, inside: bool) {
    let draw = simulation.random();
    let how = if draw & 3 == 0 { Crash::Process } else { Crash::Power };
    simulation.run_for(Duration::from_micros(50_000 + draw % 500_000));
    if inside {
        simulation.crash_at_file_call(host, (draw >> 20) % 40, how, Some(Duration::from_millis(100)));
        simulation.run_for(Duration::from_millis(800));
    } else {
        simulation.restart(host, how);
    }
}

fn strict() -> DiskOptions {
    DiskOptions { strict_names: true, ..DiskOptions::default() }
}

#[test]
fn a_careful_log_survives_crashes_between_its_turns_and_inside_its_writes() {
    let (mut lost, mut torn) = (0, 0);
    for seed in 1..=30 {
        for inside in [false, true] {
            let report = crashing(seed, strict(), CAREFUL, inside, 8);
            assert!(report.is_clean(), "seed {seed}, inside {inside}: {report}");
            assert!(report.statistics.crashes > 8, "seed {seed}, inside {inside}: {:?}", report.statistics);
            lost += report.statistics.pages_lost + report.statistics.names_lost;
            torn += report.statistics.pages_torn;
        }
    }
    assert!(lost > 20 && torn > 10, "{lost} lost and {torn} torn: the crashes were too gentle to prove much");
}

/// How many of some seeds catch a mistake.
fn caught(disks: DiskOptions, care: Care) -> usize {
    let is_caught = |report: Report| report.panics.iter().any(|panic| panic.contains("acknowledged"));
    (1..=20).filter(|seed| is_caught(crashing(*seed, disks.clone(), care, false, 8))).count()
}

#[test]
fn a_log_without_sync_is_caught() {
    let found = caught(DiskOptions::default(), Care { files: false, ..CAREFUL });
    assert!(found >= 18, "caught by {found} of 20 seeds");
}

#[test]
fn a_disk_that_lies_about_sync_is_caught() {
    let found = caught(DiskOptions { sync_lies: true, ..DiskOptions::default() }, CAREFUL);
    assert!(found >= 15, "caught by {found} of 20 seeds");
}

#[test]
fn a_directory_without_sync_is_caught_on_a_strict_disk() {
    let found = caught(strict(), Care { directories: false, ..CAREFUL });
    assert!(found >= 3, "caught by {found} of 20 seeds");
}

#[test]
fn a_machine_that_loses_power_after_its_process_died_loses_what_was_not_synced() {
    let left = |power: bool, seed: u64| {
        let report = simulate(Options::calm(seed), move |simulation| {
            let host = simulation.host("a", |machine| async move {
                let path = machine.directory.join("x");
                let found = fs::read(&path).map(|bytes| bytes.iter().filter(|byte| **byte == 7).count());
                trace::line(&format!("found {:?}", found.unwrap_or(0)));
                fs::write(&path, vec![7; 100_000]).expect("the disk works");
            });
            simulation.start(host);
            simulation.run_for(Duration::from_secs(1));
            simulation.crash(host, Crash::Process);
            if power {
                simulation.crash(host, Crash::Power);
            }
            simulation.start(host);
            simulation.run_for(Duration::from_secs(1));
        });
        assert_clean(&report);
        has_said(&report, "a", "found 100000")
    };
    assert!((1..=10).all(|seed| left(false, seed)));
    assert!(!(1..=10).any(|seed| left(true, seed)));
}

/// One program on one disk, for a second.
fn once(disks: DiskOptions, program: fn() -> io::Result<String>) -> Report {
    simulate(Options { disks, ..Options::calm(1) }, move |simulation| {
        let host = simulation.host("a", move |_| async move {
            let start = std::time::Instant::now();
            let result = program();
            trace::line(&format!("{result:?} after {} ms", start.elapsed().as_millis()));
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    })
}

#[test]
fn a_slow_sync_blocks_its_host_and_a_failing_one_is_seen() {
    let slow = Duration::from_millis(40);
    let disks = DiskOptions { sync_min: slow, sync_max: slow, ..DiskOptions::default() };
    let report = once(disks, || {
        let mut file = File::create("/sim/data/x")?;
        file.write_all(b"x")?;
        file.sync_all()?;
        file.sync_all()?;
        Ok(String::from("synced"))
    });
    assert_clean(&report);
    assert!(has_said(&report, "a", r#"Ok("synced") after 80 ms"#), "{:?}", said(&report, "a"));
    let report = once(DiskOptions { sync_failure: 1.0, ..DiskOptions::default() }, || {
        File::create("/sim/data/x")?.sync_all()?;
        Ok(String::from("synced"))
    });
    assert!(has_said(&report, "a", "Err(Os { code: 5"), "{:?}", said(&report, "a"));
}

#[test]
fn a_full_disk_refuses_more() {
    let report = once(DiskOptions { capacity: Some(10_000), ..DiskOptions::default() }, || {
        fs::write("/sim/data/fits", vec![0; 9_000])?;
        let full = fs::write("/sim/data/does-not", vec![0; 2_000]);
        fs::remove_file("/sim/data/fits")?;
        Ok(format!("{:?}", full.map_err(|error| error.kind())))
    });
    assert_clean(&report);
    assert!(has_said(&report, "a", "StorageFull"), "{:?}", said(&report, "a"));
}

#[test]
fn the_calls_of_std_on_files_and_directories_work() {
    let report = once(DiskOptions::default(), || {
        let root = std::path::Path::new("/sim/data/tree");
        fs::create_dir_all(root.join("a/b"))?;
        fs::write(root.join("a/one"), b"one")?;
        fs::write(root.join("a/b/two"), b"two")?;
        fs::rename(root.join("a"), root.join("c"))?;
        fs::copy(root.join("c/one"), root.join("three"))?;
        fs::set_permissions(root.join("three"), fs::Permissions::from_mode(0o600))?;
        let mode = fs::metadata(root.join("three"))?.permissions().mode() & 0o777;
        let names = fs::read_dir(root)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        let names = names.collect::<io::Result<Vec<_>>>()?.join(",");
        let two = fs::read_to_string(root.join("c/b/../b/two"))?;
        let missing = fs::metadata(root.join("a/one")).map_err(|error| error.kind());
        let locked = File::open(root.join("three"))?;
        locked.lock()?;
        let other = File::open(root.join("three"))?.try_lock().is_err();
        fs::remove_dir_all(root)?;
        let gone = !fs::exists(root)?;
        Ok(format!("{mode:o} {names} {two} {:?} locked {other} gone {gone}", missing.map(drop)))
    });
    assert_clean(&report);
    let expected = "600 three,c two Err(NotFound) locked true gone true";
    assert!(has_said(&report, "a", expected), "{:?}", said(&report, "a"));
}

#[test]
fn each_host_has_a_disk_of_its_own_and_a_wiped_one_is_empty() {
    let report = simulate(Options::calm(1), |simulation| {
        let program = |machine: odeon_simulator::Machine| async move {
            let path = machine.directory.join("name");
            trace::line(&format!("found {:?}", fs::read_to_string(&path).ok()));
            fs::write(&path, &machine.name).expect("the disk works");
        };
        let (a, b) = (simulation.host("a", program), simulation.host("b", program));
        simulation.start(a);
        simulation.start(b);
        simulation.run_for(Duration::from_secs(1));
        simulation.restart(a, Crash::Process);
        simulation.run_for(Duration::from_secs(1));
        simulation.crash(a, Crash::Process);
        simulation.wipe_disk(a);
        simulation.start(a);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    let found: Vec<String> =
        said(&report, "a").into_iter().filter(|line| line.starts_with("found")).collect();
    assert_eq!(found, ["found None", r#"found Some("a")"#, "found None"]);
    assert!(has_said(&report, "b", "found None"));
}
