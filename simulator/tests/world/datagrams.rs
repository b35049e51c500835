//! UDP: arrival, loss, duplication, order, cuts, pauses.

use crate::support::{assert_clean, on_fresh_thread, simulate};
use odeon_simulator::{NetworkOptions, Options, Report, Simulation, trace};
use std::time::Duration;
use tokio::net::UdpSocket;

/// One host counts what another sends, a datagram a millisecond; `script` interferes.
fn counted(network: NetworkOptions, script: fn(&mut Simulation)) -> (Report, Vec<u64>) {
    let report = simulate(Options { network, ..Options::calm(7) }, move |simulation| {
        let listener = simulation.host("listener", |_| async {
            let socket = UdpSocket::bind("0.0.0.0:9").await.expect("the port is free");
            let mut buffer = [0; 64];
            loop {
                let (length, _) = socket.recv_from(&mut buffer).await.expect("UDP does not fail");
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                trace::line(&format!("got {text}"));
            }
        });
        let to = simulation.address(listener);
        let sender = simulation.host("sender", move |_| async move {
            let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a port is free");
            for number in 0..1_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                socket.send_to(number.to_string().as_bytes(), (to, 9)).await.expect("UDP does not fail");
            }
        });
        simulation.start(listener);
        simulation.start(sender);
        script(simulation);
        simulation.run_for(Duration::from_secs(5));
    });
    assert_clean(&report);
    let got = report.lines.iter().filter_map(|line| line.split_once("got ")).map(|(_, number)| number);
    let numbers = got.map(|number| number.parse().expect("a number was sent")).collect();
    (report, numbers)
}

#[test]
fn without_faults_each_datagram_arrives_once() {
    let (report, mut numbers) = counted(NetworkOptions::default(), |_| {});
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    assert_eq!(report.statistics.datagrams_sent, 1_000);
    assert_eq!(report.statistics.datagrams_delivered, 1_000);
}

#[test]
fn loss_duplication_and_reordering_happen_about_as_often_as_asked() {
    let loss = NetworkOptions { loss: 0.2, ..Default::default() };
    let lost = 1_000 - counted(loss, |_| {}).1.len();
    assert!((140..260).contains(&lost), "{lost} of 1000 were lost");
    let duplication = NetworkOptions { duplication: 0.2, ..Default::default() };
    let twice = counted(duplication, |_| {}).1.len() - 1_000;
    assert!((140..260).contains(&twice), "{twice} of 1000 came twice");
    let steady = Duration::from_micros(500);
    let reordering = NetworkOptions {
        latency_min: steady,
        latency_max: steady,
        reordering: 0.2,
        reordering_max: Duration::from_millis(20),
        ..Default::default()
    };
    let late = counted(reordering, |_| {}).1.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((100..260).contains(&late), "{late} of 1000 were overtaken");
}

#[test]
fn a_cut_drops_one_direction_until_it_is_healed() {
    let (report, numbers) = counted(NetworkOptions::default(), |simulation| {
        let (listener, sender) = (simulation.find("listener"), simulation.find("sender"));
        simulation.at(Duration::from_millis(200), move |simulation| simulation.cut(sender, listener));
        simulation.at(Duration::from_millis(700), Simulation::heal);
    });
    let lost = report.statistics.datagrams_lost;
    assert!((200..=600).contains(&lost), "{lost} were lost in half a second");
    assert_eq!(numbers.len() as u64 + lost, 1_000);
    let (_, numbers) = counted(NetworkOptions::default(), |simulation| {
        let (listener, sender) = (simulation.find("listener"), simulation.find("sender"));
        simulation.cut(listener, sender);
    });
    assert_eq!(numbers.len(), 1_000, "the other direction is open");
}

#[test]
fn a_paused_host_finds_what_came_meanwhile_up_to_its_buffer() {
    let (_, numbers) = counted(NetworkOptions::default(), |simulation| {
        let listener = simulation.find("listener");
        simulation.at(Duration::from_millis(100), move |simulation| simulation.pause(listener));
        simulation.at(Duration::from_millis(4_000), move |simulation| simulation.resume(listener));
    });
    assert_eq!(numbers.len(), 1_000);
    let report = flood(true);
    let (arrived, lost) = (report.statistics.datagrams_delivered, report.statistics.datagrams_lost);
    assert!(lost > 0, "a paused host's buffer overflows");
    assert!(arrived * 1_000 <= 212_992, "{arrived} datagrams of a thousand bytes are more than a buffer");
    let report = flood(false);
    assert_eq!(report.statistics.datagrams_lost, 0, "a listening host keeps up");
}

/// A host receives a thousand datagrams of a thousand bytes, paused or not.
fn flood(paused: bool) -> Report {
    on_fresh_thread(move || {
        let mut simulation = Simulation::new(Options::calm(2), false);
        let listener = simulation.host("listener", |_| async {
            let socket = UdpSocket::bind("0.0.0.0:9").await.expect("the port is free");
            let mut buffer = [0; 2_000];
            while socket.recv_from(&mut buffer).await.is_ok() {}
        });
        let to = simulation.address(listener);
        let sender = simulation.host("sender", move |_| async move {
            let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a port is free");
            for _ in 0..1_000 {
                socket.send_to(&[0; 1_000], (to, 9)).await.expect("UDP does not fail");
            }
        });
        simulation.start(listener);
        simulation.run_for(Duration::from_millis(1));
        if paused {
            simulation.pause(listener);
        }
        simulation.start(sender);
        simulation.run_for(Duration::from_secs(1));
        simulation.finish()
    })
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let report = simulate(Options::calm(1), |simulation| {
        let listener = simulation.host("listener", |_| async {
            let socket = UdpSocket::bind("0.0.0.0:9").await.expect("the port is free");
            socket.connect("10.0.0.2:7").await.expect("UDP connects at once");
            let mut buffer = [0; 64];
            loop {
                let length = socket.recv(&mut buffer).await.expect("UDP does not fail");
                trace::line(&format!("got {}", String::from_utf8_lossy(&buffer[..length])));
            }
        });
        let to = simulation.address(listener);
        for name in ["peer", "stranger"] {
            let sender = simulation.host(name, move |machine| async move {
                let socket = UdpSocket::bind("0.0.0.0:7").await.expect("the port is free");
                tokio::time::sleep(Duration::from_millis(5)).await;
                socket.send_to(machine.name.as_bytes(), (to, 9)).await.expect("UDP does not fail");
            });
            simulation.start(sender);
        }
        simulation.start(listener);
        simulation.run_for(Duration::from_secs(1));
    });
    assert!(report.lines.iter().any(|line| line.contains("got peer")));
    assert!(!report.lines.iter().any(|line| line.contains("got stranger")));
}
