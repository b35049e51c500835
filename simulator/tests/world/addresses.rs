//! Addresses: loopback is a host's own, wildcard binds hear both, other families do not exist.

use crate::support::{assert_clean, has_said, simulate};
use odeon_simulator::{Options, trace};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

#[test]
fn a_loopback_listener_is_reached_from_its_own_host_only() {
    let report = simulate(Options::calm(1), |simulation| {
        let server = simulation.host("server", |machine| async move {
            let _private = TcpListener::bind("127.0.0.1:8080").await.expect("the port is free");
            let inside = TcpStream::connect("127.0.0.1:8080").await.map(|stream| stream.local_addr());
            trace::line(&format!("loopback from inside: {inside:?}"));
            let own = TcpStream::connect((machine.address, 8080)).await.map_err(|error| error.kind());
            trace::line(&format!("own address from inside: {:?}", own.map(drop)));
            std::future::pending().await
        });
        let address = simulation.address(server);
        let other = simulation.host("other", move |_| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            for to in [address, Ipv4Addr::LOCALHOST] {
                let result = TcpStream::connect((to, 8080)).await.map_err(|error| error.kind());
                trace::line(&format!("from outside to {to}: {:?}", result.map(drop)));
            }
        });
        simulation.start(server);
        simulation.start(other);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    assert!(has_said(&report, "server", "loopback from inside: Ok(Ok(127.0.0.1:"), "{:#?}", report.lines);
    assert!(has_said(&report, "server", "own address from inside: Err(ConnectionRefused)"));
    assert!(has_said(&report, "other", "from outside to 10.0.0.1: Err(ConnectionRefused)"));
    assert!(has_said(&report, "other", "from outside to 127.0.0.1: Err(ConnectionRefused)"));
}

#[test]
fn a_wildcard_listener_is_reached_by_both_addresses_and_two_hosts_may_use_one_port() {
    let report = simulate(Options::calm(1), |simulation| {
        let program = |machine: odeon_simulator::Machine| async move {
            let listener = TcpListener::bind("0.0.0.0:8080").await.expect("the port is free on this host");
            trace::line(&format!("listens on {:?}", listener.local_addr()));
            for to in [machine.address, Ipv4Addr::LOCALHOST] {
                let stream = TcpStream::connect((to, 8080)).await.expect("the listener hears both");
                let (accepted, peer) = listener.accept().await.expect("a connection waits");
                let (local, from) = (accepted.local_addr(), stream.local_addr());
                trace::line(&format!("{to}: {local:?} from {}", Some(peer) == from.ok()));
            }
            let taken = TcpListener::bind("127.0.0.1:8080").await.map_err(|error| error.kind());
            trace::line(&format!("again: {:?}", taken.map(drop)));
            let foreign = TcpListener::bind("10.0.0.77:1").await.map_err(|error| error.kind());
            trace::line(&format!("foreign: {:?}", foreign.map(drop)));
        };
        for name in ["a", "b"] {
            let host = simulation.host(name, program);
            simulation.start(host);
        }
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    for (host, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        assert!(has_said(&report, host, "listens on Ok(0.0.0.0:8080)"));
        assert!(
            has_said(&report, host, &format!("{address}: Ok({address}:8080) from true")),
            "{:#?}",
            report.lines
        );
        assert!(has_said(&report, host, "127.0.0.1: Ok(127.0.0.1:8080) from true"));
        assert!(has_said(&report, host, "again: Err(AddrInUse)"));
        assert!(has_said(&report, host, "foreign: Err(AddrNotAvailable)"));
    }
}

#[test]
fn loopback_datagrams_stay_at_home() {
    let report = simulate(Options::calm(1), |simulation| {
        for name in ["a", "b"] {
            let host = simulation.host(name, |machine| async move {
                let socket = UdpSocket::bind("127.0.0.1:9").await.expect("the port is free on this host");
                let sender = UdpSocket::bind("0.0.0.0:0").await.expect("a port is free");
                sender.send_to(machine.name.as_bytes(), "127.0.0.1:9").await.expect("UDP does not fail");
                let mut buffer = [0; 16];
                let (length, from) = socket.recv_from(&mut buffer).await.expect("UDP does not fail");
                trace::line(&format!(
                    "got {} from {}",
                    String::from_utf8_lossy(&buffer[..length]),
                    from.ip()
                ));
            });
            simulation.start(host);
        }
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    for host in ["a", "b"] {
        assert!(has_said(&report, host, &format!("got {host} from 127.0.0.1")), "{:#?}", report.lines);
    }
}

#[test]
fn other_address_families_are_refused_without_an_escape() {
    let report = simulate(Options::calm(1), |simulation| {
        let host = simulation.host("a", |_| async {
            let six = TcpListener::bind("[::1]:80").await.map(drop).map_err(|error| error.raw_os_error());
            let path = tokio::net::UnixStream::connect("/sim/x").await.map(drop);
            trace::line(&format!("{six:?} {:?}", path.map_err(|error| error.raw_os_error())));
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    assert!(has_said(&report, "a", "Err(Some(97)) Err(Some(97))"), "{:#?}", report.lines);
}

#[test]
fn listeners_that_share_a_port_divide_the_connections() {
    let report = simulate(Options::calm(1), |simulation| {
        let server = simulation.host("server", |_| async {
            for index in 0..2 {
                let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
                socket.set_reuseport(true).expect("an option of every socket");
                socket.bind("0.0.0.0:80".parse().expect("an address")).expect("the port is shared");
                let listener = socket.listen(64).expect("it listens");
                tokio::spawn(async move {
                    while listener.accept().await.is_ok() {
                        trace::line(&format!("listener {index} accepts"));
                    }
                });
            }
        });
        let to = simulation.address(server);
        let client = simulation.host("client", move |_| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            for _ in 0..40 {
                TcpStream::connect((to, 80)).await.expect("the server listens");
            }
        });
        simulation.start(server);
        simulation.start(client);
        simulation.run_for(Duration::from_secs(2));
    });
    assert_clean(&report);
    let count = |text: &str| report.lines.iter().filter(|line| line.contains(text)).count();
    let (first, second) = (count("listener 0 accepts"), count("listener 1 accepts"));
    assert_eq!(first + second, 40);
    assert!(first > 5 && second > 5, "{first} and {second}");
}
