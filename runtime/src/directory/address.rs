//! Where a reference's messages go.

use super::away::{Away, BEHIND_OTHERS, Far, There};
use super::delivery::{Delivery, Picked};
use super::dynamic::ServiceKind;
use super::provider::{CROWD, Provide};
use crate::cell::{Handle, Wheel};
use crate::node::NodeInner;
use crate::placement::{self, Placement, unplaced};
use crate::remote::{Spoken, Target};
use crate::service::contract::Contract;
use crate::service::message::Message;
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

pub(super) enum Route<M: Message> {
    /// Any ready instance: chosen for each message. Those of this node, as long as one of them is ready; or, where others
    /// may be meant as well, those of other nodes.
    Instances { provider: Arc<dyn Provide<M>>, others: Option<Box<Far>> },
    /// The activation of a key, or a singleton that is placed: looked up at the first message and after each
    /// passivation.
    Keyed { provider: Arc<dyn Provide<M>>, cached: Cached<M>, away: Option<Box<Away>> },
    /// On one other node.
    There(Box<There>),
    /// Not provided when the reference was made, or read from bytes: looked up when used.
    Late(Box<Late<M>>),
}

/// What is looked up when it is used: on this node first, then at its peers.
pub(super) struct Late<M: Message> {
    far: Far,
    found: OnceLock<Address<M>>,
    /// The deadlines of the node that uses it.
    wheel: OnceLock<Arc<Wheel>>,
}

/// The cell of a key. Reading the first one costs a load; a reference that has seen it go reads the later ones under
/// a lock, at the price of a counted pointer.
pub(super) struct Cached<M: Message> {
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
    pub(super) fn replace(&self, handle: &Handle<M>) {
        *self.current.lock() = Some(handle.clone());
        self.moved.store(true, Release);
    }
}

/// What all clones of an address share.
pub(crate) struct Whereabouts<M: Message> {
    pub(super) locator: Locator,
    pub(super) route: Route<M>,
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
    /// To a provider of this node. `away`: what it takes to find the receiver elsewhere, if it is placed.
    pub(crate) fn to_provider(locator: Locator, provider: Arc<dyn Provide<M>>, away: Option<Away>) -> Self {
        let route = match (&locator.key, away) {
            (None, None) => Route::Instances { provider, others: None },
            (_, away) => Route::Keyed { provider, cached: Cached::new(), away: away.map(Box::new) },
        };
        Self(Arc::new(Whereabouts { locator, route }))
    }

    /// To the instances of a stateless service, on this node first.
    pub(super) fn to_instances(locator: Locator, provider: Arc<dyn Provide<M>>, others: Far) -> Self {
        let route = Route::Instances { provider, others: Some(Box::new(others)) };
        Self(Arc::new(Whereabouts { locator, route }))
    }

    pub(crate) fn late(locator: Locator, node: Weak<NodeInner>, spoken: Spoken) -> Self {
        let far = Far::new(node, spoken);
        let route = Route::Late(Box::new(Late { far, found: OnceLock::new(), wheel: OnceLock::new() }));
        Self(Arc::new(Whereabouts { locator, route }))
    }

    /// To a receiver of one other node, and to no other one.
    pub(super) fn pinned(locator: Locator, there: There) -> Self {
        Self(Arc::new(Whereabouts { locator, route: Route::There(Box::new(there)) }))
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
        match &self.0.route {
            Route::Late(late) => match self.0.found(late) {
                Ok(address) => address.elsewhere(),
                Err(refusal) => late.there(&self.0.locator, refusal).ok(),
            },
            Route::Keyed { away: Some(away), .. } => away.elsewhere(self.0.locator.key.as_ref()),
            Route::There(there) => there.find(&self.0.locator).ok(),
            Route::Keyed { .. } | Route::Instances { .. } => None,
        }
    }
}

