//! What a reference's methods return: a call to be awaited, or a cast.

use super::contract::Contract;
use super::error::{CallError, ContractError, Never};
use super::message::{Envelope, Header, Origin};
use super::reply::{Answer, Lost, Reply};
use crate::cell::ambient;
use crate::cell::{Tick, Wheel, WheelKey};
use crate::directory::{Address, Choice, Passing, passes};
use crate::remote::Target;
use futures_util::future::BoxFuture;
use odeon_core::wire::envelope::CallId;
use odeon_core::{Criticality, Refusal, UnknownCause};
use serde::Serialize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a caller waits that does not say.
pub const WITHIN_DEFAULT: Duration = Duration::from_secs(5);

/// How often a call to a `#[read]` method is tried at the most.
const READ_TRIES_MAX: u8 = 3;

/// Makes the message of a call again, with another reply.
type Again<M, T, E> = Box<dyn Fn(Reply<T, E>) -> M + Send>;

/// A call that has not begun; await it. It is sent when first polled and ends with exactly one outcome.
///
/// Its deadline is 5 s, or the caller's own remaining time when that is shorter.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<'a, R: Contract, T, E = Never> {
    address: &'a Address<R::Message>,
    state: State<R::Message, T, E>,
    answer: oneshot::Receiver<Answer<T, E>>,
    again: Option<Again<R::Message, T, E>>,
    within: Duration,
    criticality: Option<Criticality>,
    due: Tick,
    /// Where its deadline is, from the first time on that it waits.
    timer: Option<(&'a Wheel, WheelKey)>,
    tries: u8,
    /// Where it was sent, if to another node, and its number there: whoever gives up says so.
    there: Option<(Arc<Target>, Option<CallId>)>,
}

enum State<M, T, E> {
    Unsent(M),
    /// The mailbox is full and its policy is to wait.
    WaitingForRoom(
        BoxFuture<'static, Result<Option<CallId>, Refusal>>,
        std::marker::PhantomData<fn() -> (T, E)>,
    ),
    Sent,
}

impl<R: Contract, T, E> Unpin for Call<'_, R, T, E> {}

impl<'a, R, T, E> Call<'a, R, T, E>
where
    R: Contract,
    T: Serialize + Send + 'static,
    E: ContractError,
{
    /// A call of a method that runs at most once.
    pub fn once(reference: &'a R, message: impl FnOnce(Reply<T, E>) -> R::Message) -> Self {
        let (reply, answer) = Reply::channel();
        Self::of(reference, message(reply), answer, None)
    }

    /// A call of a `#[read]` method: it may be sent again while its deadline lasts.
    pub fn repeatable(
        reference: &'a R,
        message: impl Fn(Reply<T, E>) -> R::Message + Send + 'static,
    ) -> Self {
        let (reply, answer) = Reply::channel();
        let first = message(reply);
        Self::of(reference, first, answer, Some(Box::new(message)))
    }

    fn of(
        reference: &'a R,
        message: R::Message,
        answer: oneshot::Receiver<Answer<T, E>>,
        again: Option<Again<R::Message, T, E>>,
    ) -> Self {
        Self {
            address: reference.address(),
            state: State::Unsent(message),
            answer,
            again,
            within: WITHIN_DEFAULT,
            criticality: None,
            due: Tick::NEVER,
            timer: None,
            tries: 1,
            there: None,
        }
    }

    /// Waits this long at the most; never longer than the caller's own caller waits.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// The class of this request. It only counts at the root of a chain; inside a handler the class of what is
    /// being handled goes along, so that a request never overtakes itself.
    pub fn criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = Some(criticality);
        self
    }

    fn send(&mut self, message: R::Message) -> Result<(), Refusal> {
        let (header, origin) = outgoing(self.criticality)?;
        let picked;
        let whereabouts = self.address.whereabouts();
        let delivery = match whereabouts.known() {
            Some(delivery) => delivery,
            None => match whereabouts.pick(true) {
                Ok(Choice::Here(here)) => {
                    picked = here;
                    picked.delivery()
                }
                Ok(Choice::There(target)) => return self.send_there(target, header, origin, message),
                Err(refusal) if passes(&refusal) => {
                    self.pass(Envelope { header, origin, message });
                    return Ok(());
                }
                Err(refusal) => return Err(refusal),
            },
        };
        // a repetition has no more time than the first try
        self.due = delivery.wheel().due(self.within).earlier(header.due()).earlier(self.due);
        let header = header.with_awaited(true).with_due(self.due);
        let refusal = match delivery.admit(header, origin.as_ref(), &message) {
            Ok(admission) => {
                admission.put(origin, message);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        match delivery.push_anew(refusal, Envelope { header, origin, message }) {
            Ok(()) => Ok(()),
            Err((Refusal::MailboxFull, envelope)) if delivery.waits() => {
                let waiting = delivery.push_waiting(envelope);
                let waiting = Box::pin(async move { waiting.await.map(|()| None) });
                self.state = State::WaitingForRoom(waiting, std::marker::PhantomData);
                Ok(())
            }
            Err((refusal, envelope)) if passes(&refusal) => {
                self.pass(envelope);
                Ok(())
            }
            Err((refusal, _)) => Err(refusal),
        }
    }

    /// To where the receiver is by now, or will be.
    #[cold]
    fn pass(&mut self, mut envelope: Envelope<R::Message>) {
        if let Some(wheel) = self.address.whereabouts().wheel() {
            self.due = wheel.due(self.within).earlier(envelope.header.due()).earlier(self.due);
        }
        envelope.header = envelope.header.with_awaited(true).with_due(self.due);
        if let Some(room) = Passing::own(self.address, envelope).go() {
            let waiting = Box::pin(async move {
                room.await;
                Ok(None)
            });
            self.state = State::WaitingForRoom(waiting, std::marker::PhantomData);
        }
    }

    /// To another node. A call waits for room there, whatever the policy of the mailbox: only what is under way is
    /// bounded so.
    fn send_there(
        &mut self,
        target: Arc<Target>,
        header: Header,
        origin: Option<Arc<Origin>>,
        message: R::Message,
    ) -> Result<(), Refusal> {
        self.due = target.due(self.within).earlier(header.due()).earlier(self.due);
        let header = header.with_awaited(true).with_due(self.due);
        match target.send(header, origin.as_deref(), message) {
            Ok(call) => self.there = Some((target, call)),
            Err((_, Some(message))) => {
                let waiting = Box::pin(target.clone().send_waiting(header, origin, message));
                self.there = Some((target, None));
                self.state = State::WaitingForRoom(waiting, std::marker::PhantomData);
            }
            Err((refusal, None)) => return Err(refusal),
        }
        Ok(())
    }

    /// Sends a read again, unless it must not or there is no time.
    fn again(&mut self, why: Refusal) -> Result<(), Refusal> {
        let transient = matches!(why, Refusal::Stopped | Refusal::Shed | Refusal::NoInstance { .. });
        let Some(make) = self.again.as_ref().filter(|_| transient && self.tries < READ_TRIES_MAX) else {
            return Err(why);
        };
        self.tries += 1;
        let (reply, answer) = Reply::channel();
        let message = make(reply);
        self.answer = answer;
        self.send(message)
    }

    /// The time is up. It may have run, unless it never left this node.
    #[cold]
    fn late(&mut self) -> CallError<E> {
        let sent = self.there.take().and_then(|(target, call)| Some((target, call?)));
        match sent.and_then(|(target, call)| target.cancel(call)) {
            Some(refusal) => CallError::NotExecuted(refusal),
            None => CallError::Unknown(UnknownCause::TimedOut),
        }
    }

    /// Whether the time is up; registers the waker otherwise.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some((wheel, key)) = &self.timer {
            return wheel.poll_fired(key, cx.waker());
        }
        if let Some(wheel) = self.address.whereabouts().wheel() {
            self.timer = Some((wheel, wheel.add(self.due, cx.waker().clone())));
        }
        false
    }
}

