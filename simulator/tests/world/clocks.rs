//! Time as programs see it: virtual, drifting, skewed, and standing still inside a turn.

use crate::support::{assert_clean, has_said, said, simulate};
use odeon_simulator::{MachineOptions, Options, trace};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Options under which a turn takes no time, so that clocks can be compared to the millisecond.
fn exact(seed: u64) -> Options {
    let machines =
        MachineOptions { turn_min: Duration::ZERO, turn_max: Duration::ZERO, ..Default::default() };
    Options { machines, ..Options::calm(seed) }
}

#[test]
fn both_clocks_of_std_are_virtual() {
    let report = simulate(exact(1), |simulation| {
        let host = simulation.host("a", |_| async {
            let (monotonic, wall) = (Instant::now(), SystemTime::now());
            tokio::time::sleep(Duration::from_millis(1_234)).await;
            let passed = wall.elapsed().expect("the wall clock runs forward");
            trace::line(&format!("{} {}", monotonic.elapsed().as_millis(), passed.as_millis()));
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(3));
    });
    assert_clean(&report);
    assert!(has_said(&report, "a", "1234 1234"), "{:#?}", report.lines);
}

#[test]
fn a_skewed_wall_clock_is_off_and_a_monotonic_one_is_not() {
    let report = simulate(exact(3), |simulation| {
        let program = |_| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
            trace::line(&format!("wall {}", wall.as_millis()));
        };
        let right = simulation.host("right", program);
        let wrong = simulation.host("wrong", program);
        simulation.skew(wrong, -2_500_000_000);
        simulation.start(right);
        simulation.start(wrong);
        simulation.run_for(Duration::from_secs(2));
    });
    assert!(has_said(&report, "right", "wall 1893456001000"), "{:#?}", report.lines);
    assert!(has_said(&report, "wrong", "wall 1893455998500"), "{:#?}", report.lines);
}

#[test]
fn a_monotonic_clock_is_one_for_all_executors_of_a_host_though_one_of_them_waits_for_a_disk() {
    let mut options = exact(5);
    (options.machines.executors_min, options.machines.executors_max) = (2, 2);
    (options.disks.sync_min, options.disks.sync_max) = (Duration::from_millis(5), Duration::from_millis(9));
    let report = simulate(options, |simulation| {
        let host = simulation.host("a", |machine| async move {
            let latest = std::sync::Arc::new(std::sync::Mutex::new(Instant::now()));
            let tasks = machine.executors.iter().enumerate().map(|(at, executor)| {
                let (latest, path) = (latest.clone(), machine.directory.join(at.to_string()));
                executor.spawn(async move {
                    for _ in 0..200 {
                        if at == 0 {
                            let file = std::fs::File::create(&path).expect("there is room");
                            file.sync_all().expect("the disk is sound");
                        }
                        let now = Instant::now();
                        let before = std::mem::replace(&mut *latest.lock().expect("nobody panics"), now);
                        assert!(now >= before, "{:?} before what was read", before - now);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.expect("it does not go back");
            }
            trace::line("never back");
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(10));
    });
    assert_clean(&report);
    assert!(has_said(&report, "a", "never back"), "{:#?}", report.lines);
}

/// When, in the world's time, a host finished a thousand local seconds of ticks.
fn finished_at(lines: &[String], host: &str) -> f64 {
    let line = lines.iter().find(|line| line.contains(host) && line.contains("thousand seconds"));
    let time = line.and_then(|line| line.split(' ').next()).expect("the host finished");
    time.parse().expect("a line begins with its time")
}

#[test]
fn a_drifting_clock_takes_its_timers_along_and_a_change_of_rate_takes_effect_in_mid_sleep() {
    let report = simulate(exact(1), |simulation| {
        let program = |_| async {
            let (monotonic, wall) = (Instant::now(), SystemTime::now());
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            for _ in 0..=1_000 {
                ticks.tick().await;
            }
            let wall = wall.elapsed().expect("the wall clock runs forward");
            trace::line(&format!("thousand seconds: {:?} and {:?}", monotonic.elapsed(), wall));
        };
        let hosts = ["fast", "right", "slow"].map(|name| simulation.host(name, program));
        hosts.iter().for_each(|host| simulation.start(*host));
        simulation.drift(hosts[0], 200);
        simulation.drift(hosts[2], -200);
        simulation.run_for(Duration::from_secs(500));
        simulation.drift(hosts[2], 0);
        simulation.run_for(Duration::from_secs(600));
    });
    assert_clean(&report);
    let expected = [("fast", 1_000.0 / 1.000_2), ("right", 1_000.0), ("slow", 1_000.1)];
    for (host, time) in expected {
        let found = finished_at(&report.lines, host);
        assert!((found - time).abs() < 0.002, "{host} finished at {found}, not at {time}");
    }
}

#[test]
fn a_busy_wait_ends_when_reading_a_clock_costs_time_and_delays_its_own_host_only() {
    let machines = MachineOptions { clock_read: Duration::from_nanos(100), ..Default::default() };
    let report = simulate(Options { machines, ..Options::calm(1) }, |simulation| {
        let program = |spins: bool| async move {
            let start = Instant::now();
            while spins && start.elapsed() < Duration::from_millis(3) {}
            tokio::time::sleep(Duration::from_millis(1)).await;
            trace::line(&format!("woke after {}", start.elapsed().as_millis()));
        };
        let spinning = simulation.host("spinning", move |_| program(true));
        let other = simulation.host("other", move |_| program(false));
        simulation.start(spinning);
        simulation.start(other);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    let spun = said(&report, "spinning").join(" ");
    assert!(spun.contains("woke after 4") || spun.contains("woke after 5"), "{spun}");
    let free = said(&report, "other").join(" ");
    assert!(free.contains("woke after 1") || free.contains("woke after 2"), "{free}");
}

#[test]
fn a_slow_host_falls_behind_under_a_load_that_a_normal_one_carries() {
    let machines = MachineOptions {
        turn_min: Duration::from_micros(20),
        turn_max: Duration::from_micros(20),
        ..Default::default()
    };
    let report = simulate(Options { machines, ..Options::calm(1) }, |simulation| {
        let program = |_| async {
            let start = Instant::now();
            for _ in 0..1_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            trace::line(&format!("a thousand naps took {} ms", start.elapsed().as_millis()));
        };
        let normal = simulation.host("normal", program);
        let slow = simulation.host("slow", program);
        simulation.slow_down(slow, 200);
        simulation.start(normal);
        simulation.start(slow);
        simulation.run_for(Duration::from_secs(20));
    });
    let took = |host: &str| -> u64 {
        let lines = said(&report, host);
        let line = lines.iter().find(|line| line.contains("naps took")).expect("the host woke up");
        line.split(' ').nth_back(1).and_then(|word| word.parse().ok()).expect("a number of milliseconds")
    };
    assert!(took("normal") <= 2_100, "{}", took("normal"));
    assert!(took("slow") >= 4_000, "{}", took("slow"));
}