impl<M: Message> Whereabouts<M> {
    /// The cell for the next message, if it is known already.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<Delivery<'_, M>> {
        match &self.route {
            Route::Keyed { cached, .. } => Some(Delivery { handle: cached.first()?, whereabouts: self }),
            Route::Instances { .. } | Route::There(_) | Route::Late(_) => None,
        }
    }

    /// The deadlines of the node that provides it; none for one that has not been looked up.
    #[inline]
    pub(crate) fn wheel(&self) -> Option<&Wheel> {
        match &self.route {
            Route::Keyed { provider, .. } | Route::Instances { provider, .. } => Some(provider.wheel()),
            Route::There(there) => Some(&there.wheel),
            Route::Late(late) => match late.found.get() {
                Some(address) => address.0.wheel(),
                None => late.wheel.get().map(|wheel| &**wheel),
            },
        }
    }

    /// Where the next message goes, where that is not known yet or is chosen for each; and the address that it is
    /// behind, which differs where the reference is older than the provider. Calls go past crowded instances.
    #[inline(never)]
    pub(crate) fn pick(&self, is_call: bool) -> Result<Choice<'_, M>, Refusal> {
        let handle = match &self.route {
            Route::Keyed { provider, cached, away: Some(away) } => {
                return self.pick_placed(&**provider, cached, away);
            }
            Route::Keyed { provider, cached, away: None } => match cached.handle() {
                Some(handle) => handle,
                None => {
                    let handle = provider.pick(self.locator.key.as_ref())?;
                    cached.first.get_or_init(|| handle).clone()
                }
            },
            Route::Instances { provider, others } => {
                // one that is ready, if there is one
                let picked = provider.pick(None);
                let ready = picked.as_ref().ok().filter(|handle| handle.is_running());
                match (ready, others) {
                    (Some(ready), _) if is_call && ready.waiting() >= CROWD => {
                        provider.least_crowded().map_or(picked, |(least, _)| Ok(least))?
                    }
                    (None, Some(others)) => match others.ready(&self.locator) {
                        Some(target) => return Ok(Choice::There(target)),
                        None => picked?,
                    },
                    _ => picked?,
                }
            }
            Route::There(there) => return there.find(&self.locator).map(Choice::There),
            Route::Late(late) => {
                if let Some(target) = late.far.known() {
                    return Ok(Choice::There(target));
                }
                return match self.found(late) {
                    Ok(address) => address.0.pick(is_call),
                    Err(refusal) => late.there(&self.locator, refusal).map(Choice::There),
                };
            }
        };
        Ok(Choice::Here(Picked { handle, whereabouts: self }))
    }

    /// The same for a receiver that is placed.
    fn pick_placed<'a>(
        &'a self,
        provider: &dyn Provide<M>,
        cached: &Cached<M>,
        away: &Away,
    ) -> Result<Choice<'a, M>, Refusal> {
        let key = self.locator.key.as_ref();
        away.check_line(key)?;
        if let Some(target) = away.far.known() {
            return Ok(Choice::There(target));
        }
        let handle = match cached.handle().filter(|handle| !handle.is_closed()) {
            Some(handle) => handle,
            None => match provider.pick(key) {
                Ok(handle) => {
                    if cached.first.get_or_init(|| handle.clone()).id() != handle.id() {
                        cached.replace(&handle);
                    }
                    handle
                }
                Err(Refusal::Moved { .. }) => return away.find(key).map(Choice::There),
                Err(refusal) => return Err(refusal),
            },
        };
        Ok(Choice::Here(Picked { handle, whereabouts: self }))
    }

    /// Where a message goes that is the first of those that wait for its receiver. What is found is not kept for those
    /// that come later: they have to go behind the line.
    pub(super) fn pick_first(&self) -> Result<Choice<'_, M>, Refusal> {
        let key = self.locator.key.as_ref();
        match &self.route {
            Route::Keyed { provider, away: Some(away), .. } => match provider.pick(key) {
                Ok(handle) => Ok(Choice::Here(Picked { handle, whereabouts: self })),
                Err(Refusal::Moved { .. }) => away.find(key).map(Choice::There),
                Err(refusal) => Err(refusal),
            },
            Route::Keyed { .. } | Route::Instances { .. } | Route::There(_) => self.pick(false),
            Route::Late(late) => match self.found(late) {
                Ok(address) => address.0.pick_first(),
                Err(refusal) => late.first_there(&self.locator, refusal).map(Choice::There),
            },
        }
    }

    /// What it takes to wait for the receiver.
    pub(super) fn placed(&self) -> Option<(Arc<Placement>, ServiceName, Option<Arc<str>>)> {
        let key = self.locator.key.clone();
        match &self.route {
            Route::Keyed { away: Some(away), .. } => {
                Some((away.placement.clone(), away.service.clone(), key))
            }
            Route::Keyed { .. } | Route::Instances { .. } | Route::There(_) => None,
            Route::Late(late) => {
                let node = late.far.node(&self.locator).ok()?;
                let service = node.registry.bound(&self.locator.service).clone();
                Some((node.placement.clone()?, service, key))
            }
        }
    }

    /// What this node knows of where the receiver is: the epoch of its slot.
    pub(super) fn epoch(&self) -> u64 {
        let key = self.locator.key.as_deref();
        self.placed().map_or(0, |(placement, service, _)| placement.epoch(&service, placement::slot(key)))
    }

    /// The cell behind it, only if there is one.
    fn find(&self) -> Option<Handle<M>> {
        match &self.route {
            Route::Instances { provider, .. } => provider.find(None),
            Route::Keyed { provider, .. } => provider.find(self.locator.key.as_ref()),
            Route::There(_) => None,
            Route::Late(late) => self.found(late).ok()?.find(),
        }
    }

    #[cold]
    fn found<'a>(&self, late: &'a Late<M>) -> Result<&'a Address<M>, Refusal> {
        if let Some(address) = late.found.get() {
            return Ok(address);
        }
        let locator = &self.locator;
        let node = late.far.node(locator)?;
        let provider = node.registry.provider::<M>(&locator.service)?;
        super::provider::check_locator(locator, provider.keyed())?;
        let (registry, weak, spoken) = (&node.registry, Arc::downgrade(&node), late.far.spoken);
        // what has a provider has a kind
        let kind = registry.kind(&locator.service).unwrap_or(ServiceKind::Stateless);
        let address = || registry.lead(locator.clone(), (provider, kind), weak, spoken);
        Ok(late.found.get_or_init(address))
    }
}

