//! Messages whose receiver was not where it was looked for: they go to where it is, or wait until it is somewhere.

use super::address::{Address, Choice};
use crate::cell::Handle;
use crate::placement::{Held, Room};
use crate::reach::reached;
use crate::remote::Target;
use crate::service::message::{Envelope, Message, Origin};
use crate::service::reference::WITHIN_DEFAULT;
use crate::service::reply::{RawOutcome, RawReply};
use odeon_core::Refusal;
use odeon_core::outcome::Overflow;
use std::sync::Arc;
use std::time::Duration;

/// A message on its way.
pub(crate) struct Passing<M: Message> {
    pub(crate) address: Address<M>,
    pub(crate) envelope: Envelope<M>,
    /// Whoever waits to hear that it was let in.
    pub(crate) accepting: Option<RawReply>,
    /// What its sender knows of where the receiver is; 0: nothing.
    pub(crate) epoch: u64,
}

/// Whether a message that was refused so can go elsewhere, or wait.
pub(crate) fn passes(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Moved { .. } | Refusal::Unplaced { .. })
}

impl<M: Message> Passing<M> {
    /// Of a sender of this node.
    pub(crate) fn own(address: &Address<M>, envelope: Envelope<M>) -> Self {
        Self { address: address.clone(), envelope, accepting: None, epoch: 0 }
    }

    /// Sends it to where its receiver is, behind those that wait for that. What becomes of it is told to whoever awaits
    /// the answer, and to the books.
    pub(crate) fn go(self) -> Option<Room> {
        if self.is_behind() {
            reached!(BEHIND_ITS_SENDER);
            self.wait();
            return None;
        }
        match self.address.whereabouts().pick(false) {
            Ok(Choice::Here(picked)) => {
                let handle = picked.handle().clone();
                self.put(&handle).unwrap_or_else(|this| {
                    this.wait();
                    None
                })
            }
            Ok(Choice::There(target)) => self.forward(target),
            Err(refusal) if passes(&refusal) => {
                self.wait();
                None
            }
            Err(refusal) => {
                self.end(refusal);
                None
            }
        }
    }

    /// Whether the sender knows of a later owner than this node.
    fn is_behind(&self) -> bool {
        self.epoch > 0 && self.address.whereabouts().epoch() < self.epoch
    }

    /// Waits until its receiver is somewhere.
    pub(crate) fn wait(self) {
        match self.address.whereabouts().placed() {
            Some((placement, service, key)) => {
                reached!(HELD);
                placement.hold(&service, key.as_deref(), Box::new(self));
            }
            None => self.end(Refusal::Stopped),
        }
    }

    /// Puts it into the mailbox of a cell.
    ///
    /// # Errors
    /// The cell takes no more, for its slot is about to move.
    fn put(self, handle: &Handle<M>) -> Result<Option<Room>, Self> {
        let Self { address, envelope, accepting, epoch } = self;
        match handle.push(envelope) {
            Ok(()) => {
                told(accepting, Ok(()));
                Ok(None)
            }
            Err((Refusal::MailboxFull, mut envelope)) if handle.overflow() == Overflow::Wait => {
                if envelope.header.due().is_never() {
                    envelope.header = envelope.header.with_due(handle.kind().wheel.due(WITHIN_DEFAULT));
                }
                let handle = handle.clone();
                Ok(Some(Box::pin(async move {
                    let pushed = handle.push_waiting(envelope).await.map_err(|(refusal, envelope)| {
                        envelope.refuse(refusal.clone());
                        refusal
                    });
                    told(accepting, pushed);
                })))
            }
            Err((Refusal::Stopped, envelope)) => Err(Self { address, envelope, accepting, epoch }),
            Err((refusal, envelope)) => {
                Self { address, envelope, accepting, epoch }.end(refusal);
                Ok(None)
            }
        }
    }

    /// Sends it to another node.
    fn forward(self, target: Arc<Target>) -> Option<Room> {
        let Self { envelope: Envelope { mut header, origin, message }, accepting, .. } = self;
        let from = origin.as_ref().filter(|origin| origin.node.is_some());
        if from.is_some() {
            reached!(FORWARDED);
        }
        let on_behalf = match from {
            Some(from) => Some(Arc::new(from.passed_on())),
            None => origin.clone(),
        };
        match target.send(header, on_behalf.as_deref(), message) {
            Ok(_) => {
                settle(origin.as_deref(), accepting, Ok(()));
                None
            }
            Err((_, Some(message))) => {
                if header.due().is_never() {
                    header = header.with_due(target.due(WITHIN_DEFAULT));
                }
                let sent = target.send_waiting(header, on_behalf, message);
                Some(Box::pin(async move {
                    let sent = sent.await.map(drop);
                    settle(origin.as_deref(), accepting, sent);
                }))
            }
            Err((refusal, None)) => {
                settle(origin.as_deref(), accepting, Err(refusal));
                None
            }
        }
    }

    fn end(self, why: Refusal) {
        told(self.accepting, Err(why.clone()));
        self.envelope.refuse(why);
    }
}

/// Tells those who keep books of a cast that came from another node, and whoever waits to hear that it was let in.
fn settle(origin: Option<&Origin>, accepting: Option<RawReply>, outcome: Result<(), Refusal>) {
    if let Some(receipts) = origin.and_then(|origin| origin.receipts.as_ref()) {
        match &outcome {
            Ok(()) => receipts.handled(),
            Err(why) => receipts.refused(why),
        }
    }
    told(accepting, outcome);
}

/// Tells whoever waits to hear whether a cast was let in.
pub(super) fn told(accepting: Option<RawReply>, outcome: Result<(), Refusal>) {
    if let Some(reply) = accepting {
        match outcome {
            Ok(()) => reply.send(RawOutcome::Accepted),
            Err(refusal) => reply.refuse(refusal),
        }
    }
}

impl<M: Message> Held for Passing<M> {
    fn send(self: Box<Self>) -> Result<Option<Room>, Box<dyn Held>> {
        if self.is_behind() {
            return Err(self);
        }
        match self.address.whereabouts().pick_first() {
            Ok(Choice::Here(picked)) => {
                let handle = picked.handle().clone();
                drop(picked);
                self.put(&handle).map_err(|this| Box::new(this) as Box<dyn Held>)
            }
            Ok(Choice::There(target)) => Ok(self.forward(target)),
            Err(refusal) if passes(&refusal) => Err(self),
            Err(refusal) => {
                self.end(refusal);
                Ok(None)
            }
        }
    }

    fn refuse(self: Box<Self>, why: Refusal) {
        self.end(why);
    }

    fn bytes(&self) -> usize {
        self.envelope.header.weight() as usize + size_of::<M>()
    }

    fn left(&self) -> Option<Duration> {
        let due = self.envelope.header.due();
        let wheel = self.address.whereabouts().wheel().filter(|_| !due.is_never())?;
        Some(due.until(wheel.now()))
    }
}
