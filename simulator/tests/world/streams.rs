//! TCP: flow control, half-close, bandwidth, partitions, crashes, refusals.

use crate::support::{assert_clean, has_said, said, simulate};
use odeon_simulator::{Crash, HostId, NetworkOptions, Options, Report, Simulation, trace};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Talk = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server and a client that talk over one connection.
fn talk(
    network: NetworkOptions,
    server: fn(TcpStream) -> Talk,
    client: fn(TcpStream) -> Talk,
    script: fn(&mut Simulation, HostId, HostId),
) -> Report {
    let report = simulate(Options { network, ..Options::calm(3) }, move |simulation| {
        let serving = simulation.host("server", move |_| async move {
            let listener = TcpListener::bind("0.0.0.0:9").await.expect("the port is free");
            loop {
                let (stream, _) = listener.accept().await.expect("a listener accepts");
                tokio::spawn(server(stream));
            }
        });
        let to = simulation.address(serving);
        let calling = simulation.host("client", move |_| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            client(TcpStream::connect((to, 9)).await.expect("the server listens")).await;
        });
        simulation.start(serving);
        simulation.start(calling);
        script(simulation, serving, calling);
        simulation.run_for(Duration::from_secs(60));
    });
    assert_clean(&report);
    report
}

/// Reads to the end, then says goodbye.
fn sink(mut stream: TcpStream) -> Talk {
    Box::pin(async move {
        let mut buffer = vec![0; 65_536];
        let mut count = 0;
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break trace::line(&format!("end after {count}")),
                Ok(read) => count += read,
                Err(error) => break trace::line(&format!("reading failed: {error}")),
            }
        }
        let _ = stream.write_all(b"bye").await;
    })
}

/// As [`sink`], but reads nothing for two seconds.
fn lazy_sink(stream: TcpStream) -> Talk {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        sink(stream).await;
    })
}

/// Sends ten megabytes, closes its direction, waits for the answer.
fn ten_megabytes(mut stream: TcpStream) -> Talk {
    Box::pin(async move {
        let start = tokio::time::Instant::now();
        let bytes = vec![7; 50_000];
        let (mut sent, mut blocked) = (0, false);
        while sent < 10_000_000 {
            match tokio::time::timeout(Duration::from_secs(1), stream.write(&bytes)).await {
                Ok(Ok(count)) => sent += count,
                Ok(Err(error)) => {
                    trace::line(&format!("writing failed: {:?} after {:?}", error.kind(), start.elapsed()));
                    return;
                }
                Err(_) if !blocked => {
                    blocked = true;
                    trace::line(&format!("blocked at {sent}"));
                }
                Err(_) => {}
            }
        }
        stream.shutdown().await.expect("the direction is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the other direction is open");
        trace::line(&format!("finished {sent} in {:.1?}, answer {answer}", start.elapsed()));
    })
}

/// Whether the server read as much as the client sent.
fn end_is_what_was_sent(report: &Report) -> bool {
    let lines = said(report, "client");
    let sent = lines.iter().find_map(|line| line.strip_prefix("finished ")?.split(' ').next());
    sent.is_some_and(|sent| has_said(report, "server", &format!("end after {sent}")))
}

/// One megabyte per second, so that ten last long enough to interfere.
fn narrow() -> NetworkOptions {
    NetworkOptions { bandwidth: Some(1_000_000), ..NetworkOptions::default() }
}

#[test]
fn a_writer_waits_for_a_slow_reader_and_half_close_leaves_the_other_direction_open() {
    let report = talk(NetworkOptions::default(), lazy_sink, ten_megabytes, |_, _, _| {});
    let lines = said(&report, "client");
    let blocked = lines.iter().find_map(|line| line.strip_prefix("blocked at ")).expect("the writer waited");
    let blocked: usize = blocked.parse().expect("a number of bytes");
    assert!((262_144..=524_288 + 65_536).contains(&blocked), "blocked at {blocked}");
    assert!(end_is_what_was_sent(&report));
    assert!(has_said(&report, "client", "answer bye"));
}

#[test]
fn bandwidth_is_what_the_options_say() {
    let report = talk(narrow(), sink, ten_megabytes, |_, _, _| {});
    assert!(has_said(&report, "client", "in 10."), "{:?}", said(&report, "client").last());
}

