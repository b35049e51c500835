//! Accepts connections, spreads them over the node's executors, and ends them in order.

use super::Answer;
use super::connection::{ConnectionLimits, Ending, refuse};
use super::desks::{Desk, Desks};
use futures_util::future::BoxFuture;
use odeon::host::Executor;
use odeon::{AddPartError, Node, PartSpec, Running};
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The node has no executor to run it.
    #[error("a listener needs at least one executor")]
    NoExecutor,
    /// The operating system refuses the address.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The executor has ended.
    #[error("the executor has ended")]
    Executor,
    /// The node does not run it.
    #[error(transparent)]
    Part(#[from] AddPartError),
}

/// The books of a listener.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl ListenerCounts {
    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }
    /// Connections that were served.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }
    /// Connections for which there was no room.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

struct StopOrder {
    within: Duration,
    cut: oneshot::Sender<usize>,
}

/// What runs a listener.
#[derive(Clone, Copy)]
pub(crate) enum Keeper<'a> {
    /// A node, as a part of its supervision tree. When the node stops, requests under way may take so long.
    Node(&'a Node, &'a PartSpec, Duration),
    /// The first of its executors and nobody else.
    Executor,
}

/// A listener at work. Dropping it ends its connections at once; [`Listener::stop`] lets them finish.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    orders: mpsc::Sender<StopOrder>,
    counts: Arc<ListenerCounts>,
}

impl Listener {
    /// Listens. Connections are handed to the executors in turn, each with the answerer at the same position; one
    /// that something blocks is passed over as long as another one is not. The control executor of
    /// the node accepts, or the first one without a node.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) async fn start<A: Answer>(
        executors: &[Executor],
        address: SocketAddr,
        limits: ConnectionLimits,
        answerers: Vec<Arc<A>>,
        keeper: Keeper<'_>,
    ) -> Result<Self, BindError> {
        let first = executors.first().ok_or(BindError::NoExecutor)?;
        let door = match keeper {
            Keeper::Node(node, ..) => node.control(),
            Keeper::Executor => first,
        };
        // on the executor whose reactor shall watch it
        let bound = door.spawn(async move {
            let listener = TcpListener::bind(address).await?;
            Ok((listener.local_addr()?, listener))
        });
        let (actual, listener) = bound
            .await
            .map_err(|_| BindError::Executor)?
            .map_err(|error| BindError::Address { address, error })?;
        let (orders, stop) = mpsc::channel(1);
        let counts = Arc::new(ListenerCounts::default());
        let house = Arc::new(House {
            address: actual,
            limits,
            executor: door.clone(),
            desks: Mutex::new(executors.iter().cloned().zip(answerers).map(Desk::new).collect()),
            counts: counts.clone(),
            orders: tokio::sync::Mutex::new(stop),
            bound: Mutex::new(Some(listener)),
            stop_within: match keeper {
                Keeper::Node(.., within) => within,
                Keeper::Executor => Duration::ZERO,
            },
        });
        match keeper {
            Keeper::Executor => {
                let running = async move { house.keep(None).await };
                drop(door.spawn(running));
            }
            Keeper::Node(node, spec, within) => {
                let spec = spec.clone().apart().stop_within(within.saturating_add(CUT_WITHIN));
                let run = move |running: Running| {
                    let house = house.clone();
                    async move { house.keep(Some(running)).await.map_err(|error| error.to_string()) }
                };
                node.add_part(&spec, run).await?;
            }
        }
        Ok(Self { address: actual, orders, counts })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counts(&self) -> &Arc<ListenerCounts> {
        &self.counts
    }

    /// Accepts no more and tells connections to end after the request under way. Requests that have not ended in
    /// time are answered with what is known of them, and connections that take no answer within a second more are
    /// cut. Returns how many had not ended in time; 0 if it was stopped before.
    pub(crate) fn stop(&self, within: Duration) -> BoxFuture<'_, usize> {
        Box::pin(async move {
            let (cut, answer) = oneshot::channel();
            // one that failed and has not begun again does not answer
            let stopped = async {
                match self.orders.send(StopOrder { within, cut }).await {
                    Ok(()) => answer.await.unwrap_or(0),
                    Err(_) => 0,
                }
            };
            tokio::time::timeout(within.saturating_add(CUT_WITHIN), stopped).await.unwrap_or(0)
        })
    }
}

/// Connections that are told there is no room, at the same time. Beyond, they are closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long accepting rests after the system had no descriptor or memory for a connection.
const REST: Duration = Duration::from_millis(100);
/// How long clients may take to read what their requests are answered with when the time for a stop is up.
const READ_WITHIN: Duration = Duration::from_millis(500);
/// How long executors may take to drop connections after that.
const ABORT_WITHIN: Duration = Duration::from_millis(250);
/// How long connections may take to end whose time is up, [`READ_WITHIN`] and [`ABORT_WITHIN`] included.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// What outlives the failures of a listener.
struct House<A> {
    address: SocketAddr,
    limits: ConnectionLimits,
    /// Where it accepts.
    executor: Executor,
    /// Those who answer may own the node that owns this: emptied at the orderly end.
    desks: Mutex<Vec<Desk<A>>>,
    counts: Arc<ListenerCounts>,
    /// Locked by the door that is open.
    orders: tokio::sync::Mutex<mpsc::Receiver<StopOrder>>,
    /// For the first door.
    bound: Mutex<Option<TcpListener>>,
    /// How long requests under way may take when its node stops.
    stop_within: Duration,
}