impl<R, T, E> Future for Call<'_, R, T, E>
where
    R: Contract,
    T: Serialize + Send + 'static,
    E: ContractError,
{
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if matches!(this.state, State::Unsent(_))
            && let State::Unsent(message) = std::mem::replace(&mut this.state, State::Sent)
            && let Err(refusal) = this.send(message)
            && let Err(refusal) = this.again(refusal)
        {
            return Poll::Ready(Err(CallError::NotExecuted(refusal)));
        }
        loop {
            if let State::WaitingForRoom(waiting, _) = &mut this.state {
                match waiting.as_mut().poll(cx) {
                    Poll::Ready(Ok(call)) => {
                        this.state = State::Sent;
                        if let Some((_, sent)) = &mut this.there {
                            *sent = call;
                        }
                    }
                    Poll::Ready(Err(refusal)) => return Poll::Ready(Err(CallError::NotExecuted(refusal))),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let answer = Pin::new(&mut this.answer).poll(cx);
            if answer.is_ready() {
                this.there = None;
            }
            return match answer {
                Poll::Ready(Ok(Ok(Ok(value)))) => Poll::Ready(Ok(value)),
                Poll::Ready(Ok(Ok(Err(error)))) => Poll::Ready(Err(CallError::Failed(error))),
                Poll::Ready(Ok(Err(Lost::Refused(refusal)))) => match this.again(refusal) {
                    Ok(()) => continue,
                    Err(refusal) => Poll::Ready(Err(CallError::NotExecuted(refusal))),
                },
                Poll::Ready(Ok(Err(Lost::Unknown(cause)))) => Poll::Ready(Err(CallError::Unknown(cause))),
                Poll::Ready(Err(_)) => Poll::Ready(Err(CallError::Unknown(UnknownCause::Unanswered))),
                Poll::Pending if this.poll_deadline(cx) => Poll::Ready(Err(this.late())),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

impl<R: Contract, T, E> Drop for Call<'_, R, T, E> {
    fn drop(&mut self) {
        if let Some((wheel, key)) = self.timer.take() {
            wheel.remove(key);
        }
        if let Some((target, Some(call))) = self.there.take() {
            target.cancel(call);
        }
    }
}

/// What the message of a call or cast carries when it is sent now.
///
/// # Errors
/// [`Refusal::HopLimit`]: the chain of calls is too long.
#[inline(always)]
pub(super) fn outgoing(criticality: Option<Criticality>) -> Result<(Header, Option<Arc<Origin>>), Refusal> {
    if let Some(sender) = ambient::outgoing() {
        return sender.checked();
    }
    Ok((criticality.map(Header::of).unwrap_or_default(), None))
}