#[test]
fn a_short_partition_delays_and_a_long_one_times_out() {
    let report = talk(narrow(), sink, ten_megabytes, |simulation, server, client| {
        simulation.at(Duration::from_secs(2), move |simulation| {
            simulation.cut(server, client);
            simulation.cut(client, server);
        });
        simulation.at(Duration::from_secs(7), Simulation::heal);
    });
    assert!(has_said(&report, "client", "answer bye"));
    assert!(!has_said(&report, "client", "writing failed"));
    let report = talk(narrow(), sink, ten_megabytes, |simulation, server, client| {
        simulation.at(Duration::from_secs(2), move |simulation| {
            simulation.cut(server, client);
            simulation.cut(client, server);
        });
    });
    assert!(has_said(&report, "client", "writing failed: TimedOut"), "{:?}", said(&report, "client").last());
    assert!(report.statistics.timeouts > 0);
}

#[test]
fn a_cut_way_back_times_the_sender_out_while_its_bytes_still_arrive() {
    let report = talk(narrow(), sink, ten_megabytes, |simulation, server, client| {
        simulation.at(Duration::from_secs(2), move |simulation| simulation.cut(server, client));
    });
    assert!(has_said(&report, "client", "writing failed: TimedOut"), "{:?}", said(&report, "client").last());
}

#[test]
fn a_dead_process_resets_at_once_and_a_dead_machine_when_it_is_back() {
    let report = talk(narrow(), sink, ten_megabytes, |simulation, server, _| {
        simulation.at(Duration::from_secs(2), move |simulation| simulation.crash(server, Crash::Process));
    });
    let failed =
        |report: &Report| said(report, "client").into_iter().find(|line| line.contains("writing failed"));
    let line = failed(&report).expect("the client learns of it");
    let at_once = |line: &str| line.contains("after 1.99") || line.contains("after 2.0");
    assert!(at_once(&line), "{line}");
    let report = talk(narrow(), sink, ten_megabytes, |simulation, server, _| {
        simulation.at(Duration::from_secs(2), move |simulation| simulation.crash(server, Crash::Power));
        simulation.at(Duration::from_secs(9), move |simulation| simulation.start(server));
    });
    let line = failed(&report).expect("the client learns of it");
    assert!(line.contains("ConnectionReset") && !at_once(&line), "{line}");
}

#[test]
fn a_port_without_listener_refuses_and_a_dead_machine_is_silent() {
    let report = simulate(Options::calm(1), |simulation| {
        let server = simulation.host("server", |_| std::future::pending());
        let off = simulation.host("off", |_| std::future::pending());
        let (refusing, silent) = (simulation.address(server), simulation.address(off));
        let client = simulation.host("client", move |_| async move {
            let refused = TcpStream::connect((refusing, 9)).await.map_err(|error| error.kind());
            trace::line(&format!("live machine: {refused:?}"));
            let timed_out = TcpStream::connect((silent, 9)).await.map_err(|error| error.kind());
            trace::line(&format!("dead machine: {timed_out:?}"));
        });
        simulation.start(server);
        simulation.start(client);
        simulation.run_for(Duration::from_secs(60));
    });
    assert_clean(&report);
    assert!(has_said(&report, "client", "live machine: Err(ConnectionRefused)"), "{:#?}", report.lines);
    assert!(has_said(&report, "client", "dead machine: Err(TimedOut)"), "{:#?}", report.lines);
}

#[test]
fn a_cloned_socket_lives_until_its_last_descriptor_is_closed() {
    let report = talk(
        NetworkOptions::default(),
        sink,
        |stream| {
            Box::pin(async move {
                let first = stream.into_std().expect("the socket leaves its runtime");
                let second = first.try_clone().expect("a socket can be duplicated");
                drop(first);
                let mut stream = TcpStream::from_std(second).expect("the clone joins the runtime");
                stream.write_all(b"still here").await.expect("the connection is open");
                stream.shutdown().await.expect("the direction is open");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.expect("the server answers");
                trace::line(&format!("answer {answer}"));
            })
        },
        |_, _, _| {},
    );
    assert!(has_said(&report, "server", "end after 10"));
    assert!(has_said(&report, "client", "answer bye"));
}
