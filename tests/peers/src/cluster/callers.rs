//! The load: for each key one caller, which adds one, waits for the answer, pauses, and begins anew, at a node that
//! takes its connection. All that it has seen is kept.

use super::http::{Answer, Connection, request};
use super::node::SERVICE;
use crate::time::Stopwatch;
use anyhow::{Context, Result, bail};
use odeon_actors::http::{OutcomeKind, ProblemBody};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Between an answer and the next request of a key.
pub const PAUSE: Duration = Duration::from_millis(5);
/// A node answers within 5 s, whatever becomes of the call. One that does not has gone without a word.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const HEADERS: &str = "content-type: application/json\r\n";

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With what the counter says.
    Answered(i64),
    /// It did not run and never will; and the problem's name.
    NotExecuted(String),
    /// It may have run; and the problem's name.
    Unknown(String),
    /// With something else: its own error, or what is no answer of a node.
    Failed(String),
    /// The connection broke before there was an answer. The caller goes on to the next node.
    Broken,
    /// Nobody took the connection. The caller goes on to the next node.
    Refused,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it was sent.
    pub began: Duration,
    /// When its end was known.
    pub ended: Duration,
    /// That.
    pub end: End,
}

/// What the caller of each key has seen, in order.
pub type Seen = BTreeMap<String, Vec<Attempt>>;

type Log = Arc<Mutex<Vec<Attempt>>>;

/// Callers at work. They end when this is dropped.
#[derive(Debug)]
pub struct Callers {
    logs: BTreeMap<String, Log>,
    is_over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Callers {
    /// Begins. Each key has a caller, which begins with another one of the nodes than its neighbour; there is one node
    /// at least.
    pub fn start(keys: &[String], nodes: &[SocketAddr], clock: Stopwatch) -> Self {
        let (mut logs, mut tasks) = (BTreeMap::new(), JoinSet::new());
        let is_over = Arc::new(AtomicBool::new(false));
        for (index, key) in keys.iter().enumerate() {
            let log = Log::default();
            let at = index % nodes.len();
            let caller = Caller { nodes: requests(nodes, key, 1), at, connection: None, clock };
            tasks.spawn(caller.call_until(log.clone(), is_over.clone()));
            logs.insert(key.clone(), log);
        }
        Self { logs, is_over, tasks }
    }

    /// Whether something is so for all that was seen of each of these keys.
    pub fn all<'a>(
        &self,
        mut keys: impl Iterator<Item = &'a String>,
        is_so: impl Fn(&[Attempt]) -> bool,
    ) -> bool {
        keys.all(|key| self.logs.get(key).is_some_and(|log| is_so(&locked(log))))
    }

    /// Ends them, each with the request that is under way.
    ///
    /// # Errors
    /// One of them has panicked.
    pub async fn stop(mut self) -> Result<Seen> {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(self.logs.iter().map(|(key, log)| (key.clone(), locked(log).clone())).collect())
    }
}

fn locked(log: &Log) -> std::sync::MutexGuard<'_, Vec<Attempt>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For each node the request that adds an amount to a key.
fn requests(nodes: &[SocketAddr], key: &str, amount: i64) -> Vec<(SocketAddr, Vec<u8>)> {
    let path = format!("/v1/{SERVICE}/{key}/add");
    let body = format!(r#"{{"amount":{amount}}}"#);
    nodes.iter().map(|node| (*node, request("POST", *node, &path, HEADERS, &body))).collect()
}

/// What a key has counted, as a node says.
///
/// # Errors
/// It does not answer.
pub async fn total(node: SocketAddr, key: &str) -> Result<i64> {
    let clock = Stopwatch::start();
    let mut caller = Caller { nodes: requests(&[node], key, 0), at: 0, connection: None, clock };
    match caller.attempt().await {
        Attempt { end: End::Answered(total), .. } => Ok(total),
        other => bail!("{key} does not say what it has counted: {:?}", other.end),
    }
}

struct Caller {
    nodes: Vec<(SocketAddr, Vec<u8>)>,
    at: usize,
    connection: Option<Connection>,
    clock: Stopwatch,
}

impl Caller {
    async fn call_until(mut self, log: Log, is_over: Arc<AtomicBool>) {
        let mut moves = 0;
        while !is_over.load(Ordering::Relaxed) {
            let attempt = self.attempt().await;
            let moves_on = matches!(attempt.end, End::Broken | End::Refused);
            locked(&log).push(attempt);
            moves = if moves_on { moves + 1 } else { 0 };
            if moves_on {
                self.at = (self.at + 1) % self.nodes.len();
            }
            // to the next node at once, but not round and round
            if moves % self.nodes.len() == 0 {
                sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(&mut self) -> Attempt {
        let began = self.clock.elapsed();
        let end = self.try_once().await;
        Attempt { began, ended: self.clock.elapsed(), end }
    }

    async fn try_once(&mut self) -> End {
        let (address, request) = &self.nodes[self.at];
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::open(*address).await {
                Ok(connection) => connection,
                Err(_) => return End::Refused,
            },
        };
        match timeout(ANSWER_WITHIN, connection.exchange(request)).await {
            Ok(Ok(answer)) => {
                self.connection = (!answer.closes).then_some(connection);
                read(&answer).unwrap_or_else(|problem| End::Failed(format!("{problem:#}")))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => End::Failed(error.to_string()),
            Ok(Err(_)) | Err(_) => End::Broken,
        }
    }
}

fn read(answer: &Answer) -> Result<End> {
    if answer.status == 200 {
        return Ok(End::Answered(answer.json().context("a number was expected")?));
    }
    let problem: ProblemBody = answer.json().with_context(|| format!("status {}", answer.status))?;
    let name = problem.kind.rsplit(':').next().unwrap_or_default().to_owned();
    Ok(match problem.outcome {
        Some(OutcomeKind::NotExecuted) => End::NotExecuted(name),
        Some(OutcomeKind::Unknown) => End::Unknown(name),
        Some(OutcomeKind::Failed) | None => End::Failed(name),
    })
}
