//! Reads a body whole, within a bound of bytes and of time.

use super::watch::{Phase, Watch};
use bytes::{Bytes, BytesMut};
use hyper::body::Body;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Why there is no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// More bytes than allowed, declared or sent.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// The most bytes allowed.
        max: usize,
    },
    /// It did not come in time.
    #[error("the body was not complete in time")]
    TooSlow,
    /// The listener ends.
    #[error("the node stopped before the body was complete: send the request to another one")]
    Stopping,
    /// The client broke off, or sent something that is no body.
    #[error("the body could not be read: {0}")]
    Broken(String),
}

/// Reads a body of at most `max` bytes. A body that came in one piece is not copied. It gives up when the watch
/// says that it is late.
pub(crate) async fn read_body<B>(body: B, max: usize, watch: &Watch) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Error,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    watch.enter(Phase::Body);
    let declared = body.size_hint().lower();
    let read = if declared > max as u64 {
        Err(BodyError::TooLarge { max })
    } else {
        collect(pin!(body), max, watch).await
    };
    if read.is_ok() {
        watch.set_unread(false);
        watch.enter(Phase::Handling);
    }
    read
}

async fn collect<B>(mut body: Pin<&mut B>, max: usize, watch: &Watch) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Error,
{
    let Some(first) = poll_fn(|cx| poll_piece(body.as_mut(), watch, cx)).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > max {
        return Err(BodyError::TooLarge { max });
    }
    // most bodies come in one piece and say so: asking for the next would only wait for the end to be noticed
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = poll_fn(|cx| poll_piece(body.as_mut(), watch, cx)).await? else {
        return Ok(first);
    };
    // what a client declares is believed up to the bound
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(max);
    let mut whole = BytesMut::with_capacity((first.len() + second.len()).saturating_add(declared).min(max));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if whole.len() + piece.len() > max {
            return Err(BodyError::TooLarge { max });
        }
        whole.extend_from_slice(&piece);
        next = poll_fn(|cx| poll_piece(body.as_mut(), watch, cx)).await?;
    }
    Ok(whole.freeze())
}

/// The next piece of data; trailers are dropped.
fn poll_piece<B>(
    mut body: Pin<&mut B>,
    watch: &Watch,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, BodyError>>
where
    B: Body<Data = Bytes>,
    B::Error: Error,
{
    loop {
        return Poll::Ready(match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => Ok(Some(piece)),
                Err(_) => continue,
            },
            Poll::Ready(Some(Err(error))) => Err(BodyError::Broken(root(&error))),
            Poll::Ready(None) => Ok(None),
            Poll::Pending if watch.is_late() => Err(BodyError::TooSlow),
            Poll::Pending if watch.is_given_up() => Err(BodyError::Stopping),
            Poll::Pending => return Poll::Pending,
        });
    }
}

/// What is behind an error: hyper says what was wrong there, and only where in the error itself.
fn root(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use std::convert::Infallible;

    fn read<B>(body: B, max: usize) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes>,
        B::Error: Error,
    {
        read_body(body, max, &Watch::default()).now_or_never().expect("nothing to wait for")
    }

    fn pieces(texts: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> {
        let frames: Vec<_> =
            texts.iter().map(|t| Ok(Frame::data(Bytes::from_static(t.as_bytes())))).collect();
        StreamBody::new(stream::iter(frames))
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let sent = Bytes::from_static(b"one piece");
        let got = read(Full::new(sent.clone()), 9).expect("it fits");
        assert_eq!(got.as_ptr(), sent.as_ptr());
    }

    #[test]
    fn pieces_are_joined_in_order() {
        assert_eq!(read(pieces(&["a", "bc", "def"]), 6), Ok(Bytes::from_static(b"abcdef")));
    }

    #[test]
    fn one_byte_too_many_is_refused_declared_or_not() {
        let declared = read(Full::new(Bytes::from_static(b"1234567")), 6);
        assert_eq!(declared, Err(BodyError::TooLarge { max: 6 }));
        assert_eq!(read(pieces(&["a", "bc", "defg"]), 6), Err(BodyError::TooLarge { max: 6 }));
    }

    #[test]
    fn a_late_body_is_given_up() {
        let watch = Watch::default();
        watch.set_late();
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let read = read_body(body, 6, &watch).now_or_never().expect("given up at once");
        assert_eq!(read, Err(BodyError::TooSlow));
    }
}
