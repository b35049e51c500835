//! What a reference needs to find its receiver on another node.

use super::address::Locator;
use crate::cell::{Wheel, ambient};
use crate::node::NodeInner;
use crate::placement::{Placement, unplaced};
use crate::reach::reached;
use crate::remote::{Rota, Spoken, Target};
use odeon_core::{NodeId, Refusal, ServiceName};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Why a message waits although its receiver is somewhere.
pub(super) const BEHIND_OTHERS: &str = "messages that came before wait for it";

/// How receivers on other nodes are found.
pub(super) struct Far {
    node: Weak<NodeInner>,
    pub(super) spoken: Spoken,
    /// On other nodes, as long as nothing changes there.
    there: Mutex<Option<Rota>>,
    /// At which number of changes nobody had it.
    nobody: AtomicU64,
}

impl Far {
    pub(super) fn new(node: Weak<NodeInner>, spoken: Spoken) -> Self {
        Self { node, spoken, there: Mutex::new(None), nobody: AtomicU64::new(u64::MAX) }
    }

    pub(super) fn node(&self, locator: &Locator) -> Result<Arc<NodeInner>, Refusal> {
        let node = self.node.upgrade().or_else(ambient::node);
        node.ok_or_else(|| Refusal::NoNode { address: locator.to_string() })
    }

    /// Who is next, if nothing has changed.
    pub(super) fn known(&self) -> Option<Arc<Target>> {
        self.there.lock().as_mut().and_then(Rota::next)
    }

    /// An instance of a stateless service on another node that can be reached and is ready.
    #[cold]
    pub(super) fn ready(&self, locator: &Locator) -> Option<Arc<Target>> {
        let node = self.node(locator).ok()?;
        let links = node.links.get()?;
        let changes = links.changes();
        if self.nobody.load(Relaxed) == changes {
            return None;
        }
        let mut there = self.there.lock();
        if !there.as_ref().is_some_and(Rota::is_right) {
            let service = node.registry.bound(&locator.service);
            *there = links.find(service, None, self.spoken, there.as_ref()).ok();
        }
        let Some(rota) = there.as_mut().filter(|rota| rota.is_ready()) else {
            self.nobody.store(changes, Relaxed);
            return None;
        };
        reached!(SPILLED);
        Some(rota.next_at_once())
    }

    /// Looks for it. None: the node has no links.
    ///
    /// # Errors
    /// No node has it, or none is known to at the moment.
    pub(super) fn find(
        &self,
        node: &NodeInner,
        service: &ServiceName,
        key: Option<&Arc<str>>,
    ) -> Result<Option<Arc<Target>>, Refusal> {
        let Some(links) = node.links.get() else { return Ok(None) };
        let mut there = self.there.lock();
        let mut rota = links.find(service, key, self.spoken, there.as_ref())?;
        let target = rota.next_at_once();
        *there = Some(rota);
        Ok(Some(target))
    }
}

/// A receiver that is meant on one other node, whatever there is of its service elsewhere.
pub(super) struct There {
    node: Weak<NodeInner>,
    pub(super) wheel: Arc<Wheel>,
    on: NodeId,
    spoken: Spoken,
    target: Mutex<Option<Arc<Target>>>,
}

impl There {
    pub(super) fn new(node: &Arc<NodeInner>, on: NodeId, spoken: Spoken) -> Self {
        let wheel = node.wheel.clone();
        Self { node: Arc::downgrade(node), wheel, on, spoken, target: Mutex::new(None) }
    }

    /// The receiver, as long as its node lives in this incarnation.
    ///
    /// # Errors
    /// There is no such node, or it has no such service.
    pub(super) fn find(&self, locator: &Locator) -> Result<Arc<Target>, Refusal> {
        let mut target = self.target.lock();
        if let Some(known) = target.as_ref().filter(|known| known.is_current()) {
            return Ok(known.clone());
        }
        let node = self.node.upgrade().ok_or(Refusal::Stopped)?;
        let links = node.links.get().ok_or(Refusal::Stopped)?;
        let found = links.find_on(&self.on, &locator.service, locator.key.as_ref(), self.spoken)?;
        Ok(target.insert(found).clone())
    }
}

/// A receiver of this node that may be at another one, for it is placed.
pub(crate) struct Away {
    pub(super) far: Far,
    pub(super) placement: Arc<Placement>,
    /// The name under which it is registered.
    pub(super) service: ServiceName,
}

impl Away {
    pub(super) fn new(
        placement: Arc<Placement>,
        service: ServiceName,
        node: Weak<NodeInner>,
        spoken: Spoken,
    ) -> Self {
        Self { far: Far::new(node, spoken), placement, service }
    }

    /// # Errors
    /// [`Refusal::Unplaced`]: others wait, and it has to go behind them.
    #[inline]
    pub(super) fn check_line(&self, key: Option<&Arc<str>>) -> Result<(), Refusal> {
        match self.placement.has_line(&self.service, key.map(|key| &**key)) {
            true => Err(unplaced(&self.service, BEHIND_OTHERS)),
            false => Ok(()),
        }
    }

    /// Whether its activation may begin here, and a message go to it at once.
    ///
    /// # Errors
    /// [`Refusal::Moved`], [`Refusal::Unplaced`].
    pub(super) fn admits(&self, key: Option<&Arc<str>>) -> Result<(), Refusal> {
        self.check_line(key)?;
        self.placement.admits(&self.service, key.map(|key| &**key))
    }

    /// Looks for it at other nodes.
    ///
    /// # Errors
    /// It cannot be found there at the moment.
    pub(super) fn find(&self, key: Option<&Arc<str>>) -> Result<Arc<Target>, Refusal> {
        let node = self.far.node.upgrade().ok_or(Refusal::Stopped)?;
        let nowhere = || unplaced(&self.service, "this node has no links to others");
        self.far.find(&node, &self.service, key)?.ok_or_else(nowhere)
    }

    /// The receiver on another node, if that is where it is.
    pub(super) fn elsewhere(&self, key: Option<&Arc<str>>) -> Option<Arc<Target>> {
        match self.placement.admits(&self.service, key.map(|key| &**key)) {
            Err(Refusal::Moved { .. }) => self.find(key).ok(),
            _ => None,
        }
    }
}
