//! The answering end of a call. Dropping it unanswered is an answer too: the caller learns `Unknown`.

use super::compact;
use super::context::Cx;
use super::contract::Encoding;
use super::decode;
use super::error::{ContractError, Never};
use super::guard::guarded;
use crate::remote::{Answering, Left};
use bytes::Bytes;
use odeon_core::{Refusal, Retry, UnknownCause};
use pin_project_lite::pin_project;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It did not run.
    Refused(Refusal),
    /// It may have run.
    Unknown(UnknownCause),
}

/// What a typed caller receives.
pub(crate) type Answer<T, E> = Result<Result<T, E>, Lost>;

/// How a call in encoded form ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawOutcome {
    /// The handler's answer.
    Answered(Bytes),
    /// The message of a cast was accepted; there will be no answer.
    Accepted,
    /// The handler's own error.
    Failed(RawFailure),
    /// It did not run and never will.
    NotExecuted(Refusal),
    /// It may have run.
    Unknown(UnknownCause),
}

/// A handler's own error in encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFailure {
    /// The encoded error.
    pub body: Bytes,
    /// Its text.
    pub text: String,
    /// What [`ContractError::status`] said.
    pub status: u16,
    /// What [`ContractError::retry`] said.
    pub retry: Retry,
}

/// The answering end for a caller that wants bytes: HTTP, another node.
#[derive(Debug)]
pub struct RawReply(As);

/// The encoding and the sender in two whole words: what lies in mailboxes is moved faster without gaps.
#[derive(Debug)]
enum As {
    Json(oneshot::Sender<RawOutcome>),
    Named(oneshot::Sender<RawOutcome>),
    Compact(oneshot::Sender<RawOutcome>),
    /// On another node.
    Elsewhere(Box<Answering>),
    /// A cast: nobody wants it.
    Nobody,
}

impl RawReply {
    /// Both ends. The receiver fails when the reply is dropped unanswered.
    pub fn channel(encoding: Encoding) -> (RawReply, oneshot::Receiver<RawOutcome>) {
        let (sender, receiver) = oneshot::channel();
        let to = match encoding {
            Encoding::Json => As::Json(sender),
            Encoding::Named => As::Named(sender),
            Encoding::Compact => As::Compact(sender),
        };
        (RawReply(to), receiver)
    }

    /// For a caller on another node.
    pub(crate) fn elsewhere(answering: Box<Answering>) -> RawReply {
        RawReply(As::Elsewhere(answering))
    }

    /// For a cast.
    pub(crate) fn nobody() -> RawReply {
        RawReply(As::Nobody)
    }

    fn encoding(&self) -> Encoding {
        match &self.0 {
            As::Json(_) => Encoding::Json,
            As::Named(_) | As::Nobody => Encoding::Named,
            As::Compact(_) => Encoding::Compact,
            As::Elsewhere(answering) => answering.encoding(),
        }
    }

    /// Answers. Bodies are in the encoding of the arguments.
    pub fn send(self, outcome: RawOutcome) {
        let encoding = self.encoding();
        self.send_in(outcome, encoding);
    }

    /// The same with bodies in an encoding that somebody else has chosen. A caller on this node cannot read those in
    /// another one than its own.
    pub(crate) fn send_in(self, outcome: RawOutcome, encoding: Encoding) {
        let takes = self.takes(encoding);
        match self.0 {
            // a caller that has left does not want it
            As::Json(sender) | As::Named(sender) | As::Compact(sender) => {
                let has_body = matches!(outcome, RawOutcome::Answered(_) | RawOutcome::Failed(_));
                let unread = RawOutcome::Unknown(UnknownCause::AnswerUndecodable);
                drop(sender.send(if has_body && !takes { unread } else { outcome }));
            }
            As::Elsewhere(answering) => answering.send(&outcome, encoding),
            As::Nobody => {}
        }
    }

    /// Nobody will execute it.
    pub fn refuse(self, why: Refusal) {
        self.send(RawOutcome::NotExecuted(why));
    }

