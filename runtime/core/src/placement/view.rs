//! What a view says of slots, and what commands make of its tables: the same on each replica.

use super::slot::{SLOTS, SlotId};
use super::slots::Slots;
use super::table::{Share, Slot, Table};
use crate::membership::{MemberState, OfferKind, Problem, View};
use crate::{NodeId, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;

impl View {
    /// Who owns a slot of a service, and the slot's epoch. None: nobody does yet, or there is no such service or slot.
    pub fn owner_of(&self, service: &ServiceName, slot: SlotId) -> Option<(&NodeId, u64)> {
        let slot = self.tables.get(service)?.slot(slot)?;
        slot.owner.map(|owner| (owner, slot.epoch))
    }

    /// Whether a node that drains owns nothing that another one could have, and nothing is on its way to it. Not before it
    /// is known that it drains: others may choose it for more until then. One that is a member no more is drained, and
    /// one that is none yet is not: whoever has joined and drains may hear of both later.
    pub fn is_drained(&self, node: &NodeId) -> bool {
        let Some(member) = self.member(node) else {
            return self.gone.get(&node.name).is_some_and(|gone| gone.incarnation >= node.incarnation);
        };
        member.state == MemberState::Draining
            && self.tables.iter().all(|(service, table)| {
                let can = |other: &NodeId| self.takes(other, service, table.kind());
                let comes = table.slots().any(|(_, slot)| slot.to == Some(node));
                let has = table.slots_of(node).next().is_some();
                let goes_on = has && self.members.values().any(|other| can(&other.card.node));
                !(comes || goes_on)
            })
    }

    fn is_member(&self, node: &NodeId) -> bool {
        self.member(node).is_some()
    }

    /// Whether a node may be given slots of a service.
    fn takes(&self, node: &NodeId, service: &ServiceName, kind: OfferKind) -> bool {
        let member = self.member(node).filter(|member| member.state == MemberState::Up);
        member.is_some_and(|member| member.card.kind_of(service) == Some(kind))
    }

    /// Who should have which slots. Of a slot that is there twice the last one counts.
    pub(crate) fn place(
        &mut self,
        index: u64,
        service: &ServiceName,
        shares: &[Share],
    ) -> Result<(), Problem> {
        check_count(service, shares.iter().map(|share| share.slots.len()).sum())?;
        // it is the same wherever it is offered; stateless services have no slots
        let Some(kind) = self.members.values().find_map(|member| member.card.kind_of(service)) else {
            return Ok(());
        };
        let shares = shares.iter().filter(|share| self.takes(&share.node, service, kind));
        let wanted: BTreeMap<SlotId, &NodeId> =
            shares.flat_map(|share| share.slots.iter().map(|slot| (slot, &share.node))).collect();
        let known = self.tables.get(service).cloned();
        let table = known.unwrap_or_else(|| Arc::new(Table::empty(kind, index)));
        let changed = table.changed(|id, slot| match (wanted.get(&id), slot.owner) {
            (None, _) => slot,
            (Some(node), Some(owner)) if self.is_member(owner) => {
                Slot { to: (owner != *node).then_some(node), ..slot }
            }
            (Some(node), _) => Slot { owner: Some(node), epoch: index, to: None },
        });
        if let Some(changed) = changed {
            self.tables.insert(service.clone(), Arc::new(changed));
            self.epoch = index;
        }
        Ok(())
    }

    /// Slots were handed over: gives back which ones, or had been.
    pub(crate) fn hand(
        &mut self,
        index: u64,
        service: &ServiceName,
        slots: &[(SlotId, u64)],
        from: &NodeId,
        to: &NodeId,
    ) -> Result<Slots, Problem> {
        check_count(service, slots.len())?;
        let Some(table) = self.tables.get(service).cloned() else { return Ok(Slots::default()) };
        let handed: BTreeMap<SlotId, u64> = slots.iter().copied().collect();
        let owner = Some(to).filter(|to| self.is_member(to));
        let mut done = Slots::default();
        let changed = table.changed(|id, slot| {
            let Some(epoch) = handed.get(&id) else { return slot };
            let is_so = slot == Slot { owner: Some(from), epoch: *epoch, to: Some(to) };
            // whoever has proposed it did not hear what became of it
            let was_so = slot.owner == Some(to) && slot.epoch > *epoch;
            if is_so || was_so {
                done.insert(id);
            }
            if is_so { Slot { owner, epoch: index, to: None } } else { slot }
        });
        if let Some(changed) = changed {
            self.tables.insert(service.clone(), Arc::new(changed));
            self.epoch = index;
        }
        Ok(done)
    }

    /// Brings the tables in line with the members, whatever has become of them: who is no member owns nothing, nothing is
    /// handed over to it, and a service that no member offers has no table.
    pub(crate) fn settle(&mut self, index: u64) {
        let mut tables = std::mem::take(&mut self.tables);
        tables.retain(|service, table| {
            self.members.values().any(|member| member.card.kind_of(service) == Some(table.kind()))
        });
        for table in tables.values_mut() {
            if table.nodes().iter().all(|node| self.is_member(node)) {
                continue;
            }
            let changed = table.changed(|_, slot| match slot.owner {
                Some(owner) if !self.is_member(owner) => Slot { owner: None, epoch: index, to: None },
                _ => Slot { to: slot.to.filter(|to| self.is_member(to)), ..slot },
            });
            if let Some(changed) = changed {
                *table = Arc::new(changed);
            }
        }
        self.tables = tables;
    }
}

/// A command is bounded: nobody has more slots to say something of.
fn check_count(service: &ServiceName, count: usize) -> Result<(), Problem> {
    if count > SLOTS {
        return Err(Problem::TooManySlots { service: service.clone(), count, max: SLOTS });
    }
    Ok(())
}