impl<A: Answer> House<A> {
    /// Keeps a door open until it is told to stop.
    async fn keep(self: Arc<Self>, running: Option<Running>) -> Result<(), BindError> {
        let bound = self.bound.lock().take();
        let listener = match bound {
            Some(listener) => listener,
            None => {
                let address = self.address;
                TcpListener::bind(address).await.map_err(|error| BindError::Address { address, error })?
            }
        };
        if let Some(running) = &running {
            running.ready();
        }
        let told = async {
            match running {
                Some(mut running) => running.stopping().await,
                None => std::future::pending().await,
            }
        };
        let desks = self.desks.lock().clone();
        let (ending, ended) = watch::channel(Ending::default());
        let desks = Desks::new(desks, self.limits, ended);
        let door = Door {
            house: self.clone(),
            desks,
            ending,
            connections: JoinSet::new(),
            refusals: Refusals::default(),
        };
        door.run(listener, pin!(told)).await;
        self.desks.lock().clear();
        Ok(())
    }
}

/// The accepting side.
struct Door<A> {
    house: Arc<House<A>>,
    desks: Desks<A>,
    ending: watch::Sender<Ending>,
    connections: JoinSet<()>,
    refusals: Refusals,
}

/// How often in a row the system gave no connection: of many only the first is told of, and the end of them.
#[derive(Default)]
struct Refusals(u64);

impl Refusals {
    fn add(&mut self, error: &io::Error) {
        if self.0 == 0 {
            tracing::warn!(%error, "a connection could not be accepted; it is tried again and again");
        }
        self.0 += 1;
    }

    fn end(&mut self) {
        let tries = std::mem::take(&mut self.0);
        if tries > 0 {
            tracing::info!(tries, "connections are accepted again");
        }
    }
}

impl<A: Answer> Door<A> {
    async fn run(mut self, listener: TcpListener, mut told: Pin<&mut impl Future<Output = ()>>) {
        let house = self.house.clone();
        let mut orders = house.orders.lock().await;
        // those of a door before this one ended with it
        self.count_open();
        let order = loop {
            tokio::select! {
                biased;
                order = orders.recv() => break order,
                () = &mut told => break Some(StopOrder { within: house.stop_within, cut: oneshot::channel().0 }),
                Some(_) = self.connections.join_next(), if !self.connections.is_empty() => self.count_open(),
                () = self.desks.overdue() => self.desks.hand_on(&mut self.connections),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.refusals.end();
                        self.admit(stream);
                    }
                    Err(error) => {
                        self.refusals.add(&error);
                        tokio::time::sleep(REST).await;
                    }
                },
            }
        };
        self.admit_all(&listener);
        drop(listener);
        // without an order the handle is gone: the set aborts what it holds
        if let Some(StopOrder { within, cut }) = order {
            self.ending.send_replace(Ending::Finish);
            self.wait(within).await;
            let left = self.connections.len();
            if left > 0 {
                self.ending.send_replace(Ending::GiveUp);
                self.wait(READ_WITHIN).await;
                self.connections.abort_all();
                // one whose executor is blocked ends when that is over
                self.wait(ABORT_WITHIN).await;
            }
            self.count_open();
            // whoever gave the order may have left
            let _ = cut.send(left);
        }
        // no door opens again: who orders a stop later need not wait
        orders.close();
        while orders.try_recv().is_ok() {}
    }

    /// Lets in those whom the system has let in already: their connections would break.
    fn admit_all(&mut self, listener: &TcpListener) {
        let mut task = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok((stream, _))) = listener.poll_accept(&mut task) {
            self.admit(stream);
        }
    }

    /// Waits for the connections to end, but no longer than that.
    async fn wait(&mut self, within: Duration) {
        let finish = async { while self.connections.join_next().await.is_some() {} };
        // who has not ended is seen from what is left
        let _ = tokio::time::timeout(within, finish).await;
    }

    fn count_open(&self) {
        self.house.counts.open.store(self.connections.len(), Relaxed);
    }

    fn admit(&mut self, stream: TcpStream) {
        // answers are written whole: waiting for more to send only delays them
        let _ = stream.set_nodelay(true);
        let open = self.connections.len();
        if open >= self.house.limits.connections_max {
            self.house.counts.refused.fetch_add(1, Relaxed);
            if open < self.house.limits.connections_max + REFUSALS_MAX {
                self.house.executor.spawn_in(&mut self.connections, refuse(stream));
            }
            return;
        }
        self.house.counts.accepted.fetch_add(1, Relaxed);
        self.desks.hand(stream, &mut self.connections);
        self.count_open();
    }
}
