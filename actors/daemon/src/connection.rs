//! One HTTP/1.1 connection to a node: what the command line and its load generator speak.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest answer that is read, in bytes: a tree with a hundred thousand cells fits.
const ANSWER_MAX: usize = 64 << 20;
/// Longest attempt to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// Nobody listens there, or not in time. The request was not sent.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// Host and port.
        host: String,
        /// The reason.
        cause: io::Error,
    },
    /// The connection broke before the answer was complete. The request may have been handled.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        /// Host and port.
        host: String,
        /// The reason.
        cause: String,
    },
    /// Somebody listens there, but does not answer in time. The request may have been handled, or may be yet.
    #[error("{host} does not answer: it is connected, but nothing came within {within:.0?}")]
    Silent {
        /// Host and port.
        host: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The answer is longer than is read.
    #[error("the answer of {host} has more than {ANSWER_MAX} bytes")]
    TooLong {
        /// Host and port.
        host: String,
    },
}

/// A connection that is kept alive between requests. It moves bytes only while a request is under way.
pub(crate) struct Connection {
    host: String,
    host_header: HeaderValue,
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// What moves the bytes of a connection; none once it has ended.
type Driver = Option<Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>>;

impl Connection {
    /// Connects to `host`, a name or address with a port.
    ///
    /// # Errors
    /// [`ConnectionError::Connect`].
    pub(crate) async fn open(host: &str) -> Result<Self, ConnectionError> {
        let failed = |cause| ConnectionError::Connect { host: host.into(), cause };
        let host_header = HeaderValue::from_str(host)
            .map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(host))
            .await
            .unwrap_or_else(|late| Err(late.into()))
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(io::Error::other(e)))?;
        Ok(Self { host: host.into(), host_header, sender, driver: Some(Box::pin(driver)) })
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// [`ConnectionError::Broken`] or [`ConnectionError::TooLong`]; the connection is of no more use then.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ConnectionError> {
        request.headers_mut().insert(HOST, self.host_header.clone());
        let Self { host, sender, driver, .. } = self;
        driven(driver, exchange(host, sender, request)).await
    }
}

/// Runs `work` on the connection that the driver moves the bytes of.
async fn driven<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // its error reaches the request that waits for an answer
        if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            *driver = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}

async fn exchange(
    host: &str,
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ConnectionError> {
    let broken = |cause: String| ConnectionError::Broken { host: host.into(), cause };
    sender.ready().await.map_err(|e| broken(e.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|e| broken(e.to_string()))?;
    let (head, body) = answer.into_parts();
    match Limited::new(body, ANSWER_MAX).collect().await {
        Ok(body) => Ok((head.status, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(ConnectionError::TooLong { host: host.into() }),
        Err(error) => Err(broken(error.to_string())),
    }
}

/// A single request on a connection of its own, answered within this time.
///
/// # Errors
/// [`ConnectionError`].
pub(crate) async fn request(
    host: &str,
    mut request: Request<Full<Bytes>>,
    within: Duration,
) -> Result<(StatusCode, Bytes), ConnectionError> {
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    // a connection has its own bound: only what was connected is silent
    let mut connection = Connection::open(host).await?;
    let late = |_| Err(ConnectionError::Silent { host: host.into(), within });
    tokio::time::timeout(within, connection.send(request)).await.unwrap_or_else(late)
}
