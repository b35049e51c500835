//! On whose behalf code runs: the handler that is being polled on this thread. What it sends carries its trace,
//! deadline, criticality and call chain without the author's doing.
//!
//! The context moves into a thread-local while a cell polls user code and back out afterwards, so nothing of it
//! outlives the poll and any number of nodes can share a thread.

use super::Tick;
use super::port::Port;
use crate::service::message::{Header, Origin};
use odeon_core::{Refusal, SpanId, TraceId};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use uuid::Uuid;

/// The handler run that is being polled.
pub(crate) struct Ambient {
    port: Arc<dyn Port>,
    header: Header,
    origin: Option<Arc<Origin>>,
    /// What messages of this run carry; made when the first is sent.
    own: Option<Arc<Origin>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Ambient>> = const { RefCell::new(None) };
    /// Whether there is a current one: who sends from outside need not look into it.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Ambient {
    /// For the handling of a message.
    pub(crate) fn of(port: Arc<dyn Port>, header: Header, origin: Option<Arc<Origin>>) -> Self {
        Self { port, header: header.holding(), origin, own: None }
    }

    /// For a life-cycle hook: no deadline, nobody waits for it.
    pub(crate) fn beside(port: Arc<dyn Port>, header: Header, origin: Option<Arc<Origin>>) -> Self {
        Self::of(port, header.with_awaited(false).with_due(Tick::NEVER), origin)
    }

    /// For a task or timer, which runs beside the handlers.
    pub(crate) fn task(port: Arc<dyn Port>, header: Header, origin: Option<Arc<Origin>>) -> Self {
        Self { port, header: header.inherited().with_due(Tick::NEVER), origin, own: None }
    }

    /// The next message of the same activation.
    #[inline]
    pub(crate) fn rearm(&mut self, header: Header, origin: Option<&Arc<Origin>>) {
        self.header = header.holding();
        // most have the same as the last one: to look costs less than to count another owner
        if self.origin.as_ref().map(Arc::as_ptr) != origin.map(Arc::as_ptr) {
            self.origin = origin.cloned();
        }
        self.own = None;
    }

    fn outgoing(&mut self) -> Outgoing {
        let origin = self.own();
        Outgoing { header: self.header.inherited(), origin }
    }

    fn own(&mut self) -> Arc<Origin> {
        if let Some(own) = &self.own {
            return own.clone();
        }
        let from = self.origin.as_ref();
        // only who waits can close a cycle or be kept waiting without end
        let up = from.filter(|_| self.header.awaited()).cloned();
        let span = self.port.kind().node.upgrade().map_or(SpanId(0), |node| node.next_span());
        let request = from.map(|o| o.request).filter(|id| !id.is_nil()).unwrap_or_else(Uuid::now_v7);
        let trace = from.map(|o| o.trace).filter(|trace| *trace != TraceId::default());
        let own = Arc::new(Origin {
            activation: Some(self.port.id()),
            node: None,
            receipts: None,
            holds: self.header.holds(),
            hops: up.as_ref().map_or(1, |o| o.hops.saturating_add(1)),
            span,
            trace: trace.unwrap_or(TraceId(request.as_u128())),
            sampled: from.is_some_and(|o| o.sampled),
            request,
            principal: from.and_then(|o| o.principal.clone()),
            tenant: from.and_then(|o| o.tenant.clone()),
            up,
        });
        self.own = Some(own.clone());
        own
    }
}

/// Swaps what is in the slot with what this thread runs on behalf of. Call it before and after a poll.
#[inline]
pub(crate) fn swap(slot: &mut Option<Ambient>) {
    CURRENT.with(|current| {
        std::mem::swap(&mut *current.borrow_mut(), slot);
        INSIDE.set(current.borrow().is_some());
    });
}

/// The next message of the activation that is being polled: no swap is needed between two messages.
#[inline]
pub(crate) fn rearm(header: Header, origin: Option<&Arc<Origin>>) {
    CURRENT.with(|current| {
        if let Some(ambient) = &mut *current.borrow_mut() {
            ambient.rearm(header, origin);
        }
    });
}

/// What a message sent by a handler carries: its trace, deadline and criticality, and the chain. Its hops have not
/// been checked.
pub(crate) struct Outgoing {
    header: Header,
    origin: Arc<Origin>,
}

impl Outgoing {
    /// # Errors
    /// [`Refusal::HopLimit`] when the chain is too long.
    pub(crate) fn checked(self) -> Result<(Header, Option<Arc<Origin>>), Refusal> {
        if self.origin.hops > Origin::HOPS_MAX {
            return Err(Refusal::HopLimit {
                max: Origin::HOPS_MAX,
                path: super::way::to_here(&self.origin, node().as_deref()),
            });
        }
        Ok((self.header, Some(self.origin)))
    }
}

/// What a message sent now carries; none outside of handlers.
#[inline(always)]
pub(crate) fn outgoing() -> Option<Outgoing> {
    if INSIDE.get() { inside() } else { None }
}

fn inside() -> Option<Outgoing> {
    CURRENT.with(|current| current.borrow_mut().as_mut().map(Ambient::outgoing))
}

/// The span of the handler run that is being polled: what it sends names it as its parent.
pub(crate) fn span() -> SpanId {
    CURRENT
        .with(|current| current.borrow_mut().as_mut().map(|ambient| ambient.own().span))
        .unwrap_or_default()
}

/// The node whose cell is being polled on this thread.
pub(crate) fn node() -> Option<Arc<crate::node::NodeInner>> {
    CURRENT.with(|current| current.borrow().as_ref().and_then(|a| a.port.kind().node.upgrade()))
}

/// The executor of the cell that is being polled on this thread.
pub(crate) fn executor() -> Option<usize> {
    CURRENT.with(|current| current.borrow().as_ref().map(|a| a.port.executor()))
}

/// Reads what is polled on this thread; none outside of cells. Safe wherever a log line may be written.
pub(crate) fn read<T>(look: impl FnOnce(&dyn Port, Option<&'static str>, Option<&Origin>) -> T) -> Option<T> {
    CURRENT.with(|current| {
        let current = current.try_borrow().ok()?;
        let ambient = current.as_ref()?;
        // a task runs beside the handlers: what they do is not what it does
        let method = if ambient.header.holds() { ambient.port.doing() } else { None };
        Some(look(&*ambient.port, method, ambient.origin.as_deref()))
    })
}

/// A task of an activation, which runs on behalf of its own context, and as long as its activation may.
pub(crate) struct Scoped<F> {
    ambient: Option<Ambient>,
    inner: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Scoped<F> {
    /// The context is in place whenever the future is polled.
    pub(crate) fn new(ambient: Ambient, inner: F) -> Self {
        Self { ambient: Some(ambient), inner: Box::pin(inner) }
    }
}

/// Puts the context back even when the poll panics.
struct Guard<'a>(&'a mut Option<Ambient>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        swap(self.0);
    }
}

impl<F: Future<Output = ()>> Future for Scoped<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(ambient) = this.ambient.as_ref().filter(|ambient| !ambient.port.kind().may_act()) {
            // the whole activation ends, whatever becomes of the lease meanwhile
            ambient.port.fence();
            return Poll::Ready(());
        }
        swap(&mut this.ambient);
        let _guard = Guard(&mut this.ambient);
        this.inner.as_mut().poll(cx)
    }
}
