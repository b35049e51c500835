//! Senders that wait for room in a mailbox.

use super::Tick;
use super::mailbox::{Joined, Ticket};
use super::port::Port;
use super::shared::Shared;
use super::wheel::Key;
use crate::service::message::{Envelope, Message};
use odeon_core::Refusal;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) enum Place<M> {
    Outside(Envelope<M>),
    InLine(Ticket),
    Done,
}

/// A message that waits for room.
pub(super) struct InLine<'a, M: Message> {
    pub(super) shared: &'a Shared<M>,
    pub(super) due: Tick,
    pub(super) place: Place<M>,
    pub(super) alarm: Key,
}

impl<M: Message> Unpin for InLine<'_, M> {}

impl<M: Message> Future for InLine<'_, M> {
    type Output = Result<(), (Refusal, Envelope<M>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let ticket = match std::mem::replace(&mut this.place, Place::Done) {
            Place::Outside(envelope) => {
                match this.shared.mailbox.join(envelope, cx.waker(), &this.shared.pace) {
                    Ok(Joined::Pushed(wake)) => {
                        if wake {
                            this.shared.wake();
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Err((why, envelope)) => {
                        return Poll::Ready(Err((this.shared.why_not_in(why), envelope)));
                    }
                    Ok(Joined::Waits(ticket)) => {
                        if !this.due.is_never() {
                            this.alarm = this.shared.kind().wheel.add(this.due, cx.waker().clone());
                        }
                        ticket
                    }
                }
            }
            Place::InLine(ticket) => match this.shared.mailbox.poll_waiting(ticket, cx.waker()) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err((why, envelope))) => {
                    return Poll::Ready(Err((this.shared.why_not_in(why), envelope)));
                }
                Poll::Pending => ticket,
            },
            Place::Done => return Poll::Pending,
        };
        if !this.alarm.is_none() && this.shared.kind().wheel.poll_fired(&this.alarm, cx.waker()) {
            return Poll::Ready(match this.leave(ticket) {
                Some(envelope) => Err((Refusal::Expired, envelope)),
                None => Ok(()),
            });
        }
        this.place = Place::InLine(ticket);
        Poll::Pending
    }
}

impl<M: Message> InLine<'_, M> {
    fn leave(&self, ticket: Ticket) -> Option<Envelope<M>> {
        let (envelope, wake) = self.shared.mailbox.leave(ticket, &self.shared.pace);
        if wake {
            self.shared.wake();
        }
        envelope
    }
}

impl<M: Message> Drop for InLine<'_, M> {
    fn drop(&mut self) {
        if let Place::InLine(ticket) = self.place {
            drop(self.leave(ticket));
        }
        let alarm = std::mem::replace(&mut self.alarm, Key::NONE);
        if !alarm.is_none() {
            self.shared.kind().wheel.remove(alarm);
        }
    }
}
