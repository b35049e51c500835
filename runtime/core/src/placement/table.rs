//! The table of a service: who owns each of its slots. A table never changes; a command makes another one of it.

use super::slot::SlotId;
use super::slots::Slots;
use crate::NodeId;
use crate::membership::OfferKind;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a node should have of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Who.
    pub node: NodeId,
    /// Which slots.
    pub slots: Slots,
}

/// A slot, as its table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Who owns it: a member, in this incarnation. None: nobody does, until it is placed.
    pub owner: Option<&'a NodeId>,
    /// The index of the entry that gave it to its owner, or took it from the last one. It never falls.
    pub epoch: u64,
    /// To whom its owner is to hand it over. Until that is done it goes on to own it.
    pub to: Option<&'a NodeId>,
}

/// Who owns the slots of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    kind: OfferKind,
    /// All that are named below, sorted: so tables that say the same are equal.
    nodes: Vec<NodeId>,
    entries: Vec<Entry>,
}

/// A slot; nodes are places in the list.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    owner: Option<u16>,
    to: Option<u16>,
    epoch: u64,
}

impl Table {
    /// One in which nobody owns anything, since that epoch.
    pub(super) fn empty(kind: OfferKind, epoch: u64) -> Self {
        Self::new(kind, &vec![Slot { owner: None, epoch, to: None }; kind.slots()])
    }

    /// One of these slots, as many as the kind has.
    pub(super) fn new(kind: OfferKind, slots: &[Slot<'_>]) -> Self {
        debug_assert_eq!(slots.len(), kind.slots());
        let named: BTreeSet<&NodeId> =
            slots.iter().flat_map(|slot| [slot.owner, slot.to]).flatten().collect();
        let nodes: Vec<NodeId> = named.into_iter().cloned().collect();
        let place = |node: &NodeId| {
            let place = nodes.binary_search(node).expect("all of them were collected");
            u16::try_from(place).expect("a slot names two at the most")
        };
        let entry = |slot: &Slot<'_>| Entry {
            owner: slot.owner.map(place),
            to: slot.to.map(place),
            epoch: slot.epoch,
        };
        let entries = slots.iter().map(entry).collect();
        Self { kind, nodes, entries }
    }

    /// The one in which each slot is what `change` makes of it. None: that is this one.
    pub(super) fn changed<'a>(
        &'a self,
        mut change: impl FnMut(SlotId, Slot<'a>) -> Slot<'a>,
    ) -> Option<Self> {
        let mut is_another = false;
        let slots = self.slots().map(|(id, before)| {
            let after = change(id, before);
            debug_assert!(after.epoch >= before.epoch, "the epoch of a slot never falls");
            is_another |= before != after;
            after
        });
        let slots: Vec<Slot<'_>> = slots.collect();
        is_another.then(|| Self::new(self.kind, &slots))
    }

    /// How many activations there are of the service: it says how many slots there are.
    pub fn kind(&self) -> OfferKind {
        self.kind
    }

    /// All nodes that own something, or to which something is handed over, sorted.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// A slot. None: a service of this kind has it not.
    pub fn slot(&self, slot: SlotId) -> Option<Slot<'_>> {
        self.entries.get(slot.index()).map(|entry| self.read(entry))
    }

    /// All slots, in their order.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, Slot<'_>)> {
        SlotId::all().zip(&self.entries).map(|(id, entry)| (id, self.read(entry)))
    }

    fn read(&self, entry: &Entry) -> Slot<'_> {
        let node = |place: u16| &self.nodes[usize::from(place)];
        Slot { owner: entry.owner.map(node), epoch: entry.epoch, to: entry.to.map(node) }
    }

    /// What a node owns, in the order of the slots, also what it is to hand over.
    pub fn slots_of(&self, node: &NodeId) -> impl Iterator<Item = SlotId> {
        let place = self.nodes.binary_search(node).ok();
        let owned = move |entry: &Entry| place.is_some() && entry.owner.map(usize::from) == place;
        SlotId::all().zip(&self.entries).filter(move |(_, entry)| owned(entry)).map(|(id, _)| id)
    }

    /// What a node is to hand over, by whom it goes to: slots with their epochs, as
    /// [`Handed`](crate::membership::Command::Handed) names them.
    pub fn moving_from(&self, node: &NodeId) -> BTreeMap<&NodeId, Vec<(SlotId, u64)>> {
        let mut moving: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, slot) in self.slots().filter(|(_, slot)| slot.owner == Some(node)) {
            if let Some(to) = slot.to {
                moving.entry(to).or_default().push((id, slot.epoch));
            }
        }
        moving
    }

    /// How many slots each node owns that owns any.
    pub fn loads(&self) -> BTreeMap<&NodeId, usize> {
        let mut loads = BTreeMap::new();
        for owner in self.slots().filter_map(|(_, slot)| slot.owner) {
            *loads.entry(owner).or_default() += 1;
        }
        loads
    }
}
