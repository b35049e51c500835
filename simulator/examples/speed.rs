//! How fast the simulator is: simulated seconds per second of one core, for a few loads.
//!
//! Each load counts its own work too (tokio's and the programs'), as any simulation does.
//!
//! `cargo run --release -p odeon-simulator --example speed`
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for the command line, outside of nodes"
)]

use odeon_simulator::{Options, Report, Simulation};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Each host sends a datagram to another, `rate` times a second, and hears what comes.
async fn gossip(own: usize, count: usize, rate: u64) {
    let socket = UdpSocket::bind("0.0.0.0:9").await.expect("the port is free");
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut buffer = [0; 256];
    let mut number = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                number += 1;
                let to = Ipv4Addr::new(10, 0, 0, 1 + ((own + 1 + number % (count - 1)) % count) as u8);
                let _ = socket.send_to(&[7; 100], (to, 9)).await;
            }
            heard = socket.recv_from(&mut buffer) => drop(heard),
        }
    }
}

/// Answers each sixteen bytes with sixteen bytes.
async fn answer() {
    let listener = TcpListener::bind("0.0.0.0:9").await.expect("the port is free");
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut bytes = [0; 16];
            while stream.read_exact(&mut bytes).await.is_ok() {
                let _ = stream.write_all(&bytes).await;
            }
        });
    }
}

/// Asks each of the first hosts `rate` times a second over a connection that stays.
async fn ask(servers: usize, rate: u64) {
    for server in 0..servers {
        tokio::spawn(async move {
            let to = Ipv4Addr::new(10, 0, 0, 1 + server as u8);
            let mut stream = TcpStream::connect((to, 9)).await.expect("the server listens");
            let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
            let mut bytes = [0; 16];
            loop {
                ticks.tick().await;
                stream.write_all(&bytes).await.expect("the connection is open");
                stream.read_exact(&mut bytes).await.expect("the server answers");
            }
        });
    }
    std::future::pending().await
}

/// Runs a world on a fresh thread and tells its speed, as a watch outside of it sees it.
fn measure(name: &str, seconds: u64, script: impl FnOnce(&mut Simulation) + Send + 'static) {
    let run = move || -> Report {
        let mut simulation = Simulation::new(Options::calm(1), false);
        script(&mut simulation);
        simulation.run_for(Duration::from_secs(seconds));
        simulation.finish()
    };
    let start = Instant::now();
    let report = std::thread::spawn(run).join().expect("the world does not panic");
    let took = start.elapsed().as_secs_f64();
    assert!(report.is_clean(), "{report}");
    let turns = report.statistics.turns;
    println!(
        "{name:<34} {:>9.0} simulated s per s  {:>6.2} us per turn  ({turns} turns, hash {:016x})",
        seconds as f64 / took,
        took * 1e6 / turns as f64,
        report.hash,
    );
}

fn gossiping(count: usize, rate: u64) -> impl FnOnce(&mut Simulation) + Send + 'static {
    move |simulation| {
        for own in 0..count {
            let host = simulation.host(&format!("h{own}"), move |_| gossip(own, count, rate));
            simulation.start(host);
        }
    }
}

fn asking(servers: usize, rate: u64) -> impl FnOnce(&mut Simulation) + Send + 'static {
    move |simulation| {
        for own in 0..servers {
            let host = simulation.host(&format!("h{own}"), |_| answer());
            simulation.start(host);
        }
        simulation.run_for(Duration::from_millis(10));
        let host = simulation.host("asking", move |_| ask(servers, rate));
        simulation.start(host);
    }
}

fn main() {
    measure("3 hosts, 1 datagram/s each", 20_000, gossiping(3, 1));
    measure("3 hosts, 100 datagrams/s each", 500, gossiping(3, 100));
    measure("50 hosts, 100 datagrams/s each", 30, gossiping(50, 100));
    measure("5 servers, 100 TCP asks/s each", 300, asking(5, 100));
}
