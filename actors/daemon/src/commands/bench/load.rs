//! The load itself: connections that ask again and again, and what came back.

use super::histogram::Histogram;
use crate::connection::{Connection, ConnectionError};
use crate::exit::{Code, Failure};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use odeon_actors::http::{OutcomeKind, ProblemBody};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until, timeout_at};

/// How long after its end the last answers may take.
const GRACE: Duration = Duration::from_secs(1);

/// What is asked, and how.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// Host and port of the gateway.
    pub(super) host: String,
    /// The path of the method.
    pub(super) path: String,
    /// The arguments.
    pub(super) body: Bytes,
    /// How many ask at the same time.
    pub(super) connections: u16,
    /// How long.
    pub(super) duration: Duration,
    /// How long each request waits.
    pub(super) within: Duration,
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// How long it took.
    pub(super) lasted: Duration,
    /// Times by outcome.
    pub(super) outcomes: BTreeMap<String, Histogram>,
}

/// The outcome that is wanted.
const ANSWERED: &str = "answered";

impl Results {
    /// How many requests were answered by the handler.
    pub(super) fn answered(&self) -> u64 {
        self.outcomes.get(ANSWERED).map_or(0, Histogram::total)
    }

    fn record(&mut self, outcome: &str, time: Duration) {
        match self.outcomes.get_mut(outcome) {
            Some(times) => times.record(time),
            None => self.outcomes.entry(outcome.into()).or_default().record(time),
        }
    }

    fn add(&mut self, other: &Results) {
        for (outcome, times) in &other.outcomes {
            self.outcomes.entry(outcome.clone()).or_default().add(times);
        }
    }
}

impl Load {
    /// Runs it. `progress` is told the second and how many requests ended in it.
    ///
    /// # Errors
    /// The gateway cannot be reached, or the progress cannot be told.
    pub(super) async fn run(
        self,
        mut progress: impl FnMut(u64, u64) -> io::Result<()>,
    ) -> Result<Results, Failure> {
        let request = self.request()?;
        let connect = || Connection::open(&self.host);
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(connect().await.map_err(|e| Failure::new(Code::Unreachable, e))?);
        }
        let begun = Instant::now();
        let ask = Arc::new(Asking {
            host: self.host.clone(),
            request,
            end: begun + self.duration,
            ended: AtomicU64::new(0),
        });
        let mut asking = JoinSet::new();
        for connection in connections {
            asking.spawn(ask.clone().run(connection));
        }
        let mut results = Results::default();
        let mut seconds = interval_at(begun + Duration::from_secs(1), Duration::from_secs(1));
        let (mut second, mut before) = (0, 0);
        loop {
            tokio::select! {
                biased;
                _ = seconds.tick() => {
                    second += 1;
                    let ended = ask.ended.load(Relaxed);
                    progress(second, ended - before)?;
                    before = ended;
                }
                part = asking.join_next() => match part {
                    Some(Ok(part)) => results.add(&part),
                    Some(Err(problem)) => return Err(Failure::failed(problem)),
                    None => break,
                },
            }
        }
        results.lasted = begun.elapsed();
        Ok(results)
    }

    fn request(&self) -> Result<Template, Failure> {
        let uri = self.path.parse().map_err(|e| Failure::usage(format_args!("{}: {e}", self.path)))?;
        let within = format!("{}ms", self.within.as_millis().max(1));
        let within = HeaderValue::from_str(&within).map_err(Failure::usage)?;
        Ok(Template { uri, within, body: self.body.clone() })
    }
}

/// A request that is sent again and again.
struct Template {
    uri: Uri,
    within: HeaderValue,
    body: Bytes,
}

impl Template {
    fn make(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("request-timeout"), self.within.clone());
        request
    }
}

/// What all connections share.
struct Asking {
    host: String,
    request: Template,
    end: Instant,
    ended: AtomicU64,
}

impl Asking {
    async fn run(self: Arc<Self>, connection: Connection) -> Results {
        let mut results = Results::default();
        let mut connection = Some(connection);
        loop {
            let begun = Instant::now();
            if begun >= self.end {
                return results;
            }
            let outcome = match timeout_at(self.end + GRACE, self.ask(&mut connection)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    results.record("unfinished", begun.elapsed());
                    return results;
                }
            };
            results.record(&outcome.0, begun.elapsed());
            self.ended.fetch_add(1, Relaxed);
            if outcome.1 {
                // who cannot connect need not try as fast as possible
                sleep_until(Instant::now() + Duration::from_millis(10)).await;
            }
        }
    }

    /// One request. Answers its outcome, and whether there was no connection for it.
    async fn ask(&self, connection: &mut Option<Connection>) -> (std::borrow::Cow<'static, str>, bool) {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(&self.host).await {
                Ok(open) => open,
                Err(_) => return ("not connected".into(), true),
            },
        };
        match open.send(self.request.make()).await {
            Ok((status, _)) if status.is_success() => {
                *connection = Some(open);
                (ANSWERED.into(), false)
            }
            Ok((status, body)) => {
                *connection = Some(open);
                (name(status, &body).into(), false)
            }
            Err(ConnectionError::TooLong { .. }) => ("answer too long".into(), false),
            Err(_) => ("connection lost".into(), false),
        }
    }
}

/// The outcome behind a problem: `not-executed: mailbox-full`.
fn name(status: StatusCode, body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<ProblemBody>(body) else { return format!("status {status}") };
    let kind = problem.kind.rsplit(':').next().unwrap_or(&problem.kind);
    match problem.outcome {
        Some(OutcomeKind::Failed) => format!("failed: {}", status.as_u16()),
        Some(OutcomeKind::NotExecuted) => format!("not executed: {kind}"),
        Some(OutcomeKind::Unknown) => format!("unknown: {kind}"),
        None => kind.into(),
    }
}
