//! A plain HTTP/1.1 client for foreign hosts: one connection as long as it lasts, nothing of Odeon's.

use crate::Machine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Answer {
    /// Status and body.
    Body(StatusCode, Bytes),
    /// No answer: it may have been executed.
    None,
}

impl Answer {
    fn of(reply: Option<Response<Bytes>>) -> Self {
        reply.map_or(Self::None, |reply| Self::Body(reply.status(), reply.into_body()))
    }
}

#[derive(Debug, Error)]
enum ExchangeError {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("not a request: {0}")]
    Request(#[from] hyper::http::Error),
}

/// A client on a machine.
pub(super) struct Client {
    machine: Machine,
    server: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(machine: Machine, server: SocketAddr) -> Self {
        Self { machine, server, connection: None }
    }

    /// Posts a body.
    pub(super) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        Answer::of(self.post_for_all(path, body).await)
    }

    /// Posts a body. Answers all that comes back, if something does.
    pub(super) async fn post_for_all(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Option<Response<Bytes>> {
        self.ask(Request::post(path).header("content-type", "application/json").body(Full::new(body.into())))
            .await
    }

    /// Asks for what is there.
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        Answer::of(self.ask(Request::get(path).body(Full::default())).await)
    }

    async fn ask(&mut self, request: hyper::http::Result<Request<Full<Bytes>>>) -> Option<Response<Bytes>> {
        let outcome = match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        tracing::debug!(error = %outcome, "an exchange failed");
        self.connection = None;
        None
    }

    async fn exchange(
        &mut self,
        request: hyper::http::Result<Request<Full<Bytes>>>,
    ) -> Result<Response<Bytes>, ExchangeError> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            self.connection = Some(self.connect().await?);
        }
        let Some(sender) = &mut self.connection else { unreachable!("it was just made") };
        sender.ready().await?;
        let mut request = request?;
        request.headers_mut().insert("host", HeaderValue::from_static("node"));
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ExchangeError> {
        let stream = TcpStream::connect(self.server).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        self.machine.executors[0].spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended early");
            }
        });
        Ok(sender)
    }
}
