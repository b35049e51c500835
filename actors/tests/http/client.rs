//! A client: hyper for well-behaved requests, a bare socket for the others.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longer than anything a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One connection that is kept alive.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    _connection: JoinSet<()>,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:odeon:problem:{name}"));
        problem
    }
}

impl Client {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a new connection");
        let mut set = JoinSet::new();
        set.spawn(async move { drop(connection.await) });
        Self { sender, address, _connection: set }
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Seen {
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).expect("a request");
        let exchange = async {
            self.sender.ready().await?;
            let (parts, body) = self.sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((parts, body.collect().await?.to_bytes()))
        };
        let exchange = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
        let (parts, body) = exchange.expect("a whole answer");
        Seen { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Seen {
        self.send(Method::POST, path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.send(Method::GET, path, &[], "").await
    }
}

/// A connection on which anything can be said.
pub(crate) struct Bare(TcpStream);

impl Bare {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("somebody listens"))
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("the other side reads");
    }

    /// Says it again and again until the other side does not take it any more, or `most` bytes were said.
    pub(crate) async fn insist(&mut self, piece: &[u8], most: usize) {
        let mut said = 0;
        while said < most && self.0.write_all(piece).await.is_ok() {
            said += piece.len();
        }
    }

    /// Everything that comes until the other side closes.
    pub(crate) async fn listen(&mut self) -> String {
        let mut heard = Vec::new();
        let all = self.0.read_to_end(&mut heard);
        tokio::time::timeout(PATIENCE, all).await.expect("the other side closes").expect("in order");
        String::from_utf8(heard).expect("UTF-8")
    }

    /// What comes until the text has been heard.
    pub(crate) async fn hear(&mut self, wanted: &str) -> String {
        let mut heard = String::new();
        let until = async {
            while !heard.contains(wanted) {
                let mut piece = [0; 4096];
                let len = self.0.read(&mut piece).await.expect("it goes on");
                assert_ne!(len, 0, "closed after {heard:?}");
                heard.push_str(std::str::from_utf8(&piece[..len]).expect("UTF-8"));
            }
        };
        tokio::time::timeout(PATIENCE, until).await.expect("it comes in time");
        heard
    }
}

/// The status and the problem in a whole response.
#[track_caller]
pub(crate) fn raw_problem(response: &str) -> (StatusCode, Value) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {response:?}"));
    let status = head.get(9..12).and_then(|s| s.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body:?}")))
}
