//! Where a reference's messages go.

use super::provider::Provide;
use crate::cell::{Admission, Handle, Wheel, ambient};
use crate::node::NodeInner;
use crate::remote::{Rota, Spoken, Target};
use crate::service::contract::Contract;
use crate::service::message::{Envelope, Header, Message, Origin};
use futures_util::future::BoxFuture;
use odeon_core::{Refusal, ServiceName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, OnceLock, Weak};

/// What an address means anywhere in the cluster: what a serialised reference consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locator {
    /// The name under which the service is registered.
    pub service: ServiceName,
    /// The key of an entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}#{key}", self.service),
            None => self.service.fmt(f),
        }
    }
}

enum Route<M: Message> {
    /// Any ready instance: chosen for each message.
    Instances(Arc<dyn Provide<M>>),
    /// The activation of a key: looked up at the first message and after each passivation.
    Keyed { provider: Arc<dyn Provide<M>>, cached: Cached<M> },
    /// Not provided when the reference was made, or read from bytes: looked up when used.
    Late(Box<Late<M>>),
}

/// What is looked up when it is used: on this node first, then at its peers.
struct Late<M: Message> {
    node: Weak<NodeInner>,
    spoken: Spoken,
    found: OnceLock<Address<M>>,
    /// On other nodes, as long as nothing changes there.
    there: Mutex<Option<Rota>>,
    /// The deadlines of the node that uses it.
    wheel: OnceLock<Arc<Wheel>>,
}

/// The cell of a key. Reading the first one costs a load; a reference that has seen it go reads the later ones under
/// a lock, at the price of a counted pointer.
struct Cached<M: Message> {
    first: OnceLock<Handle<M>>,
    moved: AtomicBool,
    current: Mutex<Option<Handle<M>>>,
}

impl<M: Message> Cached<M> {
    fn new() -> Self {
        Self { first: OnceLock::new(), moved: AtomicBool::new(false), current: Mutex::new(None) }
    }

    /// The first one, as long as none has taken its place.
    #[inline]
    fn first(&self) -> Option<&Handle<M>> {
        if self.moved.load(Acquire) { None } else { self.first.get() }
    }

    /// The one that is there now, if it has been looked up.
    fn handle(&self) -> Option<Handle<M>> {
        self.first().cloned().or_else(|| self.current.lock().clone())
    }

    #[cold]
    fn replace(&self, handle: &Handle<M>) {
        *self.current.lock() = Some(handle.clone());
        self.moved.store(true, Release);
    }
}

/// What all clones of an address share.
pub(crate) struct Whereabouts<M: Message> {
    locator: Locator,
    route: Route<M>,
}

/// Where a reference's messages go. Cheap to clone; owns no actor.
pub struct Address<M: Message>(Arc<Whereabouts<M>>);

impl<M: Message> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0.locator)
    }
}

impl<M: Message> Address<M> {
    pub(crate) fn to_provider(locator: Locator, provider: Arc<dyn Provide<M>>) -> Self {
        let route = match locator.key {
            Some(_) => Route::Keyed { provider, cached: Cached::new() },
            None => Route::Instances(provider),
        };
        Self(Arc::new(Whereabouts { locator, route }))
    }

    pub(crate) fn late(locator: Locator, node: Weak<NodeInner>, spoken: Spoken) -> Self {
        let (found, there, wheel) = (OnceLock::new(), Mutex::new(None), OnceLock::new());
        let route = Route::Late(Box::new(Late { node, spoken, found, there, wheel }));
        Self(Arc::new(Whereabouts { locator, route }))
    }

    /// Read from bytes: bound to the node of the handler that uses it first. For generated references.
    #[doc(hidden)]
    pub fn unbound<C: Contract<Message = M>>(locator: Locator) -> Self {
        Self::late(locator, Weak::new(), Spoken::of::<C>())
    }

    /// What it means anywhere in the cluster.
    pub fn locator(&self) -> &Locator {
        &self.0.locator
    }

    /// What is looked at for each message.
    #[inline]
    pub(crate) fn whereabouts(&self) -> &Whereabouts<M> {
        &self.0
    }

    /// The cell behind it, only if there is one.
    pub(super) fn find(&self) -> Option<Handle<M>> {
        self.0.find()
    }

    /// The receiver on another node that it is; none if this node provides it, or no node that is known.
    pub(super) fn elsewhere(&self) -> Option<Arc<Target>> {
        let Route::Late(late) = &self.0.route else { return None };
        let refusal = self.0.found(late).err()?;
        late.there(&self.0.locator, refusal).ok()
    }
}

