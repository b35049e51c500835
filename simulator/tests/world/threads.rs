//! Other threads of the process are ordinary ones: while simulations run beside them, their sockets, files,
//! clocks and random numbers are real.

use crate::support::{assert_clean, on_fresh_thread, simulate};
use odeon_simulator::{Options, trace};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Echoes over the real loopback and writes real files until told to stop; returns how many rounds that were.
async fn real_rounds(stop: Arc<AtomicBool>) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a real port is free");
    let address = listener.local_addr().expect("a listener has an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4];
            let _ = stream.read_exact(&mut bytes).await;
            let _ = stream.write_all(&bytes).await;
        }
    });
    let path = std::env::temp_dir().join(format!("odeon-real-{}", std::process::id()));
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).await.expect("the real listener accepts");
        stream.write_all(b"real").await.expect("the real connection is open");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.expect("the real server answers");
        assert_eq!(&answer, b"real");
        std::fs::write(&path, b"real").expect("real files can be written");
        assert_eq!(std::fs::read(&path).expect("real files can be read"), b"real");
        rounds += 1;
    }
    let _ = std::fs::remove_file(&path);
    rounds
}

#[test]
fn real_descriptors_work_on_other_threads_while_simulations_run() {
    let stop = Arc::new(AtomicBool::new(false));
    let (report_rounds, rounds) = mpsc::channel();
    let stopped = stop.clone();
    let real = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let count = runtime.expect("a real runtime").block_on(real_rounds(stopped));
        report_rounds.send(count).expect("the test waits");
    });
    for seed in 1..=3 {
        let report = simulate(Options::calm(seed), |simulation| {
            let server = simulation.host("server", |_| async {
                let listener = TcpListener::bind("0.0.0.0:9").await.expect("the port is free");
                while let Ok((mut stream, _)) = listener.accept().await {
                    let _ = stream.write_all(b"virtual").await;
                }
            });
            let to = simulation.address(server);
            let client = simulation.host("client", move |_| async move {
                for _ in 0..500 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    let mut stream = TcpStream::connect((to, 9)).await.expect("the server listens");
                    let mut text = String::new();
                    stream.read_to_string(&mut text).await.expect("the server answers");
                    assert_eq!(text, "virtual");
                }
                trace::line("all rounds done");
            });
            simulation.start(server);
            simulation.start(client);
            simulation.run_for(Duration::from_secs(20));
        });
        assert_clean(&report);
        assert!(report.lines.iter().any(|line| line.contains("all rounds done")));
    }
    stop.store(true, Ordering::Relaxed);
    let count = rounds.recv_timeout(Duration::from_secs(30)).expect("the real thread ends");
    real.join().expect("the real thread does not panic");
    assert!(count > 3, "{count} real rounds");
}

#[test]
fn time_and_chance_are_real_beside_a_simulation() {
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(3));
    assert!(start.elapsed() >= Duration::from_millis(3));
    let draw = || on_fresh_thread(|| RandomState::new().hash_one(1));
    assert_ne!(draw(), draw());
}

/// Random values as programs get them from several libraries.
fn drawn(seed: u64) -> String {
    let report = simulate(Options::calm(seed), |simulation| {
        let host = simulation.host("a", |_| async {
            let hash = RandomState::new().hash_one(1);
            trace::line(&format!("drawn {hash:x} {}", uuid::Uuid::new_v4()));
        });
        simulation.start(host);
        simulation.run_for(Duration::from_secs(1));
    });
    assert_clean(&report);
    report.lines.into_iter().find(|line| line.contains("drawn")).expect("the program ran")
}

#[test]
fn random_values_follow_the_seed_inside_a_simulation() {
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}
