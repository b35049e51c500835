//! What must not happen inside a simulation is named in the report.

use crate::support::{assert_clean, simulate};
use odeon_simulator::{Options, Report};
use std::time::Duration;

/// The report of a program that does this once.
fn doing<Fut: Future<Output = ()> + Send + 'static>(program: fn() -> Fut) -> Report {
    simulate(Options::calm(7), move |simulation| {
        let host = simulation.host("culprit", move |_| program());
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    })
}

fn assert_names(report: &Report, what: &str) {
    let named = report.leaks.iter().any(|leak| leak.contains(what) && leak.contains("on culprit"));
    assert!(named, "{what} is not among {:?}", report.leaks);
}

#[test]
fn threads_are_named() {
    assert_names(&doing(|| async { drop(tokio::task::spawn_blocking(|| 1).await) }), "pthread_create");
    assert_names(&doing(|| async { drop(std::thread::spawn(|| 1).join()) }), "pthread_create");
    assert_names(&doing(|| async { drop(tokio::net::lookup_host("localhost:1").await) }), "pthread_create");
}

#[test]
fn sleeping_and_blocking_are_named() {
    let sleeping = || async { std::thread::sleep(Duration::from_millis(5)) };
    assert_names(&doing(sleeping), "sleep");
    let connecting = || async { drop(std::net::TcpStream::connect("127.0.0.1:1")) };
    assert_names(&doing(connecting), "a blocking connect");
    let receiving = || async {
        let socket = std::net::UdpSocket::bind("127.0.0.1:1").expect("the port is free");
        let _ = socket.recv(&mut [0; 8]);
    };
    assert_names(&doing(receiving), "a blocking read");
}

#[test]
fn files_of_the_real_machine_are_named() {
    assert_names(&doing(|| async { drop(std::fs::read("/etc/hostname")) }), "a path outside /sim");
    assert_names(&doing(|| async { drop(std::fs::metadata("/etc")) }), "a path outside /sim");
}

#[test]
fn processes_and_local_sockets_are_named() {
    assert_names(&doing(|| async { drop(std::process::Command::new("true").status()) }), "a child process");
    assert_names(&doing(|| async { drop(std::os::unix::net::UnixStream::pair()) }), "socketpair");
}

#[test]
fn what_is_virtual_is_not_named() {
    let report = doing(|| async {
        let _ = std::thread::available_parallelism();
        let _ = std::collections::HashMap::<u8, u8>::new();
        let _ = uuid::Uuid::new_v4();
        let _ = tokio::net::TcpStream::connect("127.0.0.1:1").await;
        let _ = std::fs::write("/sim/data/x", b"x");
        assert!(std::env::var("PATH").is_err(), "the environment of a simulated program is empty");
    });
    assert_clean(&report);
}
