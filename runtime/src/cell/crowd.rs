//! Handlers that run beside another one of the same activation. None of this exists until a second handler begins
//! while the first one waits.

use super::Tick;
use super::ambient::{self, Ambient};
use super::ending;
use super::shared::Books;
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

pin_project! {
    /// One handler that runs beside others, on behalf of its own message.
    pub(super) struct Beside<'a, F> {
        #[pin]
        handler: F,
        ambient: Option<Ambient>,
        books: &'a Books,
        // its deadline and grace
        limit: Tick,
        waits: Waits,
    }
}

/// A handler that waits, as whoever looks from outside is shown it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// When it began; never: there is none.
    pub(super) since: Tick,
    /// Its deadline.
    pub(super) due: Tick,
    /// A position in the methods of its contract.
    pub(super) method: u32,
}

/// Nobody is told of what has waited for less.
const LONG: Duration = Duration::from_secs(1);

impl<'a, F> Beside<'a, F> {
    pub(super) fn new(handler: F, ambient: Ambient, books: &'a Books, limit: Tick, waits: Waits) -> Self {
        Self { handler, ambient: Some(ambient), books, limit, waits }
    }
}

impl<F: Future> Future for Beside<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.books.doing.store(this.waits.method, Ordering::Relaxed);
        // when the handler panics, its context stays in place: the driver takes away whatever it finds there
        ambient::swap(this.ambient);
        let polled = ending::alone_in_panic(|| this.handler.poll(cx));
        ambient::swap(this.ambient);
        polled
    }
}

/// The handlers that run beside the one in the activation's own slot.
pub(super) struct Crowd<'a, F> {
    running: Option<Box<Running<'a, F>>>,
}

struct Running<'a, F> {
    handlers: FuturesUnordered<Beside<'a, F>>,
    /// No limit of theirs is earlier.
    limit: Tick,
    /// None of them began earlier.
    eldest: Waits,
    /// When that was last looked for among them.
    looked: Tick,
}

impl<'a, F: Future<Output = ()>> Crowd<'a, F> {
    pub(super) fn new() -> Self {
        Self { running: None }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.handlers.len())
    }

    pub(super) fn push(&mut self, beside: Beside<'a, F>) {
        let (eldest, looked) = (beside.waits, beside.waits.since);
        let none =
            || Box::new(Running { handlers: FuturesUnordered::new(), limit: Tick::NEVER, eldest, looked });
        let running = self.running.get_or_insert_with(none);
        if running.handlers.is_empty() {
            (running.eldest, running.looked) = (eldest, looked);
        }
        running.limit = running.limit.earlier(beside.limit);
        running.handlers.push(beside);
    }

    /// Polls those that were woken; how many ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> u32 {
        let mut ended = 0;
        if let Some(running) = &mut self.running {
            while let Poll::Ready(Some(())) = Pin::new(&mut running.handlers).poll_next(cx) {
                ended += 1;
            }
        }
        ended
    }

    /// The one that waits for longest, as of a second ago at the most.
    pub(super) fn eldest(&mut self, now: Tick) -> Option<Waits> {
        let running = self.running.as_mut().filter(|running| !running.handlers.is_empty())?;
        // it may have ended: that matters once it is worth telling of, and to look each time would cost too much
        if running.eldest.since.plus(LONG).passed(now) && running.looked.plus(LONG).passed(now) {
            let waits = Pin::new(&mut running.handlers).iter_pin_mut().map(|beside| beside.waits);
            let first = |a: Waits, b: Waits| if b.since.before(a.since) { b } else { a };
            running.eldest = waits.reduce(first).unwrap_or(running.eldest);
            running.looked = now;
        }
        Some(running.eldest)
    }

    /// When the next of them will have run too long; or the method of one that has.
    pub(super) fn limit(&mut self, now: Tick) -> Result<Tick, u32> {
        let Some(running) = self.running.as_mut().filter(|running| !running.handlers.is_empty()) else {
            return Ok(Tick::NEVER);
        };
        if running.limit.passed(now) {
            // the bound may belong to one that has ended
            running.limit = Tick::NEVER;
            for beside in Pin::new(&mut running.handlers).iter_pin_mut() {
                if beside.limit.passed(now) {
                    return Err(beside.waits.method);
                }
                running.limit = running.limit.earlier(beside.limit);
            }
        }
        Ok(running.limit)
    }
}
