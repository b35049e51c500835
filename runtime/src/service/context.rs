//! [`Cx`]: what a handler has besides its arguments and its state. The only way to time, chance, tasks, timers,
//! blocking work and other services.

use super::cast::Cast;
use super::contract::Contract;
use super::message::{Header, Origin};
use crate::cell::ambient::{Ambient, Scoped};
use crate::cell::belongings::Belongings;
use crate::cell::port::Port;
use crate::node::{Node, NodeInner, RefError};
use bytes::Bytes;
use futures_util::FutureExt;
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{ActivationId, Criticality, NodeId, Random, ServiceName, Timestamp, TraceContext};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use uuid::Uuid;

/// Set once the caller has left; made when a handler first asks.
#[derive(Default)]
struct Cancellation {
    left: AtomicBool,
    notify: Notify,
}

/// What a handler has besides its arguments and its state.
///
/// One for each handler run. Cheap to clone: a clone may go into tasks of the activation.
pub struct Cx {
    port: Arc<dyn Port>,
    header: Header,
    origin: Option<Arc<Origin>>,
    cancellation: OnceLock<Arc<Cancellation>>,
}

impl Clone for Cx {
    /// Both learn when the caller leaves.
    fn clone(&self) -> Self {
        let cancellation = self.cancellation.get_or_init(Arc::default).clone();
        Self {
            port: self.port.clone(),
            header: self.header,
            origin: self.origin.clone(),
            cancellation: OnceLock::from(cancellation),
        }
    }
}

/// Who sent what is being handled.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The activation that called; none for a request from outside.
    pub activation: Option<ActivationId>,
    /// The node from which it came, as its certificate names it; none for this one.
    pub node: Option<NodeId>,
    /// Who asked for it in the end: a user or a token.
    pub principal: Option<Arc<str>>,
    /// On whose budget.
    pub tenant: Option<Arc<str>>,
    /// The id of the request, stable over retries and the whole chain.
    pub request: Option<Uuid>,
    /// The activations that wait for this one, from the root of the request on.
    pub path: Vec<ActivationId>,
}

/// A task or timer of an activation. Dropping this does not end it; the end of the activation does.
#[derive(Debug)]
pub struct Task(AbortHandle);

impl Task {
    /// Ends it at its next await. A timer that has not fired will not.
    pub fn cancel(&self) {
        self.0.abort();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Why blocking work gave no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// All threads are busy and the queue is full: try later.
    #[error("the node's threads for blocking work are all busy and their queue is full")]
    Busy,
    /// The work panicked.
    #[error("blocking work panicked")]
    Panicked,
}

impl Cx {
    pub(crate) fn of(port: Arc<dyn Port>) -> Self {
        Self { port, header: Header::default(), origin: None, cancellation: OnceLock::new() }
    }

    /// For the next message of the same activation.
    pub(crate) fn rearm(&mut self, header: Header, origin: Option<Arc<Origin>>) {
        self.header = header;
        self.origin = origin;
        if self.cancellation.get().is_some() {
            self.cancellation = OnceLock::new();
        }
    }

    /// For a message that is handled beside others.
    pub(crate) fn fork(&self, header: Header, origin: Option<Arc<Origin>>) -> Self {
        Self { port: self.port.clone(), header, origin, cancellation: OnceLock::new() }
    }

    /// The caller has left: whoever waits in [`Cx::cancelled`] goes on.
    pub(crate) fn mark_left(&self) {
        if let Some(cancellation) = self.cancellation.get() {
            cancellation.left.store(true, Ordering::Release);
            cancellation.notify.notify_waiters();
        }
    }

    /// Whether the handler wants to know that the caller left, and does not yet.
    pub(crate) fn wants_leave(&self) -> bool {
        self.cancellation.get().is_some_and(|c| !c.left.load(Ordering::Acquire))
    }

    /// The node, as long as it runs.
    pub fn node(&self) -> Option<Node> {
        self.port.kind().node.upgrade().map(Node::of)
    }

    pub(crate) fn port(&self) -> &Arc<dyn Port> {
        &self.port
    }

    fn inner(&self) -> Option<Arc<NodeInner>> {
        self.port.kind().node.upgrade()
    }

    /// The name under which this service was registered.
    pub fn service_name(&self) -> &ServiceName {
        &self.port.kind().service
    }

