//! How far a connection has come. Its limits are kept by one slow look at this, not by a timer or a clock reading
//! for each request.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The first byte of the next request.
    Idle = 0,
    /// The rest of a request's head.
    Head = 1,
    /// The rest of a request's body.
    Body = 2,
    /// The answer. Its time is bounded by the request's own deadline.
    Handling = 3,
    /// The client, to take so much of the answer that hyper asks for the rest.
    Answering = 4,
    /// The client, to take what hyper still has.
    Flushing = 5,
}

/// How far a connection has come.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    phase: AtomicU8,
    /// Grows with each change of phase and each piece of an answer that the client took; wraps.
    moves: AtomicU32,
    /// The body took too long: whoever reads it shall give up.
    late: AtomicBool,
    /// The listener ends: whoever waits for anything but the client shall answer now.
    given_up: AtomicBool,
    /// The body of the request under way has not been read to the end.
    unread: AtomicBool,
}

impl Watch {
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.touch();
    }

    fn touch(&self) {
        // only the connection's own task writes
        self.moves.store(self.moves.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Body,
            3 => Phase::Handling,
            4 => Phase::Answering,
            _ => Phase::Flushing,
        }
    }

    /// Something that changes whenever the connection makes progress.
    pub(crate) fn mark(&self) -> (Phase, u32) {
        (self.phase(), self.moves.load(Relaxed))
    }

    pub(crate) fn set_late(&self) {
        self.late.store(true, Relaxed);
    }

    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Relaxed)
    }

    pub(crate) fn set_given_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// What the future comes to; none when the listener ends first. The flag costs a request nothing to wait for: the
    /// connection, whose task sets it, is polled next.
    pub(crate) async fn unless_given_up<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.is_given_up() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    pub(crate) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Relaxed);
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }
}

/// A stream that reports its progress.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    pub(crate) stream: S,
    pub(crate) watch: Arc<Watch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && self.watch.phase() == Phase::Idle {
            self.watch.enter(Phase::Head);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn took(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.watch.touch();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.took(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.took(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() && self.watch.phase() == Phase::Flushing {
            self.watch.enter(Phase::Idle);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_remembered_as_itself_and_moves_the_mark() {
        let watch = Watch::default();
        assert_eq!(watch.phase(), Phase::Idle);
        for phase in
            [Phase::Head, Phase::Body, Phase::Handling, Phase::Answering, Phase::Flushing, Phase::Idle]
        {
            let before = watch.mark();
            watch.enter(phase);
            assert_eq!(watch.phase(), phase);
            assert_ne!(watch.mark(), before);
        }
    }
}
