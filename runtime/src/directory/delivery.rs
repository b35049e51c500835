//! Messages on their way into the mailbox of a cell of this node.

use super::address::{Route, Whereabouts};
use super::provider::Provide;
use crate::cell::{Admission, Handle, Wheel};
use crate::service::message::{Envelope, Header, Message, Origin};
use futures_util::future::BoxFuture;
use odeon_core::Refusal;
use std::sync::Arc;

/// How a push ended: the envelope comes back with why it was refused.
type Pushed<M> = Result<(), (Refusal, Envelope<M>)>;

/// A cell that was looked up for one message.
pub(crate) struct Picked<'a, M: Message> {
    pub(super) handle: Handle<M>,
    pub(super) whereabouts: &'a Whereabouts<M>,
}

impl<M: Message> Picked<'_, M> {
    pub(super) fn handle(&self) -> &Handle<M> {
        &self.handle
    }

    pub(crate) fn delivery(&self) -> Delivery<'_, M> {
        Delivery { handle: &self.handle, whereabouts: self.whereabouts }
    }
}

/// A cell that was chosen for a message.
pub(crate) struct Delivery<'a, M: Message> {
    pub(super) handle: &'a Handle<M>,
    pub(super) whereabouts: &'a Whereabouts<M>,
}

impl<M: Message> Delivery<'_, M> {
    #[inline]
    pub(crate) fn wheel(&self) -> &Arc<Wheel> {
        &self.handle.kind().wheel
    }

    /// Whether senders may wait for room.
    pub(crate) fn waits(&self) -> bool {
        self.handle.overflow() == odeon_core::outcome::Overflow::Wait
    }

    /// Room for a message; see [`Handle::admit`].
    ///
    /// # Errors
    /// Why there is none; [`Delivery::push_anew`] may know better.
    #[inline(always)]
    pub(crate) fn admit(
        &self,
        header: Header,
        origin: Option<&Arc<Origin>>,
        message: &M,
    ) -> Result<Admission<'_, M>, Refusal> {
        self.handle.admit(header, origin, message)
    }

    /// Puts a message into the mailbox, without waiting for room.
    ///
    /// # Errors
    /// Gives it back with why it was not let in.
    pub(crate) fn push(&self, envelope: Envelope<M>) -> Pushed<M> {
        self.handle.push(envelope).or_else(|(refusal, envelope)| self.push_anew(refusal, envelope))
    }

    /// Refused: perhaps only because the activation was passivated, or the instance has gone, since it was chosen.
    #[cold]
    pub(crate) fn push_anew(&self, refusal: Refusal, envelope: Envelope<M>) -> Pushed<M> {
        let inner = self.whereabouts;
        if let Route::Keyed { away: Some(away), .. } = &inner.route
            && refusal == Refusal::Stopped
            && let Err(refusal) = away.admits(inner.locator.key.as_ref())
        {
            // no refusal for the books: it goes elsewhere, or waits
            return Err((refusal, envelope));
        }
        let outcome = match &inner.route {
            Route::Keyed { provider, cached, .. } => {
                let key = inner.locator.key.as_ref();
                let (successor, outcome) = push_on(&**provider, key, self.handle, refusal, envelope);
                if let Some(successor) = successor {
                    cached.replace(&successor);
                }
                outcome
            }
            Route::Instances { provider, .. } => push_on(&**provider, None, self.handle, refusal, envelope).1,
            Route::There(_) | Route::Late(_) => Err((refusal, envelope)),
        };
        if let Err((refusal, _)) = &outcome
            && !(*refusal == Refusal::MailboxFull && self.waits())
        {
            self.handle.kind().meter.add_refused(refusal);
        }
        outcome
    }

    /// Waits for room, at the most until the envelope's deadline.
    pub(crate) fn push_waiting(&self, envelope: Envelope<M>) -> BoxFuture<'static, Result<(), Refusal>> {
        let handle = self.handle.clone();
        Box::pin(async move {
            handle.push_waiting(envelope).await.map_err(|(refusal, envelope)| {
                envelope.refuse(refusal.clone());
                refusal
            })
        })
    }
}

/// Refused by the cell that was picked: if that has stopped, goes to the one that has taken its place, which is also
/// given back.
pub(super) fn push_on<M: Message>(
    provider: &dyn Provide<M>,
    key: Option<&Arc<str>>,
    picked: &Handle<M>,
    refusal: Refusal,
    envelope: Envelope<M>,
) -> (Option<Handle<M>>, Pushed<M>) {
    if refusal != Refusal::Stopped {
        return (None, Err((refusal, envelope)));
    }
    match provider.pick(key) {
        Ok(handle) if handle.id() != picked.id() => {
            let outcome = handle.push(envelope);
            (Some(handle), outcome)
        }
        Ok(_) => (None, Err((refusal, envelope))),
        Err(refusal) => (None, Err((refusal, envelope))),
    }
}
