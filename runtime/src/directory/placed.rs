//! Providers whose activations are placed by the cluster group.

use super::provider::Provide;
use crate::cell::kind::Kind;
use crate::cell::port::{Overseer, Port};
use crate::cell::{self, Constructor, Handle, Wheel};
use crate::placement::{Left, Placed, Placement, unplaced};
use crate::reach::reached;
use crate::service::contract::{Contract, Service};
use crate::service::message::Message;
use bytes::Bytes;
use odeon_core::placement::{SlotId, slot_of};
use odeon_core::supervision::{Exit, StopReason};
use odeon_core::{Refusal, ServiceName};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

type MessageOf<S> = <<S as Service>::Contract as Contract>::Message;

/// A singleton of the whole cluster: it runs here while this node owns its slot.
pub(crate) struct Single<S: Service> {
    kind: Arc<Kind>,
    constructor: Constructor<S>,
    cell: Mutex<Latest<MessageOf<S>>>,
    placement: Arc<Placement>,
}

/// The last cell of a singleton on this node.
struct Latest<M: Message> {
    handle: Option<Handle<M>>,
    /// It was ended, for the slot was or may have been another node's: when it is over another one may begin.
    is_past: bool,
}

impl<S: Service> Single<S> {
    /// It does not run yet.
    pub(crate) fn start(
        overseer: Arc<dyn Overseer>,
        constructor: Constructor<S>,
        placement: &Arc<Placement>,
        make_kind: impl FnOnce(Arc<dyn Overseer>) -> Arc<Kind>,
    ) -> Arc<Self> {
        let placement = placement.clone();
        let overseer = PlacedOverseer { inner: overseer, placement: Some(placement.clone()) };
        let cell = Mutex::new(Latest { handle: None, is_past: false });
        Arc::new(Self { kind: make_kind(Arc::new(overseer)), constructor, cell, placement })
    }
}

impl<S: Service> Provide<MessageOf<S>> for Single<S> {
    fn pick(&self, _: Option<&Arc<str>>) -> Result<Handle<MessageOf<S>>, Refusal> {
        let mut cell = self.cell.lock();
        match &cell.handle {
            Some(handle) if !cell.is_past && !handle.is_fenced() => return Ok(handle.clone()),
            Some(handle) if !handle.is_over() => {
                return Err(unplaced(&self.kind.service, "its last activation here has not ended yet"));
            }
            Some(_) | None => {}
        }
        self.placement.admits(&self.kind.service, None)?;
        reached!(SINGLETON_BEGAN);
        let handle = cell::spawn(&self.kind, 0, None, self.constructor.clone());
        *cell = Latest { handle: Some(handle.clone()), is_past: false };
        Ok(handle)
    }

    fn find(&self, _: Option<&Arc<str>>) -> Option<Handle<MessageOf<S>>> {
        self.cell.lock().handle.clone().filter(|handle| !handle.is_over())
    }

    fn keyed(&self) -> bool {
        false
    }

    fn wheel(&self) -> &Arc<Wheel> {
        &self.kind.wheel
    }
}

impl<S: Service> Placed for Single<S> {
    fn service(&self) -> &ServiceName {
        &self.kind.service
    }

    fn begin(&self) -> bool {
        self.pick(None).is_ok()
    }

    fn cells(&self, _: Option<&BTreeSet<SlotId>>) -> Vec<Arc<dyn Port>> {
        self.find(None).iter().map(Handle::port).collect()
    }

    fn left(&self, _: &BTreeSet<SlotId>) -> Vec<(Arc<str>, Bytes)> {
        Vec::new()
    }

    fn lose(&self, slots: &BTreeSet<SlotId>) {
        let mut cell = self.cell.lock();
        if slots.is_empty() {
            return;
        }
        cell.is_past = true;
        // one that has begun since it was looked for: nobody would wait for its end
        if let Some(handle) = cell.handle.as_ref().filter(|handle| !handle.is_over()) {
            handle.port().fence();
        }
    }

    fn forget(&self, _: &dyn Fn(SlotId) -> Option<u64>) {}

    fn take(&self, _: Left) {}
}

/// Passes reports on. Activations that end because their node may not have them any more have not failed: nobody
/// starts them again here.
pub(super) struct PlacedOverseer {
    pub(super) inner: Arc<dyn Overseer>,
    pub(super) placement: Option<Arc<Placement>>,
}

impl PlacedOverseer {
    /// That of an entity's slot, as far as it is known here.
    pub(super) fn epoch(&self, service: &ServiceName, key: &str) -> u64 {
        self.placement.as_ref().map_or(0, |placement| placement.epoch(service, slot_of(key)))
    }

    fn is_elsewhere(&self, cell: &dyn Port) -> bool {
        let key = cell.key().map(|key| &**key);
        self.placement.as_ref().is_some_and(|placement| placement.admits(&cell.kind().service, key).is_err())
    }
}

impl Overseer for PlacedOverseer {
    fn admits(&self, key: &str) -> Result<(), Refusal> {
        self.inner.admits(key)
    }

    fn born(&self, cell: Arc<dyn Port>) {
        self.inner.born(cell);
    }

    fn started(&self, cell: &dyn Port) {
        self.inner.started(cell);
    }

    fn ended(&self, cell: &dyn Port, exit: &Exit) -> bool {
        if !exit.is_normal() && self.is_elsewhere(cell) {
            cell.fence();
            return self.inner.ended(cell, &Exit::Stopped { reason: StopReason::Shutdown });
        }
        self.inner.ended(cell, exit)
    }

    fn watch(&self, cell: &dyn Port, callback: Box<dyn FnOnce(&Exit) + Send>) {
        self.inner.watch(cell, callback);
    }

    fn gone(&self, cell: &dyn Port, exit: &Exit) {
        self.inner.gone(cell, exit);
        // entities begin with a message, a singleton by itself
        if let Some(placement) = self.placement.as_ref().filter(|_| cell.key().is_none()) {
            placement.look_again();
        }
    }
}
