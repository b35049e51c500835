//! Who provides a service on this node: instances of a stateless service, a singleton, or entities by key.

use super::active::Active;
use super::address::Locator;
use super::kept::Kept;
use super::placed::PlacedOverseer;
use crate::cell::kind::Kind;
use crate::cell::port::{Overseer, Phase, Port};
use crate::cell::{self, Constructor, Handle, Wheel, ambient};
use crate::placement::{Left, Placed, Placement};
use crate::service::contract::{Contract, Service};
use crate::service::message::Message;
use bytes::Bytes;
use odeon_core::id::KEY_MAX;
use odeon_core::placement::{SlotId, slot_of};
use odeon_core::supervision::Exit;
use odeon_core::{Refusal, ServiceName};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Chooses the cell for a message.
pub(crate) trait Provide<M: Message>: Send + Sync {
    /// The cell for the next message. Creates an entity that has none.
    fn pick(&self, key: Option<&Arc<str>>) -> Result<Handle<M>, Refusal>;
    /// The cell, only if there is one.
    fn find(&self, key: Option<&Arc<str>>) -> Option<Handle<M>>;
    /// Whether messages need a key.
    fn keyed(&self) -> bool;
    /// Whether one of its instances takes messages now. Entities always do: what waits for an activation is its
    /// supervisor's matter.
    fn is_ready(&self) -> bool {
        true
    }
    /// Of its instances that are ready that for which fewest messages wait, and how many.
    fn least_crowded(&self) -> Option<(Handle<M>, u32)> {
        None
    }
    /// The deadlines of its node.
    fn wheel(&self) -> &Arc<Wheel>;
}

/// An instance for which so many messages wait is crowded: a call goes to another one for which fewer wait. What expects no
/// answer does not, so that it stays in its order.
pub(crate) const CROWD: u32 = 16;

type MessageOf<S> = <<S as Service>::Contract as Contract>::Message;

/// The instances of a stateless service, one for each executor, or the one cell of a singleton.
pub(crate) struct Instances<M: Message> {
    kind: Arc<Kind>,
    handles: Vec<Handle<M>>,
    next: AtomicUsize,
}

impl<M: Message> Instances<M> {
    /// Starts them: one for each executor, or `most`.
    pub(crate) fn start<S>(kind: &Arc<Kind>, constructor: &Constructor<S>, most: usize) -> Arc<Self>
    where
        S: Service,
        S::Contract: Contract<Message = M>,
    {
        let count = kind.executors.len().min(most);
        let handles = (0..count).map(|i| cell::spawn(kind, i, None, constructor.clone())).collect();
        Arc::new(Self { kind: kind.clone(), handles, next: AtomicUsize::new(0) })
    }

    fn choose(&self) -> Option<&Handle<M>> {
        let here = ambient::executor().or_else(|| self.kind.executors.iter().position(|e| e.is_current()));
        let start = here.unwrap_or_else(|| self.next.fetch_add(1, Relaxed));
        let count = self.handles.len();
        let in_turn = || (0..count).map(|i| &self.handles[(start + i) % count]);
        in_turn().find(|h| h.is_running()).or_else(|| in_turn().find(|h| !h.is_closed()))
    }
}

impl<M: Message> Provide<M> for Instances<M> {
    fn pick(&self, _: Option<&Arc<str>>) -> Result<Handle<M>, Refusal> {
        // one instance needs no choice: its mailbox says the rest
        if let [only] = self.handles.as_slice() {
            return Ok(only.clone());
        }
        let none = || Refusal::NoInstance { service: self.kind.service.to_string() };
        self.choose().cloned().ok_or_else(none)
    }

    fn find(&self, _: Option<&Arc<str>>) -> Option<Handle<M>> {
        self.choose().cloned()
    }

    fn keyed(&self) -> bool {
        false
    }

    fn is_ready(&self) -> bool {
        self.handles.iter().any(Handle::is_running)
    }

    fn least_crowded(&self) -> Option<(Handle<M>, u32)> {
        let running = self.handles.iter().filter(|handle| handle.is_running());
        let least = running.map(|handle| (handle, handle.waiting())).min_by_key(|(_, waiting)| *waiting);
        least.map(|(handle, waiting)| (handle.clone(), waiting))
    }

    fn wheel(&self) -> &Arc<Wheel> {
        &self.kind.wheel
    }
}

/// Most entities of one service that are active on one node at the same time.
pub(crate) const ENTITIES_MAX: usize = 4_000_000;

/// The active entities of a service.
pub(crate) struct Entities<S: Service> {
    kind: Arc<Kind>,
    active: Arc<Active<MessageOf<S>>>,
    constructor: Constructor<S>,
    kept: Arc<Kept>,
    /// Where they are, if the cluster group says so.
    placement: Option<Arc<Placement>>,
}

impl<S: Service> Entities<S> {
    /// None active yet. `make_kind` gets the overseer that the kind's cells shall report to.
    pub(crate) fn start(
        overseer: Arc<dyn Overseer>,
        constructor: Constructor<S>,
        placement: Option<Arc<Placement>>,
        make_kind: impl FnOnce(Arc<dyn Overseer>) -> Arc<Kind>,
    ) -> Arc<Self> {
        let (active, kept) = (Arc::new(Active::new()), Arc::<Kept>::default());
        let wrapped = EntityOverseer::<MessageOf<S>> {
            inner: PlacedOverseer { inner: overseer, placement: placement.clone() },
            active: Arc::downgrade(&active),
            kept: kept.clone(),
        };
        Arc::new(Self { kind: make_kind(Arc::new(wrapped)), active, constructor, kept, placement })
    }

