//! Writes typed messages as bytes, and settles their calls with answers that come back as bytes: how they go to other
//! nodes.

use super::compact;
use super::contract::Encoding;
use super::error::ContractError;
use super::guard::guarded;
use super::reply::{RawOutcome, Reply};
use odeon_core::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::task::{Context, Poll};

/// A message that has been written.
#[derive(Debug)]
pub struct Encoded {
    /// How the arguments were written: as was wanted, or [`Encoding::Named`] where these could not be compact.
    pub encoding: Encoding,
    /// Who waits for the answer; none for a cast.
    pub awaiting: Option<Box<dyn Awaiting>>,
}

/// The answering end of a call that is under way elsewhere. Dropping it is an answer too: the outcome is unknown.
pub trait Awaiting: Send {
    /// Ends the call as it ended there; `encoding` is that of the bodies in the outcome. A body that does not decode
    /// makes the outcome unknown: it ran. Bodies are not trusted.
    fn settle(self: Box<Self>, outcome: RawOutcome, encoding: Encoding);

    /// Ready once the caller has left and wants no answer.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl fmt::Debug for dyn Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Awaiting")
    }
}

impl<T, E> Awaiting for Reply<T, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: ContractError,
{
    fn settle(self: Box<Self>, outcome: RawOutcome, encoding: Encoding) {
        Reply::settle(*self, outcome, encoding);
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Reply::poll_left(self, cx)
    }
}

/// Writes the arguments of a call behind what is in the buffer.
///
/// # Errors
/// [`Refusal::Unencodable`], which the caller has been told too. The buffer is as it was.
pub fn call<T, E>(
    arguments: &impl Serialize,
    encoding: Encoding,
    into: &mut Vec<u8>,
    reply: Reply<T, E>,
) -> Result<Encoded, Refusal>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: ContractError,
{
    match write(arguments, encoding, into) {
        Ok(encoding) => Ok(Encoded { encoding, awaiting: Some(Box::new(reply)) }),
        Err(refusal) => {
            reply.refuse(refusal.clone());
            Err(refusal)
        }
    }
}

/// Writes the arguments of a cast behind what is in the buffer.
///
/// # Errors
/// [`Refusal::Unencodable`]. The buffer is as it was.
pub fn cast(arguments: &impl Serialize, encoding: Encoding, into: &mut Vec<u8>) -> Result<Encoded, Refusal> {
    Ok(Encoded { encoding: write(arguments, encoding, into)?, awaiting: None })
}

/// A cast without arguments, which are no bytes.
///
/// # Errors
/// None: as the others.
pub fn bare_cast(encoding: Encoding) -> Result<Encoded, Refusal> {
    Ok(Encoded { encoding, awaiting: None })
}

/// A call without arguments, which are no bytes.
///
/// # Errors
/// None: as the others.
pub fn bare_call<T, E>(encoding: Encoding, reply: Reply<T, E>) -> Result<Encoded, Refusal>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: ContractError,
{
    Ok(Encoded { encoding, awaiting: Some(Box::new(reply)) })
}

fn write(arguments: &impl Serialize, encoding: Encoding, into: &mut Vec<u8>) -> Result<Encoding, Refusal> {
    let before = into.len();
    let written = guarded(|| {
        if encoding == Encoding::Json {
            serde_json::to_writer(&mut *into, arguments).map_err(|e| e.to_string())?;
            return Ok(Encoding::Json);
        }
        if encoding == Encoding::Compact {
            if compact::write(arguments, into).is_ok() {
                return Ok(Encoding::Compact);
            }
            into.truncate(before);
        }
        named(arguments, into).map_err(|e| e.to_string())?;
        Ok(Encoding::Named)
    });
    written.map_err(|problem| {
        into.truncate(before);
        Refusal::Unencodable { problem }
    })
}

/// Writes MessagePack with named fields behind what is in the buffer.
pub(super) fn named(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
    value.serialize(&mut rmp_serde::Serializer::new(into).with_struct_map())
}

