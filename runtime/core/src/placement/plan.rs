//! Who should have which slots: rendezvous hashing, by which little moves when nodes come and go, with bounded loads
//! (Mirrokni, Thorup, Zadimoghaddam: "Consistent Hashing with Bounded Loads", 2018).

use super::slot::SlotId;
use super::slots::Slots;
use super::table::{Share, Table};
use crate::membership::{Command, MemberState, OfferKind, View};
use crate::rendezvous::{self, Hash};
use crate::{NodeId, ServiceName};
use std::collections::BTreeMap;

/// A node is given so many slots at the most, as a percentage of its even share. With less a node that leaves makes more
/// slots of others move: for 3 to 50 nodes at 105 up to 2.5 % of all slots, at 110 up to 1.7 %, without a bound none, but
/// then one node of 50 has 1.6 times its share.
pub const LOAD_PERCENT: usize = 110;
/// So many slots of a service are handed over by a node at the same time, at the most: their callers wait meanwhile, and
/// what they leave has to be sent.
pub const MOVING_MAX: usize = 64;

/// What the leader should propose: for each service that has to change one [`Command::Place`]. Nothing: all slots are
/// where they should be, or on their way, or there is nobody to have them.
///
/// Where a slot should be depends on the names of the nodes that take it alone, not on who has it, so a node that comes
/// back gets what it had. What is without an owner is placed at once; of what has to be handed over, as much as may be
/// under way. A slot that is on its way to a node which still takes it stays so, wherever it should be by now.
///
/// It looks at each slot for each node, so it is for when the view has changed.
pub fn plan(view: &View) -> Vec<Command> {
    let place = |(service, (kind, candidates)): (&ServiceName, (OfferKind, Vec<&NodeId>))| {
        let nothing = Table::empty(kind, 0);
        let table = view.tables.get(service).map_or(&nothing, |table| table);
        let shares = shares(table, &wanted(service, kind, &candidates), &candidates);
        (!shares.is_empty()).then(|| Command::Place { service: service.clone(), shares })
    };
    candidates(view).into_iter().filter_map(place).collect()
}

/// The most slots of a service that a node is given of so many which take them.
pub fn load_max(kind: OfferKind, candidates: usize) -> usize {
    (kind.slots() * LOAD_PERCENT).div_ceil(100 * candidates.max(1))
}

/// For each service that has slots, the nodes that take them, in the order of their names.
fn candidates(view: &View) -> BTreeMap<&ServiceName, (OfferKind, Vec<&NodeId>)> {
    let mut candidates = BTreeMap::new();
    for member in view.members.values().filter(|member| member.state == MemberState::Up) {
        for offer in member.card.offers.iter().filter(|offer| offer.kind.slots() > 0) {
            let (_, nodes) = candidates.entry(&offer.service).or_insert_with(|| (offer.kind, Vec::new()));
            nodes.push(&member.card.node);
        }
    }
    candidates
}

/// Where each slot should be: one after the other, on the node of the highest weight that has room. A singleton, then, is
/// where its weight alone puts it.
fn wanted<'a>(service: &ServiceName, kind: OfferKind, candidates: &[&'a NodeId]) -> Vec<&'a NodeId> {
    let load_max = load_max(kind, candidates.len());
    let mut nodes: Vec<(&NodeId, Hash, usize)> =
        candidates.iter().map(|node| (*node, rendezvous::of(&node.name, service), 0)).collect();
    let mut choose = |slot: SlotId| {
        let key = slot.to_string();
        let free = nodes.iter_mut().filter(|(_, _, load)| *load < load_max);
        let best = free.max_by_key(|(node, hash, _)| (hash.with(&key).finish(), &node.name));
        let (node, _, load) = best.expect("all slots have room on the candidates together");
        *load += 1;
        *node
    };
    SlotId::all().take(kind.slots()).map(&mut choose).collect()
}

/// Which slots should be elsewhere, and may begin to move.
fn shares(table: &Table, wanted: &[&NodeId], candidates: &[&NodeId]) -> Vec<Share> {
    let mut moving: BTreeMap<&NodeId, usize> = BTreeMap::new();
    for (_, slot) in table.slots().filter(|(_, slot)| slot.to.is_some()) {
        slot.owner.into_iter().for_each(|owner| *moving.entry(owner).or_default() += 1);
    }
    let mut shares: BTreeMap<&NodeId, Slots> = BTreeMap::new();
    for ((id, slot), wanted) in table.slots().zip(wanted) {
        let changes = match (slot.owner, slot.to) {
            (None, _) => true,
            (Some(_), Some(to)) => !candidates.contains(&to),
            (Some(owner), None) if owner == *wanted => false,
            (Some(owner), None) => {
                let moving = moving.entry(owner).or_default();
                *moving += 1;
                *moving <= MOVING_MAX
            }
        };
        if changes {
            shares.entry(wanted).or_default().insert(id);
        }
    }
    shares.into_iter().map(|(node, slots)| Share { node: node.clone(), slots }).collect()
}