    fn executor_for(&self, key: &str) -> usize {
        let count = self.kind.executors.len();
        if count == 1 {
            return 0;
        }
        // beside whoever activates it; from outside, spread by key (FNV-1a)
        ambient::executor().unwrap_or_else(|| {
            let hash = key
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
            (hash % count as u64) as usize
        })
    }
}

impl<S: Service> Provide<MessageOf<S>> for Entities<S> {
    fn pick(&self, key: Option<&Arc<str>>) -> Result<Handle<MessageOf<S>>, Refusal> {
        let key = key.ok_or_else(|| Refusal::WrongAddress {
            service: self.kind.service.to_string(),
            problem: "it has entities: a key is needed".into(),
        })?;
        self.active.find_or(key, || {
            if self.active.count() >= ENTITIES_MAX {
                let problem = format!("{ENTITIES_MAX} entities are active on this node");
                return Err(Refusal::StartFailed { problem });
            }
            // also while the service stops: others may have it by now
            if let Some(placement) = &self.placement {
                placement.admits(&self.kind.service, Some(key))?;
            }
            self.kind.overseer.admits(key)?;
            let executor = self.executor_for(key);
            Ok(cell::spawn(&self.kind, executor, Some(key.clone()), self.constructor.clone()))
        })
    }

    fn find(&self, key: Option<&Arc<str>>) -> Option<Handle<MessageOf<S>>> {
        self.active.find(key?)
    }

    fn keyed(&self) -> bool {
        true
    }

    fn wheel(&self) -> &Arc<Wheel> {
        &self.kind.wheel
    }
}

impl<S: Service> Placed for Entities<S> {
    fn service(&self) -> &ServiceName {
        &self.kind.service
    }

    fn begin(&self) -> bool {
        true
    }

    fn cells(&self, slots: Option<&BTreeSet<SlotId>>) -> Vec<Arc<dyn Port>> {
        let is_meant = |key: &str| slots.is_none_or(|slots| slots.contains(&slot_of(key)));
        self.active.all(is_meant).iter().map(Handle::port).collect()
    }

    fn left(&self, slots: &BTreeSet<SlotId>) -> Vec<(Arc<str>, Bytes)> {
        self.kept.of(slots)
    }

    fn lose(&self, _: &BTreeSet<SlotId>) {}

    fn forget(&self, since: &dyn Fn(SlotId) -> Option<u64>) {
        self.kept.forget(since);
    }

    fn take(&self, left: Left) {
        self.kept.put(&left.key, left.state, left.epoch, &self.kind.service);
    }
}

/// Passes reports on and keeps the table of entities true.
struct EntityOverseer<M: Message> {
    inner: PlacedOverseer,
    /// Weak: the cells in it own their kind, and with it this.
    active: Weak<Active<M>>,
    kept: Arc<Kept>,
}

impl<M: Message> Overseer for EntityOverseer<M> {
    fn admits(&self, key: &str) -> Result<(), Refusal> {
        self.inner.admits(key)
    }

    fn born(&self, cell: Arc<dyn Port>) {
        self.inner.born(cell);
    }

    fn started(&self, cell: &dyn Port) {
        if let Some(key) = cell.key() {
            self.kept.settle(key, |kept| !kept.lent);
        }
        self.inner.started(cell);
    }

    fn ended(&self, cell: &dyn Port, exit: &Exit) -> bool {
        if let Some(key) = cell.key() {
            // lent to a start that came to nothing
            self.kept.settle(key, |kept| {
                kept.lent = false;
                true
            });
        }
        self.inner.ended(cell, exit)
    }

    fn watch(&self, cell: &dyn Port, callback: Box<dyn FnOnce(&Exit) + Send>) {
        self.inner.watch(cell, callback);
    }

    fn passivated(&self, cell: &dyn Port, state: Vec<u8>) {
        if let Some(key) = cell.key() {
            let service = &cell.kind().service;
            self.kept.put(key, state.into(), self.inner.epoch(service, key), service);
        }
    }

    fn restored(&self, cell: &dyn Port) -> Option<Bytes> {
        self.kept.lend(cell.key()?, cell.status().phase == Phase::Starting)
    }

    fn gone(&self, cell: &dyn Port, exit: &Exit) {
        if let Some(key) = cell.key()
            && let Some(active) = self.active.upgrade()
        {
            active.remove(key, cell.id());
        }
        self.inner.gone(cell, exit);
    }
}

/// Whether a locator fits a provider.
pub(crate) fn check_locator(locator: &Locator, keyed: bool) -> Result<(), Refusal> {
    let wrong =
        |problem: String| Err(Refusal::WrongAddress { service: locator.service.to_string(), problem });
    match (&locator.key, keyed) {
        (None, true) => wrong("it has entities: a key is needed".into()),
        (Some(_), false) => wrong("it has no entities: no key is allowed".into()),
        (Some(key), true) if key.is_empty() => wrong("the key is empty".into()),
        (Some(key), true) if key.len() > KEY_MAX => {
            wrong(format!("the key has {} bytes: {KEY_MAX} at most", key.len()))
        }
        _ => Ok(()),
    }
}