    /// The key of this entity; empty for a service or a singleton.
    pub fn key(&self) -> &str {
        self.port.key().map_or("", |key| key)
    }

    /// This activation's cell. It stays the same over restarts.
    pub fn id(&self) -> ActivationId {
        self.port.id()
    }

    /// Monotonic time since the node started.
    pub fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.port.kind().wheel.elapsed()
    }

    /// Waits. Ends about a millisecond late at the most, never early.
    pub async fn sleep(&self, time: Duration) {
        self.port.kind().wheel.sleep(time).await;
    }

    /// Time until the caller stops waiting; none if nobody waits.
    pub fn deadline(&self) -> Option<Duration> {
        let due = self.header.due();
        (!due.is_never()).then(|| due.until(self.port.kind().wheel.now()))
    }

    /// Ends once the caller has left or its deadline has passed: what is still undone is worthless. A handler is
    /// never dropped for that reason; it may stop early or go on.
    pub async fn cancelled(&self) {
        let cancellation = self.cancellation.get_or_init(Arc::default).clone();
        let left = async {
            loop {
                let notified = cancellation.notify.notified();
                if cancellation.left.load(Ordering::Acquire) {
                    return;
                }
                notified.await;
            }
        };
        if self.header.due().is_never() {
            left.await;
        } else {
            let late = self.port.kind().wheel.sleep_until(self.header.due());
            tokio::select! { biased; () = left => {}, () = late => {} }
        }
    }

    /// The class of the request that is being handled.
    pub fn criticality(&self) -> Criticality {
        self.header.criticality()
    }

    /// The trace of the request that is being handled.
    pub fn trace(&self) -> TraceContext {
        self.origin.as_deref().map(Origin::trace_context).unwrap_or_default()
    }

    /// A span for this handler run, if anybody records it: at `info` for sampled traces, at `debug` for others.
    #[inline]
    pub(crate) fn record(&self, method: &'static str) -> Option<tracing::Span> {
        let level = if self.sampled() { tracing::Level::INFO } else { tracing::Level::DEBUG };
        // one load, where nobody records anything of that level
        if level > tracing::level_filters::LevelFilter::current() { None } else { self.span(method) }
    }

    #[cold]
    fn span(&self, method: &'static str) -> Option<tracing::Span> {
        let node = self.node();
        macro_rules! span {
            ($level:expr) => {
                tracing::span!(
                    target: "odeon::call",
                    $level,
                    "handle",
                    node = node.as_ref().map(|node| tracing::field::display(node.name())),
                    service = %self.service_name(),
                    key = self.key(),
                    method,
                    cell = %self.id(),
                    trace = %self.trace().trace,
                    parent = %self.trace().parent,
                    span = %crate::cell::ambient::span(),
                )
            };
        }
        let span = if self.sampled() { span!(tracing::Level::INFO) } else { span!(tracing::Level::DEBUG) };
        (!span.is_disabled()).then_some(span)
    }

