//! Two members over the real QUIC endpoint, on a path that loses nothing, but takes a different time for each packet. What
//! packets overtake is not lost: the path carries what one that keeps their order would.

use super::books::Books;
use super::linked::{Cluster, Pass};
use crate::{Machine, Simulation};
use odeon::host::Executor;
use odeon::remote::endpoint::MTU_MIN;
use odeon::remote::{Endpoint, Transport};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

const PORT: u16 = 7_000;
/// Packets take between these times.
const LATENCY_MIN: Duration = Duration::from_millis(10);
const LATENCY_MAX: Duration = Duration::from_millis(15);
/// As much as gathers for a peer that was away.
const BYTES: usize = 10_000_000;
/// It takes 3.4 s. With the thresholds of RFC 9002 (three packets, 9/8 of a round trip) it took 45.
const WITHIN: Duration = Duration::from_secs(5);

/// How long it took, once it is there.
type Taken = Books<Option<Duration>>;

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let mut network = sim.options().network.clone();
    (network.latency_min, network.latency_max) = (LATENCY_MIN, LATENCY_MAX);
    (network.loss, network.duplication, network.reordering) = (0.0, 0.0, 0.0);
    network.bandwidth = None;
    sim.set_network(network);
    let taken = Taken::default();
    let cluster = Cluster::new(sim);
    let [to, from] = ["north", "south"].map(|name| cluster.node(&name.parse().expect("a name")));
    let to = sim.host("north", move |machine| receive(machine, to.clone()));
    let address = SocketAddr::from((sim.address(to), PORT));
    let books = taken.clone();
    let from = sim.host("south", move |machine| send(machine, from.clone(), address, books.clone()));
    sim.start(to);
    sim.start(from);
    sim.demand("all is carried", 10 * WITHIN, |_| taken.open(|taken| taken.is_some()));
    if let Some(taken) = taken.open(|taken| *taken).filter(|taken| *taken > WITHIN) {
        sim.violation(format!("it took {taken:?} to carry {BYTES} bytes where nothing is lost"));
    }
}

/// Packets are of the least size, as after a storm in which larger ones did not come through.
fn bind(machine: &Machine, pass: &Pass) -> Endpoint {
    let executor = Executor::new(machine.executors[0].clone(), 0);
    let transport = Transport { mtu_max: MTU_MIN, ..Transport::default() };
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    Endpoint::bind(address, pass.trust(), &transport, &executor).expect("a fresh host has the port free")
}

async fn receive(machine: Machine, pass: Pass) {
    let endpoint = bind(&machine, &pass);
    let incoming = endpoint.accept().await.expect("it is open");
    let member = incoming.handshake().await.expect("it is a member");
    let (mut answer, mut body) = member.connection.accept_bi().await.expect("it sends");
    let body = body.read_to_end(BYTES).await.expect("it is as long as that");
    answer.write_all(&body.len().to_le_bytes()).await.expect("it waits");
    answer.finish().expect("it is open");
    std::future::pending::<()>().await;
}

async fn send(machine: Machine, pass: Pass, to: SocketAddr, taken: Taken) {
    let endpoint = bind(&machine, &pass);
    let member = endpoint.connect(to).await.expect("it listens");
    let began = Instant::now();
    let (mut body, mut answer) = member.connection.open_bi().await.expect("a stream is allowed");
    body.write_all(&vec![7; BYTES]).await.expect("it reads");
    body.finish().expect("it is open");
    let count = answer.read_to_end(size_of::<usize>()).await.expect("it answers");
    assert_eq!(count, BYTES.to_le_bytes());
    taken.open(|taken| *taken = Some(began.elapsed()));
    std::future::pending::<()>().await;
}
