//! A plain hyper server and a plain hyper client, neither of them Odeon's: connections break in all places, and
//! what arrives is still what was sent.

use crate::{Crash, Machine, Simulation};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

const PORT: u16 = 8_080;
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(5);
/// One body in eight is larger than the buffers of one connection, so that flow control takes part.
const BODY_BYTES_LARGE: usize = 600_000;
/// Once the server is back the client gets through again within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What the script reads of the client's doings.
#[derive(Debug, Default)]
struct Tally {
    echoed: u64,
    failed: u64,
    broken: Vec<String>,
}

type SharedTally = Arc<Mutex<Tally>>;

fn on<R>(tally: &SharedTally, visit: impl FnOnce(&mut Tally) -> R) -> R {
    visit(&mut tally.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The script.
pub(super) fn run(sim: &mut Simulation) {
    let tally = SharedTally::default();
    let server = sim.host("server", serve);
    let address = sim.address(server);
    let client = sim.host("client", {
        let tally = tally.clone();
        move |machine| post_for_ever(machine, address, tally.clone())
    });
    sim.start(server);
    sim.start(client);
    sim.demand("a first body is echoed", BACK_WITHIN, |_| on(&tally, |tally| tally.echoed > 0));

    let while_up = Duration::from_millis(sim.random() % 2_000);
    sim.run_for(while_up);
    let how = if sim.random().is_multiple_of(2) { Crash::Process } else { Crash::Power };
    sim.crash(server, how);
    let while_down = Duration::from_millis(sim.random() % 3_000);
    sim.run_for(while_down);
    sim.start(server);

    let before = on(&tally, |tally| tally.echoed);
    sim.demand("three more bodies are echoed", BACK_WITHIN, |_| {
        on(&tally, |tally| tally.echoed >= before + 3)
    });
    for broken in on(&tally, |tally| std::mem::take(&mut tally.broken)) {
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

/// Why an exchange brought no answer. The client tries the next one on a new connection.
#[derive(Debug, Error)]
enum ExchangeError {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("no answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// The client's program: one body after the other, over one connection as long as it lasts.
async fn post_for_ever(machine: Machine, server: Ipv4Addr, tally: SharedTally) {
    let mut connection = None;
    for number in 0_u64.. {
        match tokio::time::timeout(PATIENCE, post(&machine, server, &mut connection, number)).await {
            Ok(Ok(wrong)) => on(&tally, |tally| {
                tally.echoed += 1;
                tally.broken.extend(wrong);
            }),
            Ok(Err(error)) => give_up(&tally, &mut connection, &error),
            Err(late) => give_up(&tally, &mut connection, &ExchangeError::from(late)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn give_up(tally: &SharedTally, connection: &mut Option<SendRequest<Full<Bytes>>>, error: &ExchangeError) {
    tracing::debug!(%error, "an exchange failed");
    *connection = None;
    on(tally, |tally| tally.failed += 1);
}

/// Sends one body and says what is wrong with the answer.
async fn post(
    machine: &Machine,
    server: Ipv4Addr,
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    number: u64,
) -> Result<Option<String>, ExchangeError> {
    let sender = match connection {
        Some(sender) => sender,
        None => connection.insert(connect(machine, server).await?),
    };
    let body = body(number);
    sender.ready().await?;
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = hyper::Method::POST;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    let wrong = status != StatusCode::OK || answer != body;
    Ok(wrong.then(|| {
        format!("body {number} of {} bytes came back as {status} with {} bytes", body.len(), answer.len())
    }))
}

async fn connect(machine: &Machine, server: Ipv4Addr) -> Result<SendRequest<Full<Bytes>>, ExchangeError> {
    let stream = TcpStream::connect((server, PORT)).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    machine.executors[0].spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection ended early");
        }
    });
    Ok(sender)
}

/// Bodies that differ in length and in each byte, so that a mix-up shows.
fn body(number: u64) -> Bytes {
    let length = if number % 8 == 2 { BODY_BYTES_LARGE } else { 10 + number as usize * 7 };
    (0..length).map(|at| (at as u64).wrapping_mul(31).wrapping_add(number) as u8).collect()
}
