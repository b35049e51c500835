//! Unmodified hyper servers and clients over virtual TCP.

use crate::support::{assert_clean, on_fresh_thread};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use odeon_simulator::{Crash, HostId, Machine, NetworkOptions, Options, Report, Simulation, trace};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Answers each request with a greeting, and a body with itself.
async fn serve(machine: Machine) {
    let listener = TcpListener::bind("0.0.0.0:8080").await.expect("the port is free");
    loop {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        let name = machine.name.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let name = name.clone();
                async move {
                    let body = request.into_body().collect().await.map(|body| body.to_bytes());
                    let answer = match body {
                        Ok(body) if !body.is_empty() => body,
                        _ => Bytes::from(format!("hello from {name}")),
                    };
                    Ok::<_, Infallible>(Response::new(Full::new(answer)))
                }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                trace::line(&format!("connection ended: {error}"));
            }
        });
    }
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)
}

async fn call(
    client: &Client<HttpConnector, Full<Bytes>>,
    to: Ipv4Addr,
    body: Bytes,
) -> Result<Bytes, String> {
    let request =
        Request::post(format!("http://{to}:8080/")).body(Full::new(body)).map_err(|e| e.to_string())?;
    let answer = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    answer.into_body().collect().await.map(|body| body.to_bytes()).map_err(|error| format!("{error:?}"))
}

/// An open-loop load: `rate` requests a second to each server.
async fn load(servers: Vec<Ipv4Addr>, rate: u64, done: Arc<AtomicU64>) {
    let client = client();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    loop {
        ticks.tick().await;
        for server in servers.clone() {
            let (client, done) = (client.clone(), done.clone());
            tokio::spawn(async move {
                match call(&client, server, Bytes::new()).await {
                    Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => trace::line(&format!("call to {server} failed: {error}")),
                }
            });
        }
    }
}

/// A cluster of servers and one host with the load.
fn cluster(simulation: &mut Simulation, servers: usize, rate: u64) -> (Vec<HostId>, Arc<AtomicU64>) {
    let hosts: Vec<HostId> =
        (0..servers).map(|index| simulation.host(&format!("server{index}"), serve)).collect();
    let addresses: Vec<Ipv4Addr> = hosts.iter().map(|host| simulation.address(*host)).collect();
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let load = simulation.host("load", move |_| load(addresses.clone(), rate, counted.clone()));
    for host in hosts.iter().chain([&load]) {
        simulation.start(*host);
    }
    (hosts, done)
}

#[test]
fn a_client_calls_a_server_on_another_host() {
    let report = on_fresh_thread(|| {
        let mut simulation = Simulation::new(Options::calm(1), true);
        let server = simulation.host("server", serve);
        let address = simulation.address(server);
        let caller = simulation.host("client", move |_| async move {
            let client = client();
            let answer = call(&client, address, Bytes::new()).await;
            trace::line(&format!("answer {answer:?}"));
            let big = Bytes::from(vec![7; 700_000]);
            let echo = call(&client, address, big.clone()).await;
            trace::line(&format!("echo is equal: {}", echo == Ok(big)));
        });
        simulation.start(server);
        simulation.run_for(Duration::from_millis(10));
        simulation.start(caller);
        simulation.run_for(Duration::from_secs(5));
        simulation.finish()
    });
    assert_clean(&report);
    assert!(report.lines.iter().any(|line| line.contains("hello from server")), "{:#?}", report.lines);
    assert!(report.lines.iter().any(|line| line.contains("echo is equal: true")), "{:#?}", report.lines);
}

/// Three servers under load with loss, a crash and a restart.
fn stormy(seed: u64) -> (Report, u64) {
    let network = NetworkOptions { loss: 0.01, ..NetworkOptions::default() };
    let options = Options { network, ..Options::calm(seed) };
    let mut simulation = Simulation::new(options, false);
    let (servers, done) = cluster(&mut simulation, 3, 20);
    let victim = servers[(seed % 3) as usize];
    simulation.at(Duration::from_secs(2), move |simulation| simulation.crash(victim, Crash::Power));
    simulation.at(Duration::from_secs(4), move |simulation| simulation.start(victim));
    simulation.run_for(Duration::from_secs(10));
    (simulation.finish(), done.load(Ordering::Relaxed))
}

#[test]
fn calls_are_answered_under_the_options_of_any_seed() {
    for seed in 1..=12 {
        let (report, done) = on_fresh_thread(move || {
            let mut simulation = Simulation::new(Options::from_seed(seed), false);
            let (_, done) = cluster(&mut simulation, 3, 10);
            simulation.run_for(Duration::from_secs(10));
            (simulation.finish(), done.load(Ordering::Relaxed))
        });
        assert_clean(&report);
        assert!(done > 250, "{done} of about 300 calls were answered: {:?}", Options::from_seed(seed));
    }
}

#[test]
fn a_load_survives_a_crash_and_a_restart_of_a_server() {
    for seed in 1..=5 {
        let (report, done) = on_fresh_thread(move || stormy(seed));
        assert_clean(&report);
        assert!(done > 400, "{done} calls were answered with seed {seed}");
    }
}
