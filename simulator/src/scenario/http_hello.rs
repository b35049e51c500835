//! A plain hyper server and a plain hyper client, neither of them Odeon's: connections break in all places, and
//! what arrives is still what was sent.

use super::books::Books;
use super::crash_and_return;
use super::http_client::{Answer, Client};
use crate::{Machine, Simulation};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;

const PORT: u16 = 8_080;
const PAUSE: Duration = Duration::from_millis(100);
/// One body in eight is larger than the buffers of one connection, so that flow control takes part.
const BODY_BYTES_LARGE: usize = 600_000;
/// Once the server is back the client gets through again within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What the script reads of the client's doings.
#[derive(Debug, Default)]
struct Tally {
    echoed: u64,
    broken: Vec<String>,
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let books = Books::<Tally>::default();
    let server = sim.host("server", serve);
    let address = SocketAddr::from((sim.address(server), PORT));
    let client = sim.host("client", {
        let books = books.clone();
        move |machine| post_for_ever(machine, address, books.clone())
    });
    sim.start(server);
    sim.start(client);
    sim.demand("a first body is echoed", BACK_WITHIN, |_| books.open(|tally| tally.echoed > 0));
    crash_and_return(sim, server);
    let before = books.open(|tally| tally.echoed);
    sim.demand("three more bodies are echoed", BACK_WITHIN, |_| {
        books.open(|tally| tally.echoed >= before + 3)
    });
    for broken in books.open(|tally| std::mem::take(&mut tally.broken)) {
        sim.violation(broken);
    }
}

/// The server's program: answers each request with its own body.
async fn serve(machine: Machine) {
    let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await {
        Ok(listener) => listener,
        Err(error) => panic!("a fresh host has the port free: {error}"),
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        machine.executors[0].spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match request.into_body().collect().await {
        Ok(body) => (StatusCode::OK, body.to_bytes()),
        Err(error) => (StatusCode::BAD_REQUEST, Bytes::from(error.to_string())),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

/// The client's program: one body after the other, over one connection as long as it lasts.
async fn post_for_ever(machine: Machine, server: SocketAddr, books: Books<Tally>) {
    let mut client = Client::new(machine, server);
    for number in 0_u64.. {
        let sent = body(number);
        if let Answer::Body(status, answer) = client.post("/", sent.clone()).await {
            books.open(|tally| tally.judge(number, &sent, status, &answer));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Tally {
    /// What comes back is what was sent.
    fn judge(&mut self, number: u64, sent: &Bytes, status: StatusCode, answer: &Bytes) {
        self.echoed += 1;
        if status != StatusCode::OK || answer != sent {
            let (sent, got) = (sent.len(), answer.len());
            self.broken.push(format!("body {number} of {sent} bytes came back as {status} with {got} bytes"));
        }
    }
}

/// Bodies that differ in length and in each byte, so that a mix-up shows.
fn body(number: u64) -> Bytes {
    let length = if number % 8 == 2 { BODY_BYTES_LARGE } else { 10 + number as usize * 7 };
    (0..length).map(|at| (at as u64).wrapping_mul(31).wrapping_add(number) as u8).collect()
}