    /// Ready once the caller has left.
    pub(crate) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            As::Json(sender) | As::Named(sender) | As::Compact(sender) => sender.poll_closed(cx),
            As::Elsewhere(answering) => answering.poll_left(cx),
            As::Nobody => Poll::Pending,
        }
    }

    /// By what a caller on another node tells that it has left.
    pub(crate) fn left(&self) -> Option<&Arc<Left>> {
        match &self.0 {
            As::Elsewhere(answering) => Some(answering.left()),
            As::Json(_) | As::Named(_) | As::Compact(_) | As::Nobody => None,
        }
    }

    /// Whether bodies in an encoding are what the caller wants as they are: who wants compact ones reads named ones
    /// too.
    fn takes(&self, encoding: Encoding) -> bool {
        self.encoding() == encoding || (self.encoding(), encoding) == (Encoding::Compact, Encoding::Named)
    }

    fn answer<T: Serialize, E: ContractError>(self, result: Result<T, E>) {
        let encoding = self.encoding();
        let outcome = guarded(|| match &result {
            Ok(value) => encode(encoding, value).map(RawOutcome::Answered),
            Err(error) => encode(for_errors(encoding), error).map(|body| {
                let (status, retry) = (error.status(), error.retry());
                RawOutcome::Failed(RawFailure { body, text: error.to_string(), status, retry })
            }),
        });
        match outcome {
            Ok(outcome) => self.send(outcome),
            Err(problem) => {
                // it ran, but the caller cannot have the answer
                tracing::error!(%problem, "an answer could not be encoded");
                self.send(RawOutcome::Unknown(UnknownCause::AnswerUndecodable));
            }
        }
    }
}

/// Errors are rare, and their types are not tried out for being compact: their readers take both.
fn for_errors(encoding: Encoding) -> Encoding {
    if encoding == Encoding::Compact { Encoding::Named } else { encoding }
}

fn encode(encoding: Encoding, value: &impl Serialize) -> Result<Bytes, String> {
    match encoding {
        Encoding::Json => serde_json::to_vec(value).map_err(|e| e.to_string()),
        Encoding::Named => rmp_serde::to_vec_named(value).map_err(|e| e.to_string()),
        Encoding::Compact => {
            let mut body = Vec::with_capacity(128);
            match compact::write(value, &mut body) {
                Ok(()) => Ok(body),
                Err(_) => rmp_serde::to_vec_named(value).map_err(|e| e.to_string()),
            }
        }
    }
    .map(Bytes::from)
}

enum To<T, E> {
    Typed(oneshot::Sender<Answer<T, E>>),
    Raw(RawReply),
    /// Nobody wants the answer, or it has been given.
    Nobody,
}

/// The answering end of a typed call.
pub struct Reply<T, E = Never> {
    to: To<T, E>,
}

impl<T, E> fmt::Debug for Reply<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl<T: Serialize, E: ContractError> Reply<T, E> {
    /// Both ends.
    pub(crate) fn channel() -> (Reply<T, E>, oneshot::Receiver<Answer<T, E>>) {
        let (sender, receiver) = oneshot::channel();
        (Reply { to: To::Typed(sender) }, receiver)
    }

    /// For a caller that wants bytes.
    pub fn raw(reply: RawReply) -> Reply<T, E> {
        Reply { to: To::Raw(reply) }
    }

    /// For nobody: the answer is dropped.
    pub fn nobody() -> Reply<T, E> {
        Reply { to: To::Nobody }
    }

    /// Answers. A caller that has left does not want it.
    pub fn send(mut self, result: Result<T, E>) {
        match std::mem::replace(&mut self.to, To::Nobody) {
            To::Typed(sender) => drop(sender.send(Ok(result))),
            To::Raw(reply) => reply.answer(result),
            To::Nobody => {}
        }
    }

    /// Nobody will execute it.
    pub fn refuse(mut self, why: Refusal) {
        match std::mem::replace(&mut self.to, To::Nobody) {
            To::Typed(sender) => drop(sender.send(Err(Lost::Refused(why)))),
            To::Raw(reply) => reply.refuse(why),
            To::Nobody => {}
        }
    }