    #[inline]
    fn sampled(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.sampled)
    }

    /// Who sent what is being handled.
    pub fn caller(&self) -> Caller {
        let origin = self.origin.as_deref();
        Caller {
            activation: origin.and_then(|o| o.activation),
            node: origin.and_then(|o| o.node.as_deref().cloned()),
            principal: origin.and_then(|o| o.principal.clone()),
            tenant: origin.and_then(|o| o.tenant.clone()),
            request: origin.map(|o| o.request),
            path: origin.map(Origin::path).unwrap_or_default(),
        }
    }

    /// A reference to a service or singleton of this node, by name. It need not run yet.
    ///
    /// # Errors
    /// The name is none, or is provided under another contract.
    pub fn service<R: Contract>(&self, name: &str) -> Result<R, RefError> {
        self.inner().ok_or(RefError::NoNode)?.reference(name, None)
    }

    /// A reference to the entity with this key. It is activated by the first message.
    ///
    /// # Errors
    /// The name or the key is none, or the name is provided under another contract.
    pub fn entity<R: Contract>(&self, name: &str, key: &str) -> Result<R, RefError> {
        self.inner().ok_or(RefError::NoNode)?.reference(name, Some(key))
    }

    /// A reference to this very service or entity.
    ///
    /// # Errors
    /// `R` is not its contract.
    pub fn me<R: Contract>(&self) -> Result<R, RefError> {
        let name = self.service_name().to_string();
        self.inner().ok_or(RefError::NoNode)?.reference(&name, self.port.key().map(|k| &**k))
    }

    /// Runs a task that dies with the activation. A panic in it ends the activation as a panic in a handler does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let ambient = Ambient::task(self.port.clone(), self.header, self.origin.clone());
        let port = self.port.clone();
        let guarded = async move {
            if let Err(panic) = AssertUnwindSafe(Scoped::new(ambient, task)).catch_unwind().await {
                port.fail(Exit::Panicked { text: panic_text(&*panic), method: "a task".into() });
            }
        };
        let executor = &self.port.kind().executors[self.port.executor()];
        let mut belongings = Belongings::of(&*self.port);
        belongings.sweep();
        Task(executor.spawn_in(&mut belongings.tasks, guarded))
    }

    /// Sends after a time. The timer dies with the activation; what cannot be sent then is logged and counted by
    /// the receiver.
    pub fn after<R: Contract>(&self, time: Duration, cast: Cast<'_, R>) -> Task {
        let cast = cast.into_owned();
        let wheel = self.port.kind().wheel.clone();
        let service = self.service_name().clone();
        self.spawn(async move {
            wheel.sleep(time).await;
            if let Err(refusal) = cast.await {
                tracing::warn!(%service, %refusal, "a timer's message was refused");
            }
        })
    }

    /// Sends again and again, the first time after one period. A period that was missed is not made up for.
    pub fn every<R: Contract>(
        &self,
        period: Duration,
        to: R,
        mut cast: impl FnMut(&R) -> Cast<'_, R> + Send + 'static,
    ) -> Task {
        let wheel = self.port.kind().wheel.clone();
        let service = self.service_name().clone();
        self.spawn(async move {
            loop {
                wheel.sleep(period).await;
                if let Err(refusal) = cast(&to).await {
                    tracing::warn!(%service, %refusal, "a timer's message was refused");
                }
            }
        })
    }

    /// Chance: this activation's own stream, repeated by the node's seed.
    pub fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut Belongings::of(&*self.port).random)
    }

    /// Runs blocking work (files, a synchronous library, long computation) where it stops nobody.
    ///
    /// # Errors
    /// [`BlockingError::Busy`] when too much of it is queued, [`BlockingError::Panicked`] when it panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let node = self.inner().ok_or(BlockingError::Busy)?;
        crate::host::run_blocking(&*node.host.blocking, work).await
    }

    /// What `passivate` of this entity's previous activation left on this node; taken once.
    pub fn restored(&self) -> Option<Bytes> {
        self.port.kind().overseer.restored(&*self.port)
    }

    /// Ends this activation in order after the message that is being handled. Of an entity, what waits is handled by
    /// the next activation; of a service or singleton, it is refused as stopped, and no other instance takes its place.
    pub fn stop(&self) {
        self.port.stop(StopReason::Own);
    }

    /// Sends to `to` once the activation behind the reference ends, with how it ended; at once if there is none.
    /// [`Task::cancel`] takes the watch back, and so does the end of this activation.
    pub fn watch<R: Contract, W: Contract>(
        &self,
        other: &R,
        to: W,
        cast: impl FnOnce(&W, Exit) -> Cast<'_, W> + Send + 'static,
    ) -> Task {
        let seen = crate::directory::watch(other.address());
        let service = self.service_name().clone();
        self.spawn(async move {
            let exit = seen.await;
            if let Err(refusal) = cast(&to, exit).await {
                tracing::warn!(%service, %refusal, "a watch's message was refused");
            }
        })
    }

    /// Links this activation to another: when one ends abnormally, the other ends as [`Exit::Linked`].
    pub fn link<R: Contract>(&self, other: &R) {
        crate::directory::link(&self.port, other.address());
    }
}

/// Of the text of a panic no more bytes are kept: whoever tells of it keeps many.
const PANIC_TEXT_MAX: usize = 4_096;

/// What a panic says, or its beginning.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let whole =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(|s| &**s));
    match whole {
        Some(text) if text.len() > PANIC_TEXT_MAX => {
            format!("{}…", &text[..text.floor_char_boundary(PANIC_TEXT_MAX)])
        }
        Some(text) => text.into(),
        None => "a panic without text".into(),
    }
}