#[cfg(test)]
mod tests {
    use super::super::reply::{Answer, Lost, RawFailure, RawReply};
    use super::*;
    use bytes::Bytes;
    use odeon_core::{Retry, UnknownCause};
    use schemars::JsonSchema;
    use serde::Deserialize;
    use tokio::sync::oneshot;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Sum {
        total: u32,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
    #[error("{missing} are missing")]
    struct Poor {
        missing: u32,
    }

    impl ContractError for Poor {
        fn status(&self) -> u16 {
            402
        }
    }

    type Waiting = (Box<dyn Awaiting>, oneshot::Receiver<Answer<Sum, Poor>>);

    fn under_way() -> Waiting {
        let (reply, answer) = Reply::<Sum, Poor>::channel();
        let mut buffer = Vec::new();
        let encoded = call(&(1, "x"), Encoding::Compact, &mut buffer, reply).expect("it can be written");
        assert_eq!((encoded.encoding, &buffer[..]), (Encoding::Compact, &b"\x92\x01\xa1x"[..]));
        (encoded.awaiting.expect("a call awaits its answer"), answer)
    }

    fn settled(outcome: RawOutcome, encoding: Encoding) -> Answer<Sum, Poor> {
        let (awaiting, mut answer) = under_way();
        awaiting.settle(outcome, encoding);
        answer.try_recv().expect("it has ended")
    }

    fn answered(body: &[u8]) -> RawOutcome {
        RawOutcome::Answered(Bytes::copy_from_slice(body))
    }

    fn failed(body: &[u8]) -> RawOutcome {
        let body = Bytes::copy_from_slice(body);
        RawOutcome::Failed(RawFailure {
            body,
            text: "2 are missing".into(),
            status: 402,
            retry: Retry::Never,
        })
    }

    const NAMED: &[u8] = b"\x81\xa5total\x07";

    #[test]
    fn an_answer_in_each_encoding_reaches_a_typed_caller() {
        let seven = Ok(Ok(Sum { total: 7 }));
        assert_eq!(settled(answered(br#"{"total":7}"#), Encoding::Json), seven);
        assert_eq!(settled(answered(NAMED), Encoding::Named), seven);
        assert_eq!(settled(answered(b"\x91\x07"), Encoding::Compact), seven);
        assert_eq!(settled(answered(NAMED), Encoding::Compact), seven, "what could not be compact is named");
        let poor = Ok(Err(Poor { missing: 2 }));
        assert_eq!(settled(failed(b"\x81\xa7missing\x02"), Encoding::Compact), poor);
        let full = RawOutcome::NotExecuted(Refusal::MailboxFull);
        assert_eq!(settled(full, Encoding::Compact), Err(Lost::Refused(Refusal::MailboxFull)));
        let panicked = RawOutcome::Unknown(UnknownCause::Panicked);
        assert_eq!(settled(panicked, Encoding::Compact), Err(Lost::Unknown(UnknownCause::Panicked)));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_an_unknown_outcome() {
        let deep = [&[0x91; 1_000_000][..], b"\x07"].concat();
        for body in [&b""[..], b"\x91\xa1x", b"\x91", b"\x91\x07\x07", b"\x80", &deep] {
            for outcome in [answered(body), failed(body)] {
                let lost = Err(Lost::Unknown(UnknownCause::AnswerUndecodable));
                assert_eq!(settled(outcome, Encoding::Compact), lost);
            }
        }
        let lost = Err(Lost::Unknown(UnknownCause::AnswerUndecodable));
        assert_eq!(settled(RawOutcome::Accepted, Encoding::Named), lost, "that answers a cast");
    }

    #[test]
    fn whoever_drops_it_answers_too_and_a_caller_may_leave() {
        let (awaiting, mut answer) = under_way();
        drop(awaiting);
        assert_eq!(answer.try_recv(), Ok(Err(Lost::Unknown(UnknownCause::Unanswered))));
        let (mut awaiting, answer) = under_way();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(awaiting.poll_left(&mut cx).is_pending());
        drop(answer);
        assert!(awaiting.poll_left(&mut cx).is_ready());
        awaiting.settle(answered(NAMED), Encoding::Named);
    }

    #[test]
    fn a_caller_of_bytes_gets_them_as_they_are_or_in_its_own_encoding() {
        let passed = |wanted, outcome, encoding| {
            let (reply, mut answer) = RawReply::channel(wanted);
            let waiting: Box<dyn Awaiting> = Box::new(Reply::<Sum, Poor>::raw(reply));
            waiting.settle(outcome, encoding);
            answer.try_recv().expect("it has ended")
        };
        let json = answered(br#"{"total":7}"#);
        assert_eq!(passed(Encoding::Json, answered(b"\x91\x07"), Encoding::Compact), json);
        assert_eq!(passed(Encoding::Json, answered(NAMED), Encoding::Named), json);
        assert_eq!(passed(Encoding::Named, answered(b"\x91\x07"), Encoding::Compact), answered(NAMED));
        // not read: nobody here has to understand it
        for (wanted, encoding) in [
            (Encoding::Compact, Encoding::Compact),
            (Encoding::Compact, Encoding::Named),
            (Encoding::Json, Encoding::Json),
        ] {
            assert_eq!(passed(wanted, answered(b"?"), encoding), answered(b"?"));
        }
        let unread = RawOutcome::Unknown(UnknownCause::AnswerUndecodable);
        assert_eq!(passed(Encoding::Json, answered(b"?"), Encoding::Compact), unread);
        let poor = passed(Encoding::Json, failed(b"\x81\xa7missing\x02"), Encoding::Named);
        let RawOutcome::Failed(failure) = &poor else { panic!("{poor:?}") };
        assert_eq!((&failure.body[..], failure.status), (&br#"{"missing":2}"#[..], 402));
        let shed = RawOutcome::NotExecuted(Refusal::Shed);
        assert_eq!(passed(Encoding::Json, shed.clone(), Encoding::Compact), shed);
    }

    #[test]
    fn what_lies_in_mailboxes_has_not_grown() {
        assert_eq!(size_of::<RawReply>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<Reply<Sum, Poor>>(), 2 * size_of::<usize>());
    }
}
