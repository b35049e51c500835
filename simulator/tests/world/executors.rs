//! Several executors of one host: each has its own clockwork, and they wake each other.

use crate::support::{assert_clean, has_said, on_fresh_thread, simulate};
use odeon_simulator::{Crash, MachineOptions, Options, Simulation, trace};
use std::time::Duration;
use tokio::sync::mpsc;

fn three() -> Options {
    let machines = MachineOptions { executors_min: 3, executors_max: 3, ..Default::default() };
    Options { machines, ..Options::calm(5) }
}

#[test]
fn executors_wake_each_other_at_once_and_keep_timers_of_their_own() {
    let report = simulate(three(), |simulation| {
        let host = simulation.host("a", |machine| async move {
            assert_eq!(machine.executors.len(), 3);
            let (to_second, mut second) = mpsc::channel::<u64>(1);
            let (to_third, mut third) = mpsc::channel::<u64>(1);
            let (to_first, mut first) = mpsc::channel::<u64>(1);
            machine.executors[1].spawn(async move {
                while let Some(number) = second.recv().await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    let _ = to_third.send(number + 1).await;
                }
            });
            machine.executors[2].spawn(async move {
                while let Some(number) = third.recv().await {
                    let _ = to_first.send(number + 1).await;
                }
            });
            let start = tokio::time::Instant::now();
            let mut number = 0;
            for _ in 0..100 {
                let _ = to_second.send(number).await;
                number = first.recv().await.expect("the ring is closed");
            }
            trace::line(&format!("{number} hops in {} ms", start.elapsed().as_millis()));
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(5));
    });
    assert_clean(&report);
    let found = report.lines.iter().find(|line| line.contains("200 hops in")).expect("the ring went round");
    let took: u64 = found.split(' ').nth_back(1).and_then(|word| word.parse().ok()).expect("milliseconds");
    assert!((1_000..=1_250).contains(&took), "a hundred waits of 10 to 11 ms took {took} ms");
}

#[test]
fn a_crash_takes_all_executors_and_a_restart_brings_all_back() {
    let report = simulate(three(), |simulation| {
        let host = simulation.host("a", |machine| async move {
            for (index, executor) in machine.executors.iter().enumerate() {
                let incarnation = machine.incarnation;
                executor.spawn(async move {
                    loop {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        trace::line(&format!("tick {index} of {incarnation}"));
                    }
                });
            }
        });
        simulation.start(host);
        simulation.run_for(Duration::from_millis(250));
        simulation.crash(host, Crash::Process);
        simulation.run_for(Duration::from_secs(5));
        simulation.start(host);
        simulation.run_for(Duration::from_millis(150));
    });
    assert_clean(&report);
    for index in 0..3 {
        let ticks = |incarnation: u64| {
            let text = format!("tick {index} of {incarnation}");
            report.lines.iter().filter(|line| line.contains(&text)).count()
        };
        assert_eq!((ticks(1), ticks(2)), (2, 1));
    }
}

#[test]
fn a_busy_executor_does_not_hold_up_its_neighbours() {
    let mut options = three();
    options.machines.clock_read = Duration::from_nanos(100);
    let report = simulate(options, |simulation| {
        let host = simulation.host("a", |machine| async move {
            machine.executors[1].spawn(async {
                let start = std::time::Instant::now();
                while start.elapsed() < Duration::from_millis(50) {}
                trace::line("spun");
            });
            machine.executors[2].spawn(async {
                let start = std::time::Instant::now();
                tokio::time::sleep(Duration::from_millis(5)).await;
                trace::line(&format!("slept {}", start.elapsed().as_millis()));
            });
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    assert!(has_said(&report, "a", "slept 5") || has_said(&report, "a", "slept 6"), "{:#?}", report.lines);
}

#[test]
fn a_script_wakes_a_program_through_a_channel() {
    let report = on_fresh_thread(|| {
        let mut simulation = Simulation::new(Options::calm(1), true);
        let (say, hear) = mpsc::unbounded_channel::<&'static str>();
        let hear = std::sync::Arc::new(tokio::sync::Mutex::new(hear));
        let host = simulation.host("a", move |_| {
            let hear = hear.clone();
            async move {
                while let Some(word) = hear.lock().await.recv().await {
                    trace::line(&format!("heard {word}"));
                }
            }
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
        simulation.at(Duration::from_secs(1), move |_| say.send("now").expect("the program listens"));
        simulation.run_for(Duration::from_secs(2));
        simulation.finish()
    });
    let line = report.lines.iter().find(|line| line.contains("heard now")).expect("the word arrived");
    assert!(line.starts_with("2.0000"), "{line}");
}
