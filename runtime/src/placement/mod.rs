//! Where entities and singletons are: at the owner of their slot, as the cluster group has placed it.
//!
//! Reading order: [`Placement`] answers where a receiver is; `line` is where messages wait while it is nowhere; `driver`
//! follows the view and the lease: it starts singletons that this node has got, ends what it has lost, and gives away
//! what others shall have; `handoff` carries what passivated entities left to their next owner.
//!
//! Architecture invariant: an activation begins only at the owner of its slot, and only while the node holds its lease.
//! Both are looked at under the lock of the table in which the activation is entered. It goes on only while the lease
//! holds: that it looks at itself, each time before anything of it runs (`cell::fence`).

mod driver;
mod handoff;
mod line;
mod news;
#[cfg(test)]
mod tests;

pub(crate) use driver::{drained, run};
pub(crate) use handoff::Takeover;
pub(crate) use line::{Held, Room};

use crate::cell::fence::Fence;
use crate::cell::port::Port;
use crate::membership::Membership;
use crate::telemetry::dump::{LineDump, millis};
use bytes::Bytes;
use line::Lines;
use odeon_core::membership::View;
use odeon_core::placement::{SlotId, slot_of};
use odeon_core::{NodeId, Refusal, ServiceName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this node.
    Here,
    /// At another one, since this epoch.
    There(NodeId, u64),
    /// Nowhere at the moment, for this reason.
    Nowhere(&'static str),
}

/// A service whose activations are placed, without its message type.
pub(crate) trait Placed: Send + Sync {
    /// Its name.
    fn service(&self) -> &ServiceName;
    /// If it is a singleton, this node has got it: it begins. False: not yet.
    fn begin(&self) -> bool;
    /// The cells of these slots; none: of all.
    fn cells(&self, slots: Option<&BTreeSet<SlotId>>) -> Vec<Arc<dyn Port>>;
    /// What passivated entities of these slots left.
    fn left(&self, slots: &BTreeSet<SlotId>) -> Vec<(Arc<str>, Bytes)>;
    /// What ran in them was ended. What this node has of them from now on begins anew.
    fn lose(&self, slots: &BTreeSet<SlotId>);
    /// Others have a slot since the epoch that this tells: what was left here before is worth nothing.
    fn forget(&self, since: &dyn Fn(SlotId) -> Option<u64>);
    /// What an entity left at the node that had its slot in this epoch.
    fn take(&self, left: Left);
}

/// What an entity left when it was passivated, on its way to the next owner of its slot. Named: other versions read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) key: Arc<str>,
    pub(crate) state: Bytes,
    /// That of its slot, as the one that gives it away has it. 0: it does not say.
    #[serde(default)]
    pub(crate) epoch: u64,
}

/// Where entities and singletons are, as far as this node knows.
#[derive(Default)]
pub(crate) struct Placement {
    membership: OnceLock<Membership>,
    /// What this node can activate.
    services: Mutex<BTreeMap<ServiceName, Arc<dyn Placed>>>,
    /// Slots that this node owns and gives away: nothing begins in them any more.
    given: Mutex<BTreeSet<(ServiceName, SlotId)>>,
    /// How often it was tried to carry something to another node.
    carried: AtomicU64,
    lines: Lines,
    /// Until when what is placed here may act.
    pub(crate) fence: Arc<Fence>,
    /// Something waits: the driver has to look.
    look: Notify,
    /// Something has become of what is here that no view tells of: it has to look at all of it.
    unsettled: AtomicBool,
}

/// The slot of a key; that of a singleton, which has none.
pub(crate) fn slot(key: Option<&str>) -> SlotId {
    key.map_or(SlotId::ONLY, slot_of)
}

impl Placement {
    /// From now on it is known what the cluster group says.
    pub(crate) fn follow(&self, membership: Membership) {
        let _ = self.membership.set(membership);
        self.look.notify_one();
    }

    /// This node can activate a service.
    pub(crate) fn add(&self, service: Arc<dyn Placed>) {
        self.services.lock().insert(service.service().clone(), service);
        self.look.notify_one();
    }

    /// Something has become of what is here that no view tells of.
    pub(crate) fn look_again(&self) {
        self.unsettled.store(true, SeqCst);
        self.look.notify_one();
    }