impl<M: Message> Late<M> {
    /// This node does not provide it, for the given reason: perhaps a peer does.
    #[cold]
    fn there(&self, locator: &Locator, refusal: Refusal) -> Result<Arc<Target>, Refusal> {
        if !matches!(refusal, Refusal::UnknownService { .. }) {
            return Err(refusal);
        }
        let node = self.far.node(locator)?;
        self.wheel.get_or_init(|| node.wheel.clone());
        let service = node.registry.bound(&locator.service);
        if let Some(placement) = &node.placement
            && placement.has_line(service, locator.key.as_deref())
        {
            return Err(unplaced(service, BEHIND_OTHERS));
        }
        self.first_there(locator, refusal)
    }

    /// The same, before those that wait.
    fn first_there(&self, locator: &Locator, refusal: Refusal) -> Result<Arc<Target>, Refusal> {
        if !matches!(refusal, Refusal::UnknownService { .. }) {
            return Err(refusal);
        }
        let node = self.far.node(locator)?;
        self.wheel.get_or_init(|| node.wheel.clone());
        let service = node.registry.bound(&locator.service);
        self.far.find(&node, service, locator.key.as_ref())?.ok_or(refusal)
    }
}

/// Where a message goes.
pub(crate) enum Choice<'a, M: Message> {
    /// To a cell of this node.
    Here(Picked<'a, M>),
    /// To another node.
    There(Arc<Target>),
}
