//! A message without an answer, until it is sent.

use super::contract::Contract;
use super::message::{Envelope, Header, Message, Origin};
use super::reference::{WITHIN_DEFAULT, outgoing};
use crate::cell::{Wheel, turn};
use crate::directory::{Address, Choice, Passing, Whereabouts, passes};
use crate::remote::Target;
use futures_util::future::BoxFuture;
use odeon_core::{Criticality, Refusal};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

enum To<'a, R: Contract> {
    Borrowed(&'a Address<R::Message>),
    Owned(Address<R::Message>),
}

/// Sends it to where its receiver is. It waits for room there, whoever has sent it.
fn passed<M: Message>(passing: Passing<M>) -> Option<Waiting> {
    let room = passing.go()?;
    Some(Box::pin(async move {
        room.await;
        Ok(())
    }))
}

impl<R: Contract> To<'_, R> {
    fn address(&self) -> &Address<R::Message> {
        match self {
            Self::Borrowed(address) => address,
            Self::Owned(address) => address,
        }
    }

    #[inline]
    fn whereabouts(&self) -> &Whereabouts<R::Message> {
        match self {
            Self::Borrowed(address) => address.whereabouts(),
            Self::Owned(address) => address.whereabouts(),
        }
    }
}

/// A message without an answer that has not been sent. [`Cast::send`] it at once, or await it to wait for room
/// where the receiver's mailbox lets senders wait.
#[must_use = "a cast does nothing until it is sent or awaited"]
pub struct Cast<'a, R: Contract> {
    to: To<'a, R>,
    message: R::Message,
    within: Option<Duration>,
    criticality: Option<Criticality>,
}

impl<'a, R: Contract> Cast<'a, R> {
    /// To the address of a reference.
    pub fn new(reference: &'a R, message: R::Message) -> Self {
        Self { to: To::Borrowed(reference.address()), message, within: None, criticality: None }
    }

    /// Worthless after this time: dropped at dequeue, counted as expired. Default: the remaining time of what is
    /// being handled; from outside, none.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// The class of this message; it only counts at the root of a chain.
    pub fn criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = Some(criticality);
        self
    }

    /// Independent of the reference that it was made from.
    pub fn into_owned(self) -> Cast<'static, R> {
        let to = match self.to {
            To::Borrowed(address) => To::Owned(address.clone()),
            To::Owned(address) => To::Owned(address),
        };
        Cast { to, message: self.message, within: self.within, criticality: self.criticality }
    }

    /// Sends now, without waiting for room.
    ///
    /// # Errors
    /// Why it will not be executed. Ok means accepted, not handled.
    #[inline]
    pub fn send(self) -> Result<(), Refusal> {
        self.begin(false).map(drop)
    }

    /// Sends it; where there is no room, gives back how to wait for some, if it shall.
    #[inline(always)]
    fn begin(self, waits: bool) -> Result<Option<Waiting>, Refusal> {
        let picked;
        let whereabouts = self.to.whereabouts();
        let delivery = match whereabouts.known() {
            Some(delivery) => delivery,
            None => match whereabouts.pick(false) {
                Ok(Choice::Here(here)) => {
                    picked = here;
                    picked.delivery()
                }
                Ok(Choice::There(target)) => return self.begin_there(target, waits),
                Err(refusal) if passes(&refusal) => return self.pass(),
                Err(refusal) => return Err(refusal),
            },
        };
        let (header, origin) = told(delivery.wheel(), self.within, self.criticality)?;
        let refusal = match delivery.admit(header, origin.as_ref(), &self.message) {
            Ok(admission) => {
                admission.put(origin, self.message);
                return Ok(None);
            }
            Err(refusal) => refusal,
        };
        let envelope = Envelope { header, origin, message: self.message };
        match delivery.push_anew(refusal, envelope) {
            Ok(()) => Ok(None),
            Err((Refusal::MailboxFull, mut envelope)) if waits && delivery.waits() => {
                if envelope.header.due().is_never() {
                    let due = delivery.wheel().due(WITHIN_DEFAULT);
                    envelope.header = envelope.header.with_due(due);
                }
                Ok(Some(delivery.push_waiting(envelope)))
            }
            Err((refusal, envelope)) if passes(&refusal) => {
                Ok(passed(Passing::own(self.to.address(), envelope)))
            }
            Err((refusal, _)) => Err(refusal),
        }
    }

    /// To where the receiver is by now, or will be.
    #[cold]
    fn pass(self) -> Result<Option<Waiting>, Refusal> {
        let (mut header, origin) = outgoing(self.criticality)?;
        if let (Some(time), Some(wheel)) = (self.within, self.to.whereabouts().wheel()) {
            header = header.with_due(wheel.due(time).earlier(header.due()));
        }
        let envelope = Envelope { header: header.with_awaited(false), origin, message: self.message };
        Ok(passed(Passing::own(self.to.address(), envelope)))
    }

    /// To another node, where there is room as far as this one knows.
    fn begin_there(self, target: Arc<Target>, waits: bool) -> Result<Option<Waiting>, Refusal> {
        let (mut header, origin) = told(target.wheel(), self.within, self.criticality)?;
        match target.send(header, origin.as_deref(), self.message) {
            Ok(_) => Ok(None),
            Err((_, Some(message))) if waits => {
                if header.due().is_never() {
                    header = header.with_due(target.due(WITHIN_DEFAULT));
                }
                let sent = target.send_waiting(header, origin, message);
                Ok(Some(Box::pin(async move { sent.await.map(drop) })))
            }
            Err((refusal, _)) => Err(refusal),
        }
    }
}

/// What a cast carries.
#[inline(always)]
fn told(
    wheel: &Wheel,
    within: Option<Duration>,
    criticality: Option<Criticality>,
) -> Result<(Header, Option<Arc<Origin>>), Refusal> {
    let (mut header, origin) = outgoing(criticality)?;
    if let Some(time) = within {
        header = header.with_due(wheel.due(time).earlier(header.due()));
    }
    Ok((header.with_awaited(false), origin))
}

impl<'a, R: Contract> IntoFuture for Cast<'a, R> {
    type Output = Result<(), Refusal>;
    type IntoFuture = Casting<'a, R>;

    fn into_future(self) -> Casting<'a, R> {
        Casting(Stage::Unsent(self))
    }
}

type Waiting = BoxFuture<'static, Result<(), Refusal>>;

/// A cast that waits for room. It also lets others on its thread run each time it has sent as much to another node as
/// makes a good packet: what is written is only sent then.
#[must_use = "a cast is sent when it is awaited"]
pub struct Casting<'a, R: Contract>(Stage<'a, R>);

enum Stage<'a, R: Contract> {
    Unsent(Cast<'a, R>),
    Waiting(Waiting),
    Sent,
}

impl<R: Contract> Unpin for Casting<'_, R> {}

impl<R: Contract> Future for Casting<'_, R> {
    type Output = Result<(), Refusal>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let stage = &mut self.0;
        if matches!(stage, Stage::Unsent(_))
            && let Stage::Unsent(cast) = std::mem::replace(stage, Stage::Sent)
        {
            match cast.begin(true)? {
                Some(waiting) => *stage = Stage::Waiting(waiting),
                None if turn::is_over() => {
                    task.waker().wake_by_ref();
                    return Poll::Pending;
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        match stage {
            Stage::Waiting(waiting) => waiting.as_mut().poll(task),
            _ => Poll::Ready(Ok(())),
        }
    }
}