    fn placed(&self, service: &ServiceName) -> Option<Arc<dyn Placed>> {
        self.services.lock().get(service).cloned()
    }

    /// Where a receiver is.
    pub(crate) fn place(&self, service: &ServiceName, slot: SlotId) -> Place {
        let Some(membership) = self.membership.get() else {
            return Place::Nowhere("this node has not joined its cluster yet");
        };
        let view = membership.view();
        let Some(found) = view.tables.get(service).and_then(|table| table.slot(slot)) else {
            return Place::Nowhere("no node was chosen for it yet");
        };
        match found.owner {
            None => Place::Nowhere("its node is lost, and no other one is chosen yet"),
            Some(owner) if owner != membership.node() => Place::There(owner.clone(), found.epoch),
            Some(_) if !membership.may_act() => {
                Place::Nowhere("its node has heard nothing from the cluster group for too long")
            }
            Some(_) if self.is_given(service, slot) => {
                Place::Nowhere("it is being handed over to another node")
            }
            Some(_) => Place::Here,
        }
    }

    fn is_given(&self, service: &ServiceName, slot: SlotId) -> bool {
        let given = self.given.lock();
        !given.is_empty() && given.contains(&(service.clone(), slot))
    }

    /// Whether an activation may begin here.
    ///
    /// # Errors
    /// [`Refusal::Moved`]: it is at another node; [`Refusal::Unplaced`].
    pub(crate) fn admits(&self, service: &ServiceName, key: Option<&str>) -> Result<(), Refusal> {
        match self.place(service, slot(key)) {
            Place::Here => Ok(()),
            Place::There(..) => Err(Refusal::Moved { service: service.to_string() }),
            Place::Nowhere(problem) => Err(unplaced(service, problem)),
        }
    }

    /// What is known here of a slot: the epoch of its owner, or of the loss of that; 0: nothing.
    pub(crate) fn epoch(&self, service: &ServiceName, slot: SlotId) -> u64 {
        let known = |view: Arc<View>| Some(view.tables.get(service)?.slot(slot)?.epoch);
        self.membership.get().and_then(|membership| known(membership.view())).unwrap_or(0)
    }

    /// Whether the cluster group says where a service is.
    pub(crate) fn has_table(&self, service: &ServiceName) -> bool {
        self.membership.get().is_some_and(|membership| membership.view().tables.contains_key(service))
    }

    /// Whether messages for a receiver wait: whoever comes later waits behind them.
    #[inline]
    pub(crate) fn has_line(&self, service: &ServiceName, key: Option<&str>) -> bool {
        !self.lines.are_empty() && self.lines.has(service, slot(key))
    }

    /// Keeps a message until its receiver is somewhere.
    pub(crate) fn hold(&self, service: &ServiceName, key: Option<&str>, message: Box<dyn Held>) {
        self.lines.push(service, slot(key), message, Instant::now());
        self.look.notify_one();
    }
}

impl Placement {
    /// What waits because its receiver is nowhere, the longest first.
    pub(crate) fn look(&self) -> Vec<LineDump> {
        let now = Instant::now();
        let of = |(service, slot, since, messages, bytes): (ServiceName, SlotId, Option<Instant>, _, _)| {
            LineDump {
                slot: slot.index(),
                messages,
                bytes,
                for_ms: millis(since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))),
                why: match self.place(&service, slot) {
                    Place::Nowhere(why) => why.into(),
                    Place::There(node, _) => format!("it is about to go on to {node}"),
                    Place::Here => "its receiver is about to begin here".into(),
                },
                service: service.to_string(),
            }
        };
        let mut lines: Vec<LineDump> = self.lines.look().into_iter().map(of).collect();
        lines.sort_by_key(|line| Reverse(line.for_ms));
        lines
    }

    /// How many slots of each service are being given to other nodes.
    pub(crate) fn giving(&self) -> BTreeMap<String, usize> {
        let mut giving = BTreeMap::new();
        for (service, _) in &*self.given.lock() {
            *giving.entry(service.to_string()).or_default() += 1;
        }
        giving
    }
}

/// Why a receiver is nowhere.
pub(crate) fn unplaced(service: &ServiceName, problem: &str) -> Refusal {
    Refusal::Unplaced { service: service.to_string(), problem: problem.into() }
}