impl<M: Message> Whereabouts<M> {
    /// The cell for the next message, if it is known already.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<Delivery<'_, M>> {
        match &self.route {
            Route::Keyed { cached, .. } => Some(Delivery { handle: cached.first()?, whereabouts: self }),
            Route::Instances(_) | Route::Late(_) => None,
        }
    }

    /// The deadlines of the node that provides it; none for one that has not been looked up.
    #[inline]
    pub(crate) fn wheel(&self) -> Option<&Wheel> {
        match &self.route {
            Route::Keyed { provider, .. } | Route::Instances(provider) => Some(provider.wheel()),
            Route::Late(late) => match late.found.get() {
                Some(address) => address.0.wheel(),
                None => late.wheel.get().map(|wheel| &**wheel),
            },
        }
    }

    /// Where the next message goes, where that is not known yet or is chosen for each; and the address that it is
    /// behind, which differs where the reference is older than the provider.
    #[inline(never)]
    pub(crate) fn pick(&self) -> Result<Choice<'_, M>, Refusal> {
        let handle = match &self.route {
            Route::Keyed { provider, cached } => match cached.handle() {
                Some(handle) => handle,
                None => {
                    let handle = provider.pick(self.locator.key.as_ref())?;
                    cached.first.get_or_init(|| handle).clone()
                }
            },
            Route::Instances(provider) => provider.pick(None)?,
            Route::Late(late) => {
                if let Some(target) = late.there.lock().as_mut().and_then(Rota::next) {
                    return Ok(Choice::There(target));
                }
                return match self.found(late) {
                    Ok(address) => address.0.pick(),
                    Err(refusal) => late.there(&self.locator, refusal).map(Choice::There),
                };
            }
        };
        Ok(Choice::Here(Picked { handle, whereabouts: self }))
    }

    /// The cell behind it, only if there is one.
    fn find(&self) -> Option<Handle<M>> {
        match &self.route {
            Route::Instances(provider) => provider.find(None),
            Route::Keyed { provider, .. } => provider.find(self.locator.key.as_ref()),
            Route::Late(late) => self.found(late).ok()?.find(),
        }
    }

    #[cold]
    fn found<'a>(&self, late: &'a Late<M>) -> Result<&'a Address<M>, Refusal> {
        if let Some(address) = late.found.get() {
            return Ok(address);
        }
        let locator = &self.locator;
        let node = late.node(locator)?;
        let provider = node.registry.provider::<M>(&locator.service)?;
        super::provider::check_locator(locator, provider.keyed())?;
        Ok(late.found.get_or_init(|| Address::to_provider(locator.clone(), provider)))
    }
}

impl<M: Message> Late<M> {
    fn node(&self, locator: &Locator) -> Result<Arc<NodeInner>, Refusal> {
        let node = self.node.upgrade().or_else(ambient::node);
        node.ok_or_else(|| Refusal::NoNode { address: locator.to_string() })
    }

    /// This node does not provide it, for the given reason: perhaps a peer does.
    #[cold]
    fn there(&self, locator: &Locator, refusal: Refusal) -> Result<Arc<Target>, Refusal> {
        if !matches!(refusal, Refusal::UnknownService { .. }) {
            return Err(refusal);
        }
        let node = self.node(locator)?;
        let Some(links) = node.links.get() else { return Err(refusal) };
        let service = node.registry.bound(&locator.service);
        let mut there = self.there.lock();
        let mut rota = links.find(service, locator.key.as_ref(), self.spoken, there.as_ref())?;
        self.wheel.get_or_init(|| node.wheel.clone());
        let target = rota.next_at_once();
        *there = Some(rota);
        Ok(target)
    }
}

/// Where a message goes.
pub(crate) enum Choice<'a, M: Message> {
    /// To a cell of this node.
    Here(Picked<'a, M>),
    /// To another node.
    There(Arc<Target>),
}

/// How a push ended: the envelope comes back with why it was refused.
type Pushed<M> = Result<(), (Refusal, Envelope<M>)>;

/// A cell that was looked up for one message.
pub(crate) struct Picked<'a, M: Message> {
    handle: Handle<M>,
    whereabouts: &'a Whereabouts<M>,
}

impl<M: Message> Picked<'_, M> {
    pub(crate) fn delivery(&self) -> Delivery<'_, M> {
        Delivery { handle: &self.handle, whereabouts: self.whereabouts }
    }
}

/// A cell that was chosen for a message.
pub(crate) struct Delivery<'a, M: Message> {
    handle: &'a Handle<M>,
    whereabouts: &'a Whereabouts<M>,
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
        let outcome = match &inner.route {
            Route::Keyed { provider, cached } => {
                let key = inner.locator.key.as_ref();
                let (successor, outcome) = push_on(&**provider, key, self.handle, refusal, envelope);
                if let Some(successor) = successor {
                    cached.replace(&successor);
                }
                outcome
            }
            Route::Instances(provider) => push_on(&**provider, None, self.handle, refusal, envelope).1,
            Route::Late(_) => Err((refusal, envelope)),
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
