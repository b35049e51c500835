//! Who serves the next connection: the executors in turn, except those that something blocks.

use super::Answer;
use super::connection::{ConnectionLimits, Ending, serve};
use odeon::host::Executor;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream as Moved;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long an executor may take to begin with a connection. Then another one gets it, and the next ones, too.
const BEGIN_WITHIN: Duration = Duration::from_millis(100);

/// An executor that serves connections, and who answers there.
pub(super) struct Desk<A> {
    executor: Executor,
    answerer: Arc<A>,
}

impl<A> Desk<A> {
    pub(super) fn new((executor, answerer): (Executor, Arc<A>)) -> Self {
        Self { executor, answerer }
    }
}

impl<A> Clone for Desk<A> {
    fn clone(&self) -> Self {
        Self { executor: self.executor.clone(), answerer: self.answerer.clone() }
    }
}

/// A connection on its way to another executor.
struct Handed {
    stream: Mutex<Option<io::Result<Moved>>>,
    /// The executor has come to it, whether it was still there or not.
    reached: AtomicBool,
}

struct Waiting {
    since: Instant,
    desk: usize,
    handed: Arc<Handed>,
}

/// The desks of a listener, as its door sees them.
pub(super) struct Desks<A> {
    desks: Vec<Desk<A>>,
    /// For each desk what it has not come to in time; nothing, if it is not known to be blocked.
    blocked_by: Vec<Option<Arc<Handed>>>,
    turn: usize,
    /// Those that were handed out, in their order.
    waiting: VecDeque<Waiting>,
    limits: ConnectionLimits,
    ending: watch::Receiver<Ending>,
}

impl<A: Answer> Desks<A> {
    pub(super) fn new(
        desks: Vec<Desk<A>>,
        limits: ConnectionLimits,
        ending: watch::Receiver<Ending>,
    ) -> Self {
        let blocked_by = desks.iter().map(|_| None).collect();
        Self { desks, blocked_by, turn: 0, waiting: VecDeque::new(), limits, ending }
    }

    /// Has a connection served, as a task of the set.
    pub(super) fn hand(&mut self, stream: TcpStream, tasks: &mut JoinSet<()>) {
        let desk = self.next();
        let Desk { executor, answerer } = self.desks[desk].clone();
        if executor.is_current() {
            executor.spawn_in(tasks, serve(stream, answerer, self.limits, self.ending.clone()));
            return;
        }
        self.hand_to(desk, stream.into_std(), tasks);
    }

    fn hand_to(&mut self, desk: usize, stream: io::Result<Moved>, tasks: &mut JoinSet<()>) {
        let Desk { executor, answerer } = self.desks[desk].clone();
        let handed = Arc::new(Handed { stream: Mutex::new(Some(stream)), reached: AtomicBool::new(false) });
        self.waiting.push_back(Waiting { since: Instant::now(), desk, handed: handed.clone() });
        let (limits, ending) = (self.limits, self.ending.clone());
        executor.spawn_in(tasks, async move {
            handed.reached.store(true, Relaxed);
            let Some(stream) = handed.stream.lock().take() else { return };
            drop(handed);
            // this executor's reactor shall watch it
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream, answerer, limits, ending).await,
                Err(error) => tracing::warn!(%error, "a connection could not be handed on"),
            }
        });
    }

    /// The next desk in turn that is not blocked; if all are, the next one.
    fn next(&mut self) -> usize {
        let count = self.desks.len();
        let first = self.turn;
        let free = (0..count).map(|i| (first + i) % count).find(|desk| !self.is_blocked(*desk));
        let next = free.unwrap_or(first);
        self.turn = (next + 1) % count;
        next
    }

    fn is_blocked(&mut self, desk: usize) -> bool {
        let blocked_by = &mut self.blocked_by[desk];
        *blocked_by = blocked_by.take().filter(|handed| !handed.reached.load(Relaxed));
        blocked_by.is_some()
    }

    /// Waits until an executor has not begun with a connection in time. May be dropped and begun again.
    pub(super) async fn overdue(&mut self) {
        while self.waiting.front().is_some_and(|waiting| waiting.handed.reached.load(Relaxed)) {
            self.waiting.pop_front();
        }
        match self.waiting.front() {
            Some(waiting) => tokio::time::sleep_until(waiting.since + BEGIN_WITHIN).await,
            None => std::future::pending().await,
        }
    }

    /// Takes back what was not begun with in time, and hands it to others, if they are not blocked as well.
    pub(super) fn hand_on(&mut self, tasks: &mut JoinSet<()>) {
        let now = Instant::now();
        // those of one round, not those that it hands out
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else { return };
            if waiting.handed.reached.load(Relaxed) {
                continue;
            }
            if now < waiting.since + BEGIN_WITHIN {
                self.waiting.push_back(waiting);
                continue;
            }
            self.blocked_by[waiting.desk].get_or_insert_with(|| waiting.handed.clone());
            let next = self.next();
            if self.is_blocked(next) {
                self.waiting.push_back(Waiting { since: now, ..waiting });
                continue;
            }
            // its executor may be about to begin with it just now
            let Some(stream) = waiting.handed.stream.lock().take() else { continue };
            self.hand_to(next, stream, tasks);
        }
    }
}
