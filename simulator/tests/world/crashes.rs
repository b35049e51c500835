//! Crashes: what a dying host can still do (nothing), and panics that nobody else would tell of.

use crate::support::{assert_clean, has_said, simulate};
use odeon_simulator::{Crash, Options, trace};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Sends and writes when it is dropped, as a library with good manners might.
struct Goodbye(UdpSocket);

impl Drop for Goodbye {
    fn drop(&mut self) {
        let _ = self.0.try_send_to(b"goodbye", ([10, 0, 0, 2], 1).into());
        let _ = std::fs::write("/sim/data/goodbye", b"written while dying");
        trace::line("said goodbye");
    }
}

#[test]
fn destructors_of_a_dying_host_reach_neither_network_nor_disk_nor_trace() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |_| async {
            let found = std::fs::exists("/sim/data/goodbye");
            trace::line(&format!("a goodbye on disk: {found:?}"));
            let socket = UdpSocket::bind("0.0.0.0:1").await.expect("the port is free");
            let _goodbye = Goodbye(socket);
            std::future::pending::<()>().await;
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
        simulation.restart(host, Crash::Process);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    assert_eq!(report.statistics.datagrams_sent, 0);
    assert!(report.statistics.suppressed >= 4, "{:?}", report.statistics);
    assert!(!has_said(&report, "a", "said goodbye"));
    assert!(!has_said(&report, "a", "a goodbye on disk: Ok(true)"));
}

#[test]
fn an_appointed_crash_is_void_once_the_host_was_crashed_otherwise() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |_| async {
            let socket = UdpSocket::bind("0.0.0.0:1").await.expect("the port is free");
            loop {
                let _ = socket.send_to(b"tick", "10.0.0.2:1").await;
                let _ = std::fs::write("/sim/data/tick", b"tick");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        // the second time it is down already when the crash is appointed, and when it is crashed
        for _ in 0..2 {
            simulation.crash_at_send(host, 50, Crash::Process, None);
            simulation.crash_at_file_call(host, 50, Crash::Process, None);
            simulation.crash(host, Crash::Power);
            simulation.start(host);
            simulation.run_for(Duration::from_secs(30));
            assert!(simulation.is_up(host), "it crashed without an appointment");
            simulation.crash(host, Crash::Power);
        }
    });
    assert_clean(&report);
}

#[test]
fn what_a_program_spawned_dies_with_its_host() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |_| async {
            for number in 0..3 {
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        trace::line(&format!("tick {number}"));
                    }
                });
            }
        });
        simulation.start(host);
        simulation.run_for(Duration::from_millis(250));
        simulation.crash(host, Crash::Power);
        simulation.run_for(Duration::from_secs(5));
    });
    assert_eq!(report.lines.iter().filter(|line| line.contains("tick ")).count(), 6);
}

#[test]
fn a_script_may_hold_what_belonged_to_a_dead_host() {
    let report = simulate(Options::calm(1), |simulation| {
        let (give, take) = std::sync::mpsc::channel();
        let host = simulation.host("a", move |machine| {
            let give = give.clone();
            async move {
                let socket = UdpSocket::bind("0.0.0.0:1").await.expect("the port is free");
                give.send((machine, socket)).expect("the script listens");
                std::future::pending::<()>().await;
            }
        });
        for _ in 0..3 {
            simulation.start(host);
            simulation.run_for(Duration::from_secs(1));
            simulation.crash(host, Crash::Power);
        }
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
        for (machine, socket) in take.try_iter().take(2) {
            machine.executors[0].spawn(std::future::pending::<()>());
            drop((socket, machine));
        }
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
}

#[test]
fn a_crash_at_the_third_send_lets_two_datagrams_out() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |machine| async move {
            trace::line(&format!("incarnation {}", machine.incarnation));
            if machine.incarnation == 1 {
                let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a port is free");
                for number in 0..10 {
                    let sent = socket.send_to(&[number], "10.0.0.2:1").await;
                    trace::line(&format!("sent {number}: {}", sent.is_ok()));
                }
            }
        });
        simulation.crash_at_send(host, 2, Crash::Power, Some(Duration::from_millis(100)));
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    assert_eq!(report.statistics.datagrams_sent, 2);
    assert_eq!(report.statistics.crashes, 2, "the appointed one and the end of the world");
    assert!(has_said(&report, "a", "sent 1: true") && !has_said(&report, "a", "sent 2"));
    assert!(has_said(&report, "a", "incarnation 2"));
}

#[test]
fn a_panic_that_tokio_swallows_is_told_in_the_report_unless_the_scenario_expects_it() {
    let run = |expected: bool| {
        simulate(Options::calm(1), move |simulation| {
            if expected {
                simulation.expect_panic("the cart is empty");
            }
            let host = simulation.host("shop", |_| async {
                tokio::spawn(async { panic!("the cart is empty") });
            });
            simulation.start(host);
            simulation.run_for(Duration::from_secs(1));
        })
    };
    let report = run(false);
    assert_eq!(report.panics.len(), 1);
    assert!(report.panics[0].contains("shop: the cart is empty"), "{:?}", report.panics);
    assert!(!report.is_clean());
    let report = run(true);
    assert_clean(&report);
    assert!(has_said(&report, "shop", "PANIC the cart is empty"));
}

#[test]
fn a_paused_host_does_nothing_until_it_is_resumed() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |_| async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                trace::line("tick");
            }
        });
        simulation.start(host);
        simulation.run_for(Duration::from_millis(250));
        simulation.pause(host);
        simulation.run_for(Duration::from_secs(10));
        simulation.resume(host);
        simulation.run_for(Duration::from_millis(250));
    });
    let ticks: Vec<&String> = report.lines.iter().filter(|line| line.contains("tick")).collect();
    assert!((4..=6).contains(&ticks.len()), "{ticks:?}");
    assert!(!ticks.iter().any(|line| line.starts_with('5')));
}
