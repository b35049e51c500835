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

pin_project! {
    /// One handler that runs beside others, on behalf of its own message.
    pub(super) struct Beside<'a, F> {
        #[pin]
        handler: F,
        ambient: Option<Ambient>,
        books: &'a Books,
        // its deadline and grace
        limit: Tick,
        method: u32,
    }
}

impl<'a, F> Beside<'a, F> {
    pub(super) fn new(handler: F, ambient: Ambient, books: &'a Books, limit: Tick, method: u32) -> Self {
        Self { handler, ambient: Some(ambient), books, limit, method }
    }
}

impl<F: Future> Future for Beside<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.books.doing.store(*this.method, Ordering::Relaxed);
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
        let none = || Box::new(Running { handlers: FuturesUnordered::new(), limit: Tick::NEVER });
        let running = self.running.get_or_insert_with(none);
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
                    return Err(beside.method);
                }
                running.limit = running.limit.earlier(beside.limit);
            }
        }
        Ok(running.limit)
    }
}
