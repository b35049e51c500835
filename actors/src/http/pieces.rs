//! The body of a response on its way to a client.

use super::watch::{Phase, Watch};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Most bytes that hyper is handed at once. It copies them behind the head and keeps room for as many as long as the
/// connection lasts: a large answer handed over whole would stay in memory after its client took it.
const PIECE_MAX: usize = 64 << 10;

/// A whole body that is handed over in pieces, each when the client has taken the one before.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: Bytes,
    watch: Arc<Watch>,
}

impl Pieces {
    pub(super) fn of(body: Bytes, watch: &Arc<Watch>) -> Self {
        Self { rest: body, watch: watch.clone() }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.rest.len().min(PIECE_MAX);
        let piece = self.rest.split_to(len);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Drop for Pieces {
    /// hyper has all of it, or, of an answer to HEAD, wants none.
    fn drop(&mut self) {
        self.watch.enter(Phase::Flushing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    #[test]
    fn a_large_body_goes_in_pieces_that_share_its_memory() {
        let body = Bytes::from(vec![7; 3 * PIECE_MAX + 1]);
        let watch = Arc::new(Watch::default());
        watch.enter(Phase::Answering);
        let mut pieces = Pieces::of(body.clone(), &watch);
        let mut at = 0;
        while !pieces.is_end_stream() {
            assert_eq!(watch.phase(), Phase::Answering);
            assert_eq!(pieces.size_hint().exact(), Some((body.len() - at) as u64));
            let frame = pieces.frame().now_or_never().flatten().expect("it is there");
            let piece = frame.expect("nothing fails").into_data().expect("no trailers");
            assert!(piece.len() <= PIECE_MAX);
            assert_eq!(piece.as_ptr(), body[at..].as_ptr());
            at += piece.len();
        }
        assert_eq!(at, body.len());
        drop(pieces);
        assert_eq!(watch.phase(), Phase::Flushing);
    }
}
