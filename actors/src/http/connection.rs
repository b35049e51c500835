//! One connection: hyper speaks HTTP/1.1, this keeps the limits.

use super::Answer;
use super::pieces::Pieces;
use super::problem::Problem;
use super::watch::{Phase, Watch, Watched};
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, Response, service::Service};
use hyper_util::rt::TokioIo;
use odeon::core::Retry;
use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

/// What a listener grants to connections. Each time is kept to within a quarter of the shortest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most connections at the same time. More are answered 503 and closed.
    pub connections_max: usize,
    /// Longest wait for the next request on a connection that is kept alive.
    pub timeout_idle: Duration,
    /// Longest wait for the rest of a request's head, counted from its first byte; then 408.
    pub timeout_head: Duration,
    /// Longest wait for a whole body; then 408.
    pub timeout_body: Duration,
    /// Longest wait for a client that does not take its answer.
    pub timeout_write: Duration,
    /// Most bytes of a request's head; at least 8192. Larger ones are answered 431, without a body if they were not
    /// complete when that was seen.
    pub head_bytes_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            timeout_idle: Duration::from_secs(75),
            timeout_head: Duration::from_secs(10),
            timeout_body: Duration::from_secs(30),
            timeout_write: Duration::from_secs(30),
            head_bytes_max: 64 << 10,
        }
    }
}

impl ConnectionLimits {
    /// hyper refuses less.
    const HEAD_BYTES_LEAST: usize = 8192;

    /// Most bytes of a head.
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes_max.max(Self::HEAD_BYTES_LEAST)
    }

    fn of(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Idle => Some(self.timeout_idle),
            Phase::Head => Some(self.timeout_head),
            Phase::Body => Some(self.timeout_body),
            Phase::Answering | Phase::Flushing => Some(self.timeout_write),
            Phase::Handling => None,
        }
    }

    /// How often a connection is looked at.
    fn period(&self) -> Duration {
        let shortest =
            self.timeout_idle.min(self.timeout_head).min(self.timeout_body).min(self.timeout_write);
        (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(5))
    }
}

/// What one connection's requests are handed to.
struct Desk<A> {
    answerer: Arc<A>,
    watch: Arc<Watch>,
}

impl<A: Answer> Desk<A> {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
        self.watch.enter(Phase::Handling);
        let reply = self.answerer.answer(request, &self.watch).await;
        self.watch.enter(Phase::Answering);
        Ok(reply.map(|body| Pieces::of(body, &self.watch)))
    }
}

type Io = TokioIo<Watched<TcpStream>>;
type Connection<S> = http1::Connection<Io, S>;

/// Most bytes, and longest time, that a client which was refused early may go on sending.
const LINGER_BYTES_MAX: usize = 16 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// A connection without a request is kept for so long when its listener ends.
const SILENCE: Duration = Duration::from_millis(50);

/// How far a listener has come with its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// It has not begun to end.
    #[default]
    NotYet,
    /// Connections end after the request under way.
    Finish,
    /// Requests under way are answered now, whatever becomes of what they wait for.
    GiveUp,
}

