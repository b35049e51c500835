//! How a table is written in snapshots: slots that say the same together.

use super::slot::SlotId;
use super::slots::Slots;
use super::table::{Slot, Table};
use crate::NodeId;
use crate::membership::OfferKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A table as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    kind: OfferKind,
    nodes: Vec<NodeId>,
    groups: Vec<Group>,
}

/// Slots that say the same; nodes are places in the list.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    slots: Slots,
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<usize>,
}

/// Why what was read is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It names a slot twice, or one that such a service has not.
    #[error("slot {slot} is there twice, or the service has no such slot")]
    Slot {
        /// Which.
        slot: SlotId,
    },
    /// Slots are missing, or the kind has none.
    #[error("{count} slots of {wanted}, which is what such a service has")]
    Count {
        /// How many there are.
        count: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// It names a node that is not in its list.
    #[error("node {place} of a list of {nodes}")]
    Node {
        /// Which place.
        place: usize,
        /// How long the list is.
        nodes: usize,
    },
    /// A slot is to be handed over by nobody, or by a node to itself.
    #[error("slots {slots} are handed over, but not from one node to another")]
    Handover {
        /// Which.
        slots: Slots,
    },
}

impl From<&Table> for Written {
    fn from(table: &Table) -> Self {
        let mut groups: BTreeMap<_, Slots> = BTreeMap::new();
        let place = |node: &NodeId| table.nodes().binary_search(node).ok();
        for (id, slot) in table.slots() {
            let says = (slot.owner.and_then(place), slot.epoch, slot.to.and_then(place));
            groups.entry(says).or_default().insert(id);
        }
        let group = |((owner, epoch, to), slots)| Group { slots, epoch, owner, to };
        let groups = groups.into_iter().map(group).collect();
        Self { kind: table.kind(), nodes: table.nodes().to_vec(), groups }
    }
}

impl TryFrom<Written> for Table {
    type Error = TableError;

    fn try_from(Written { kind, nodes, groups }: Written) -> Result<Self, TableError> {
        let node = |place: Option<usize>| {
            let known = |place| nodes.get(place).ok_or(TableError::Node { place, nodes: nodes.len() });
            place.map(known).transpose()
        };
        let mut slots = BTreeMap::new();
        for group in &groups {
            let slot = Slot { owner: node(group.owner)?, epoch: group.epoch, to: node(group.to)? };
            if slot.to.is_some() && (slot.owner.is_none() || slot.owner == slot.to) {
                return Err(TableError::Handover { slots: group.slots.clone() });
            }
            for id in group.slots.iter() {
                if id.index() >= kind.slots() || slots.insert(id, slot).is_some() {
                    return Err(TableError::Slot { slot: id });
                }
            }
        }
        if slots.is_empty() || slots.len() != kind.slots() {
            return Err(TableError::Count { count: slots.len(), wanted: kind.slots() });
        }
        let slots: Vec<Slot<'_>> = slots.into_values().collect();
        Ok(Self::new(kind, &slots))
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Written::from(self), f)
    }
}