    /// Answers with how the call ended elsewhere. Bodies in another encoding than the caller's are read and written
    /// anew; one that cannot be read is [`UnknownCause::AnswerUndecodable`].
    pub(super) fn settle(mut self, outcome: RawOutcome, encoding: Encoding)
    where
        T: DeserializeOwned,
    {
        match std::mem::replace(&mut self.to, To::Nobody) {
            To::Typed(sender) => drop(sender.send(typed(outcome, encoding))),
            To::Raw(reply) if reply.takes(encoding) => reply.send(outcome),
            To::Raw(reply) => match typed::<T, E>(outcome, encoding) {
                Ok(result) => reply.answer(result),
                Err(Lost::Refused(why)) => reply.refuse(why),
                Err(Lost::Unknown(cause)) => reply.send(RawOutcome::Unknown(cause)),
            },
            To::Nobody => {}
        }
    }

    /// Runs a handler to its end and answers. A caller that leaves does not end it: the handler learns of it by
    /// [`Cx::cancelled`].
    pub fn serve<F: Future<Output = Result<T, E>>>(self, cx: &Cx, handler: F) -> Serve<'_, T, E, F> {
        Serve { handler, reply: Some(self), cx }
    }

    /// Ready once the caller has left.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.to {
            To::Typed(sender) => sender.poll_closed(cx),
            To::Raw(reply) => reply.poll_left(cx),
            To::Nobody => Poll::Pending,
        }
    }
}

/// What a typed caller receives for what a caller of bytes would.
fn typed<T: DeserializeOwned, E: ContractError>(outcome: RawOutcome, encoding: Encoding) -> Answer<T, E> {
    let read = match outcome {
        RawOutcome::Answered(body) => decode::answer(&body, encoding).map(Ok),
        RawOutcome::Failed(failure) => decode::answer(&failure.body, encoding).map(Err),
        RawOutcome::NotExecuted(why) => return Err(Lost::Refused(why)),
        RawOutcome::Unknown(cause) => return Err(Lost::Unknown(cause)),
        // whoever waits called, and did not cast
        RawOutcome::Accepted => return Err(Lost::Unknown(UnknownCause::AnswerUndecodable)),
    };
    read.map_err(|problem| {
        tracing::error!(%problem, "an answer could not be decoded");
        Lost::Unknown(UnknownCause::AnswerUndecodable)
    })
}

pin_project! {
    /// A handler at work for somebody who waits: what [`Reply::serve`] returns. Written out, because an `async fn`
    /// would hold the handler twice: as it came, and pinned.
    #[must_use = "futures do nothing unless polled"]
    pub struct Serve<'a, T, E, F> {
        #[pin]
        handler: F,
        // none once it has been answered
        reply: Option<Reply<T, E>>,
        cx: &'a Cx,
    }
}

impl<T, E, F> fmt::Debug for Serve<'_, T, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serve")
    }
}

impl<T: Serialize, E: ContractError, F: Future<Output = Result<T, E>>> Future for Serve<'_, T, E, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let panicked = Panicked(this.reply);
        let mut polled = this.handler.as_mut().poll(context);
        std::mem::forget(panicked);
        if polled.is_pending()
            && this.cx.wants_leave()
            && this.reply.as_mut().is_some_and(|reply| reply.poll_left(context).is_ready())
        {
            this.cx.mark_left();
            polled = this.handler.poll(context);
        }
        polled.map(|result| {
            if let Some(reply) = this.reply.take() {
                reply.send(result);
            }
        })
    }
}

/// Drops the reply of a handler that panics while the panic is on its way: what is dropped after that was beside it.
struct Panicked<'a, T, E>(&'a mut Option<Reply<T, E>>);

impl<T, E> Drop for Panicked<'_, T, E> {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl<T, E> Drop for Reply<T, E> {
    /// Dropped unanswered: the caller learns what is known of the reason.
    fn drop(&mut self) {
        let cause = crate::cell::ending::cause();
        match std::mem::replace(&mut self.to, To::Nobody) {
            To::Typed(sender) => drop(sender.send(Err(Lost::Unknown(cause)))),
            To::Raw(reply) => reply.send(RawOutcome::Unknown(cause)),
            To::Nobody => {}
        }
    }
}
