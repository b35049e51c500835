//! The answering end of a call from another node.

use super::lane::{alone, large_body, wire_encoding};
use super::large::Behind;
use super::peer::Peer;
use super::target::class_of;
use crate::reach::reached;
use crate::service::contract::Encoding;
use crate::service::reply::{RawFailure, RawOutcome};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use odeon_core::wire::envelope::{CallId, Content, Failure, Head};
use odeon_core::wire::frame::FrameError;
use odeon_core::wire::limits;
use odeon_core::{Refusal, UnknownCause};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Set once the caller has left.
#[derive(Default)]
pub(crate) struct Left {
    is: AtomicBool,
    waker: AtomicWaker,
}

impl Left {
    pub(super) fn mark(&self) {
        self.is.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it has.
    pub(super) fn is(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The answering end of a call from another node.
pub(crate) struct Answering {
    peer: Arc<Peer>,
    lane: usize,
    call: CallId,
    encoding: Encoding,
    left: Arc<Left>,
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answering({} from {})", self.call.0, self.peer.node)
    }
}

impl Answering {
    pub(super) fn new(
        peer: Arc<Peer>,
        lane: usize,
        call: CallId,
        encoding: Encoding,
        left: Arc<Left>,
    ) -> Box<Self> {
        Box::new(Self { peer, lane, call, encoding, left })
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) fn left(&self) -> &Arc<Left> {
        &self.left
    }

    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.left.poll(cx)
    }

    /// Answers. `encoding` is that of the body.
    pub(crate) fn send(self, outcome: &RawOutcome, encoding: Encoding) {
        self.peer.inbound.answered(self.call);
        let call = self.call;
        let refusal;
        let (content, body): (_, &[u8]) = match outcome {
            RawOutcome::Answered(body) => (Content::Answer { call, large: None }, body),
            RawOutcome::Failed(failure) => {
                let said = Failure::new(failure.status, failure.retry, &failure.text);
                (Content::Failed { call, failure: said, large: None }, &failure.body)
            }
            RawOutcome::NotExecuted(why) => {
                refusal = encoded(why);
                (Content::NotExecuted { call }, &refusal)
            }
            RawOutcome::Unknown(cause) => (Content::Unknown { call, cause: *cause }, &[]),
            RawOutcome::Accepted => (Content::Answer { call, large: None }, &[]),
        };
        let head = Head { criticality: class_of(self.lane), encoding: wire_encoding(encoding), content };
        let lane = self.peer.lanes.get(self.lane);
        let sent = if body.len() > limits::INLINE_MAX {
            self.send_apart(head, outcome)
        } else if matches!(content_of(outcome), Some(body) if !body.is_empty()) && lane.is_overfull() {
            self.lost();
            Ok(())
        } else {
            lane.reply(&head, body)
        };
        if let Err(error) = sent {
            tracing::error!(%error, "an answer could not be sent to another node");
            self.unknown(UnknownCause::AnswerUndecodable);
        }
    }

    /// The body goes ahead of the answer.
    fn send_apart(&self, head: Head<'_>, outcome: &RawOutcome) -> Result<(), FrameError> {
        let Some(body) = content_of(outcome) else { return Ok(()) };
        let outgoing = &self.peer.large;
        if outgoing.is_overfull() {
            self.lost();
            return Ok(());
        }
        let apart = large_body(outgoing, body.len())?;
        let large = Some(apart);
        let content = match head.content {
            Content::Failed { call, failure, .. } => Content::Failed { call, failure, large },
            _ => Content::Answer { call: self.call, large },
        };
        let frame = alone(&Head { content, ..head })?;
        let behind = Behind::Answer { lane: self.lane, frame };
        outgoing.add(apart.id, body.clone(), head.criticality, behind);
        Ok(())
    }

    /// The peer does not read what waits for it already.
    fn lost(&self) {
        reached!(ANSWER_LOST);
        tracing::debug!(peer = %self.peer.node, "an answer is lost: too much waits for this peer");
        self.unknown(UnknownCause::Unanswered);
    }

    fn unknown(&self, cause: UnknownCause) {
        let content = Content::Unknown { call: self.call, cause };
        let head = Head { criticality: class_of(self.lane), encoding: Default::default(), content };
        let _ = self.peer.lanes.get(self.lane).reply(&head, &[]);
    }
}

/// What a handler has said.
fn content_of(outcome: &RawOutcome) -> Option<&Bytes> {
    match outcome {
        RawOutcome::Answered(body) | RawOutcome::Failed(RawFailure { body, .. }) => Some(body),
        RawOutcome::NotExecuted(_) | RawOutcome::Unknown(_) | RawOutcome::Accepted => None,
    }
}

fn encoded(why: &Refusal) -> Vec<u8> {
    rmp_serde::to_vec_named(why).unwrap_or_default()
}
