//! The hash: equal runs are equal, and whatever differs shows, be it one byte, one write or one log line.

use crate::support::{on_fresh_thread, said, simulate};
use odeon_simulator::{NetworkOptions, Options, Report, Simulation, trace};
use std::time::Duration;
use tokio::net::UdpSocket;

/// A program without anything whose order is chance, so that runs in one process can be compared.
fn plain(seed: u64, word: &'static str) -> Report {
    on_fresh_thread(move || {
        let network = NetworkOptions { loss: 0.1, ..NetworkOptions::default() };
        let mut simulation = Simulation::new(Options { network, ..Options::calm(seed) }, false);
        let ear = simulation.host("ear", |_| async {
            let socket = UdpSocket::bind("0.0.0.0:9").await.expect("the port is free");
            let mut buffer = [0; 64];
            while let Ok((length, _)) = socket.recv_from(&mut buffer).await {
                std::fs::write("/sim/data/last", &buffer[..length]).expect("the disk works");
            }
        });
        let to = simulation.address(ear);
        let mouth = simulation.host("mouth", move |_| async move {
            let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a port is free");
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let _ = socket.send_to(word.as_bytes(), (to, 9)).await;
            }
        });
        simulation.start(ear);
        simulation.start(mouth);
        simulation.run_for(Duration::from_secs(5));
        simulation.finish()
    })
}

#[test]
fn equal_runs_have_equal_hashes_and_others_do_not() {
    let first = plain(1, "word");
    assert!(first.is_clean(), "{first}");
    let second = plain(1, "word");
    assert_eq!((first.hash, &first.statistics), (second.hash, &second.statistics));
    assert_ne!(first.hash, plain(2, "word").hash, "another seed");
    assert_ne!(first.hash, plain(1, "ward").hash, "another byte in a datagram");
}

#[test]
fn events_and_spans_of_tracing_are_lines_of_their_host() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |_| async {
            let span = tracing::info_span!(target: "odeon_test", "call", method = "greet");
            let _inside = span.enter();
            tracing::debug!(target: "odeon_test", number = 7, "a detail");
            tracing::info!(target: "elsewhere", "news of a library");
            tracing::debug!(target: "elsewhere", "noise of a library");
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    });
    let lines = said(&report, "a");
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("span 1 call method=greet"), "{lines:#?}");
    assert!(has("DEBUG odeon_test a detail number=7 [call method=greet]"), "{lines:#?}");
    assert!(has("INFO elsewhere news of a library [call method=greet]"), "{lines:#?}");
    assert!(!has("noise"), "{lines:#?}");
}

#[test]
fn a_log_line_changes_the_hash_and_a_violation_fails_the_run() {
    let run = |line: &'static str| {
        simulate(Options::calm(1), move |simulation| {
            let host = simulation.host("a", move |_| async move { trace::line(line) });
            simulation.start(host);
            simulation.run_for(Duration::from_secs(1));
            if line == "bad" {
                simulation.violation(String::from("two owners of one key"));
            }
        })
    };
    let (good, other, bad) = (run("good"), run("fine"), run("bad"));
    assert_ne!(good.hash, other.hash);
    assert!(good.is_clean() && !bad.is_clean());
    assert!(bad.violations[0].contains("two owners of one key"));
}

#[test]
fn a_script_can_wait_for_a_fact() {
    on_fresh_thread(|| {
        let mut simulation = Simulation::new(Options::calm(1), true);
        let host = simulation.host("a", |_| async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            trace::line("ready");
        });
        simulation.start(host);
        let ready =
            |simulation: &mut Simulation| simulation.lines().iter().any(|line| line.contains("ready"));
        assert!(simulation.run_until(Duration::from_secs(10), ready));
        assert_eq!(simulation.now().as_secs(), 3);
        assert!(!simulation.run_until(Duration::from_secs(10), |_| false));
        assert_eq!(simulation.now().as_secs(), 13);
    });
}
