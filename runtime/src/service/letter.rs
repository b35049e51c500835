//! A message that nobody here reads: it came as bytes, and goes to where it is decoded as it came.

use super::contract::{Arguments, Encoding};
use super::encode::{Awaiting, Encoded};
use super::message::{Access, Message};
use super::reply::{RawOutcome, RawReply};
use bytes::Bytes;
use odeon_core::{Refusal, UnknownCause};
use std::task::{Context, Poll};

/// A message as bytes.
pub(crate) struct Letter {
    /// Position of the method in what its sender was told of the contract.
    pub(crate) method: usize,
    /// What somebody else has written.
    pub(crate) arguments: Arguments,
    /// Who waits for the answer; none for a cast.
    pub(crate) reply: Option<RawReply>,
}

/// A message as bytes among others that have come with it: who only looks at them is not counted as an owner.
pub(crate) struct Unread<'a> {
    /// As in [`Letter`].
    pub(crate) method: usize,
    /// What somebody else has written.
    pub(crate) body: &'a [u8],
    /// What that is a part of.
    pub(crate) part_of: &'a Bytes,
    /// How to read it.
    pub(crate) encoding: Encoding,
    /// As in [`Letter`].
    pub(crate) reply: Option<RawReply>,
}

impl Unread<'_> {
    /// To be kept.
    pub(crate) fn letter(self) -> Letter {
        let Self { method, body, part_of, encoding, reply } = self;
        Letter { method, arguments: Arguments { body: part_of.slice_ref(body), encoding }, reply }
    }
}

impl Message for Letter {
    const CONTRACT: &'static str = "a letter";

    fn method(&self) -> usize {
        self.method
    }

    fn access(&self) -> Access {
        Access::Shared
    }

    fn weight(&self) -> usize {
        self.arguments.body.len()
    }

    fn refuse(self, why: Refusal) {
        if let Some(reply) = self.reply {
            reply.refuse(why);
        }
    }

    fn encode(self, _: Encoding, into: &mut Vec<u8>) -> Result<Encoded, Refusal> {
        if self.arguments.encoding == Encoding::Compact {
            let problem = "compact arguments are not passed on to a third node: write them by name".into();
            let refusal = Refusal::Unencodable { problem };
            self.refuse(refusal.clone());
            return Err(refusal);
        }
        let Arguments { body, encoding } = self.arguments;
        into.extend_from_slice(&body);
        let awaiting = self.reply.map(|reply| Box::new(Answer(Some(reply))) as Box<dyn Awaiting>);
        Ok(Encoded { encoding, awaiting })
    }
}

/// The answering end of a call that was passed on; none once it has been answered.
struct Answer(Option<RawReply>);

impl Awaiting for Answer {
    fn settle(mut self: Box<Self>, outcome: RawOutcome, encoding: Encoding) {
        if let Some(reply) = self.0.take() {
            reply.send_in(outcome, encoding);
        }
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |reply| reply.poll_left(cx))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply.send(RawOutcome::Unknown(UnknownCause::Unanswered));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::Receiver;

    fn letter(encoding: Encoding) -> (Letter, Receiver<RawOutcome>) {
        let (reply, answer) = RawReply::channel(encoding);
        let arguments = Arguments { body: Bytes::from_static(b"{}"), encoding };
        (Letter { method: 0, arguments, reply: Some(reply) }, answer)
    }

    #[test]
    fn a_letter_goes_as_it_came_and_its_caller_gets_only_what_it_can_read() {
        let body = || RawOutcome::Answered(Bytes::from_static(b"7"));
        let unread = RawOutcome::Unknown(UnknownCause::AnswerUndecodable);
        let full = || RawOutcome::NotExecuted(Refusal::MailboxFull);
        for (outcome, encoding, expected) in [
            (body(), Encoding::Json, body()),
            (body(), Encoding::Named, unread),
            (full(), Encoding::Named, full()),
            (RawOutcome::Accepted, Encoding::Named, RawOutcome::Accepted),
        ] {
            let (letter, mut answer) = letter(Encoding::Json);
            let mut written = Vec::from(*b"before");
            let encoded = letter.encode(Encoding::Named, &mut written).expect("it is written already");
            assert_eq!((&written[..], encoded.encoding), (&b"before{}"[..], Encoding::Json));
            encoded.awaiting.expect("it is a call").settle(outcome, encoding);
            assert_eq!(answer.try_recv(), Ok(expected));
        }
    }

    #[test]
    fn compact_arguments_go_no_further_than_the_node_that_they_were_meant_for() {
        let (letter, mut answer) = letter(Encoding::Compact);
        let mut written = Vec::new();
        let refusal = letter.encode(Encoding::Compact, &mut written).expect_err("it is not passed on");
        assert!(written.is_empty() && matches!(refusal, Refusal::Unencodable { .. }), "{refusal:?}");
        assert_eq!(answer.try_recv(), Ok(RawOutcome::NotExecuted(refusal)));
    }
}