/// Serves a connection to its end.
pub(super) async fn serve<A: Answer>(
    stream: TcpStream,
    answerer: Arc<A>,
    limits: ConnectionLimits,
    mut ending: watch::Receiver<Ending>,
) {
    let watch = Arc::new(Watch::default());
    let desk = Arc::new(Desk { answerer, watch: watch.clone() });
    let service = hyper::service::service_fn(move |request| desk.clone().serve(request));
    let io = TokioIo::new(Watched { stream, watch: watch.clone() });
    // hyper's own time-out for heads costs a boxed timer for each request. Its pipelined flush would hold an answer
    // back while the next request has arrived in part.
    // One piece written is cheaper for the system than head and body gathered from two.
    let mut connection =
        http1::Builder::new().writev(false).max_buf_size(limits.head_bytes()).serve_connection(io, service);

    let mut patience = Patience::of(limits, &watch);
    let mut silence = None;
    let refusal = loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                break None;
            }
            // a listener that goes away without a word ends this task, too
            Ok(()) = ending.changed() => {
                let given_up = *ending.borrow_and_update() == Ending::GiveUp;
                if !given_up && watch.phase() == Phase::Idle {
                    // a request may be on its way that was sent before anybody could know
                    silence = Some(Box::pin(sleep(SILENCE)));
                    continue;
                }
                Pin::new(&mut connection).graceful_shutdown();
                if given_up {
                    // whoever waits for something sees it when the connection is polled next
                    watch.set_given_up();
                }
                match watch.phase() {
                    Phase::Idle => break None,
                    Phase::Head if given_up => break Some(node_stopping()),
                    Phase::Head | Phase::Body | Phase::Handling | Phase::Answering | Phase::Flushing => {}
                }
            }
            () = over(&mut silence) => {
                silence = None;
                Pin::new(&mut connection).graceful_shutdown();
                if watch.phase() == Phase::Idle {
                    break None;
                }
            }
            phase = patience.run_out(&watch) => match phase {
                // its reader sees that it is late when the connection is polled next
                Phase::Body => watch.set_late(),
                Phase::Head => break Some(head_timeout()),
                Phase::Idle | Phase::Handling | Phase::Answering | Phase::Flushing => {
                    tracing::debug!(?phase, "a client was too slow");
                    return;
                }
            }
        }
    };
    match refusal {
        Some(problem) => cut(connection, problem).await,
        None if watch.is_unread() => linger(&mut connection.into_parts().io.into_inner().stream).await,
        None => {}
    }
}

/// Ends when the silence does; never, if there is none.
async fn over(silence: &mut Option<Pin<Box<Sleep>>>) {
    match silence {
        Some(silence) => silence.await,
        None => pending().await,
    }
}

fn head_timeout() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "head-timeout", "The request came too slowly")
        .detail("the head of the request was not complete in time")
        .not_executed(Retry::Now)
}

fn node_stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "node-stopping", "The node is stopping")
        .detail("the node stopped before the request was complete: send it to another one")
        .not_executed(Retry::Elsewhere)
}

/// Ends a connection whose request is not complete.
async fn cut<S>(connection: Connection<S>, problem: Problem)
where
    S: Service<Request<Incoming>, Response = Response<Pieces>, Error = Infallible>,
{
    tracing::debug!(problem = %problem.body().kind, "a connection ends within a request's head");
    // while a head is awaited nothing of hyper's is half written
    let mut stream = connection.into_parts().io.into_inner().stream;
    // one that does not listen either is not waited for
    if stream.try_write(&problem.raw()).is_ok() {
        linger(&mut stream).await;
    }
}

/// Reads and drops what a client still sends to a request that was refused early. Closing at once would reset the
/// connection, and the client might never see the answer.
async fn linger(stream: &mut TcpStream) {
    let drain = async {
        // a client that is gone already is as good
        let _ = stream.shutdown().await;
        let mut buffer = vec![0; 16 << 10];
        let mut dropped = 0;
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            dropped += read;
            if dropped > LINGER_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// Answers a connection for which there is no room.
pub(super) async fn refuse(mut stream: TcpStream) {
    let problem =
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", "Too many connections")
            .detail("the listener has as many connections as it may: try again later")
            .not_executed(Retry::Later);
    if stream.try_write(&problem.raw()).is_ok() {
        linger(&mut stream).await;
    }
}

/// Looks at a connection again and again until a phase has lasted too long.
struct Patience {
    limits: ConnectionLimits,
    period: Duration,
    look: Pin<Box<Sleep>>,
    last: (Phase, u32),
    stood: Duration,
}

impl Patience {
    fn of(limits: ConnectionLimits, watch: &Watch) -> Self {
        let period = limits.period();
        let look = Box::pin(tokio::time::sleep(period));
        Self { limits, period, look, last: watch.mark(), stood: Duration::ZERO }
    }

    /// Ends when the connection's phase has lasted too long. May be dropped and begun again.
    async fn run_out(&mut self, watch: &Watch) -> Phase {
        loop {
            self.look.as_mut().await;
            self.look.as_mut().reset(Instant::now() + self.period);
            let mark = watch.mark();
            if mark != self.last {
                (self.last, self.stood) = (mark, Duration::ZERO);
                continue;
            }
            self.stood += self.period;
            if self.limits.of(mark.0).is_some_and(|limit| self.stood >= limit) {
                self.stood = Duration::ZERO;
                return mark.0;
            }
        }
    }
}
