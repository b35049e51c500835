//! A cluster for the tests of placement, which holds each step against the laws of slots.

use super::*;
use crate::membership::{Card, Command, LevelRange, MemberState, Offer, OfferKind, Outcome, Reason, View};
use crate::{NodeId, ReplicaId, ServiceName};
use std::collections::BTreeMap;

pub(super) const CART: (&str, OfferKind) = ("cart", OfferKind::Entity);
pub(super) const TILL: (&str, OfferKind) = ("till", OfferKind::Entity);
pub(super) const CLOCK: (&str, OfferKind) = ("clock", OfferKind::Singleton);

pub(super) fn node(name: &str, incarnation: u64) -> NodeId {
    NodeId { name: name.parse().expect("a name"), incarnation }
}

pub(super) fn service(name: &str) -> ServiceName {
    name.parse().expect("a name")
}

pub(super) fn slot(index: u16) -> SlotId {
    SlotId::new(index).expect("there is one")
}

pub(super) fn slots(text: &str) -> Slots {
    text.parse().expect("slots")
}

/// What a node says of itself that offers these services.
pub(super) fn card(node: &NodeId, offers: &[(&str, OfferKind)]) -> Box<Card> {
    let offer = |(name, kind): &(&str, OfferKind)| Offer {
        service: service(name),
        contract: (*name).into(),
        major: 1,
        minor: 0,
        kind: *kind,
    };
    Box::new(Card {
        node: node.clone(),
        replica: ReplicaId(1),
        address: "127.0.0.1:7000".into(),
        host: String::new(),
        zone: String::new(),
        version: String::new(),
        artifact: String::new(),
        levels: LevelRange::READ,
        offers: offers.iter().map(offer).collect(),
    })
}

/// A view, with the log that has made it.
#[derive(Default)]
pub(super) struct World {
    pub(super) view: View,
    pub(super) log: Vec<Command>,
    /// The highest epoch that each slot has had, also in tables that were dropped.
    epochs: BTreeMap<(ServiceName, SlotId), u64>,
}

impl World {
    /// These nodes, in their first incarnation, with all slots placed.
    pub(super) fn of(names: &[&str], offers: &[(&str, OfferKind)]) -> Self {
        let mut world = Self::default();
        names.iter().for_each(|name| world.join(&node(name, 1), offers));
        world.converge();
        world
    }

    pub(super) fn join(&mut self, node: &NodeId, offers: &[(&str, OfferKind)]) {
        let joined = self.apply(Command::Join { card: card(node, offers) });
        assert!(matches!(joined, Outcome::Done { .. }), "{joined:?}");
    }

    pub(super) fn drain(&mut self, node: &NodeId) {
        self.apply(Command::Drain { node: node.clone() });
    }

    pub(super) fn remove(&mut self, node: &NodeId) {
        self.apply(Command::Remove { node: node.clone(), reason: Reason::LeaseEnded, renewals: None });
    }

    pub(super) fn table(&self, name: &str) -> &Table {
        &self.view.tables[&service(name)]
    }

    /// Who owns each slot of a service, by name; empty: nobody.
    pub(super) fn owners(&self, name: &str) -> Vec<String> {
        let owner = |slot: Slot<'_>| slot.owner.map_or(String::new(), |owner| owner.name.to_string());
        self.table(name).slots().map(|(_, slot)| owner(slot)).collect()
    }

    /// Takes a command as the next entry of the log.
    pub(super) fn apply(&mut self, command: Command) -> Outcome {
        let before = self.view.clone();
        self.log.push(command.clone());
        let index = self.log.len() as u64;
        let outcome = self.view.apply(index, command.clone());
        let is_same = before.members.len() == self.view.members.len() && before.tables == self.view.tables;
        assert!(is_same || self.view.epoch == index, "each epoch has its content");
        self.check_slots(index);
        if before.tables != self.view.tables {
            self.check_changes(&before, &command, index);
        }
        if let (Command::Handed { service, to, .. }, Outcome::Handed { done, .. }) = (&command, &outcome) {
            for slot in done.iter() {
                let owner = self.view.owner_of(service, slot).map(|(owner, _)| owner);
                assert_eq!(owner, Some(to), "what is told as done is so");
            }
        }
        outcome
    }

    /// Owners and heirs are members, and no slot's epoch falls.
    fn check_slots(&mut self, index: u64) {
        for (service, table) in &self.view.tables {
            let offered = self.view.members.values().any(|m| m.card.kind_of(service) == Some(table.kind()));
            assert!(offered, "{service} has a table and nobody offers it");
            for (id, slot) in table.slots() {
                for named in [slot.owner, slot.to].into_iter().flatten() {
                    assert!(self.view.member(named).is_some(), "{service} {id}: {slot:?}");
                }
                assert!(slot.to.is_none() || slot.owner.is_some() && slot.owner != slot.to);
                let known = self.epochs.entry((service.clone(), id)).or_default();
                assert!((*known..=index).contains(&slot.epoch), "{service} {id}: {slot:?} after {known}");
                *known = slot.epoch;
            }
        }
    }

    /// A slot changes its owner in a new epoch only, and never from one that lives unless that one has handed it over.
    /// What is given to somebody is given to one that takes it.
    fn check_changes(&self, before: &View, command: &Command, index: u64) {
        for (service, table) in &self.view.tables {
            let Some(table_before) = before.tables.get(service).filter(|old| old.kind() == table.kind())
            else {
                continue;
            };
            for ((id, old), (_, new)) in table_before.slots().zip(table.slots()) {
                if old == new {
                    continue;
                }
                let told = || format!("{service} {id}: {old:?} {new:?} by {command:?}");
                if old.owner == new.owner {
                    assert_eq!(old.epoch, new.epoch, "{}", told());
                } else {
                    assert_eq!(new.epoch, index, "{}", told());
                }
                if matches!(command, Command::Place { .. }) {
                    let given = if old.owner == new.owner { new.to } else { new.owner };
                    let candidates = self.candidates(service);
                    assert!(given.is_none_or(|node| candidates.contains(&node)), "{}", told());
                }
                let lives = old.owner.filter(|owner| self.view.member(owner).is_some());
                if let Some(owner) = lives.filter(|owner| new.owner != Some(*owner)) {
                    let Command::Handed { slots, from, .. } = command else { panic!("{}", told()) };
                    assert!(
                        from == owner && old.to == new.owner && slots.contains(&(id, old.epoch)),
                        "{}",
                        told()
                    );
                }
            }
        }
    }

    /// Takes a plan. So many slots does it name.
    pub(super) fn plan(&mut self) -> usize {
        let mut count = 0;
        for command in plan(&self.view) {
            let Command::Place { service, shares } = &command else { panic!("a plan places: {command:?}") };
            let service = service.clone();
            count += shares.iter().map(|share| share.slots.len()).sum::<usize>();
            let before = self.view.tables.get(&service).cloned();
            assert!(matches!(self.apply(command), Outcome::Done { .. }));
            let now = &self.view.tables[&service];
            assert!(before.as_ref() != Some(now), "a plan changes something");
            for member in self.view.members.values().map(|member| &member.card.node) {
                let moving = |table: &Table| table.moving_from(member).values().map(Vec::len).sum::<usize>();
                let before = before.as_ref().map_or(0, |table| moving(table));
                assert!(moving(now) <= MOVING_MAX.max(before), "{member} hands over {}", moving(now));
            }
        }
        count
    }

    /// What a node would say to have handed over all that it is to hand over.
    pub(super) fn handed(&self, from: &NodeId) -> Vec<Command> {
        let mut commands = Vec::new();
        for (service, table) in &self.view.tables {
            for (to, slots) in table.moving_from(from) {
                let (service, from, to) = (service.clone(), from.clone(), to.clone());
                commands.push(Command::Handed { service, slots, from, to });
            }
        }
        commands
    }

    /// All hand over what they are to.
    pub(super) fn hand_over(&mut self) {
        let members: Vec<NodeId> =
            self.view.members.values().map(|member| member.card.node.clone()).collect();
        let commands: Vec<Command> = members.iter().flat_map(|member| self.handed(member)).collect();
        for command in commands {
            self.apply(command);
        }
    }

    /// Plans and hands over until there is nothing to do; then all is where it should be.
    pub(super) fn converge(&mut self) {
        let mut rounds = 0;
        loop {
            let planned = self.plan();
            self.hand_over();
            if planned == 0 && plan(&self.view).is_empty() {
                break;
            }
            rounds += 1;
            // a single node that has all and takes nothing any more needs sixteen
            assert!(rounds < 40, "{:?}", self.view.tables);
        }
        for (service, table) in &self.view.tables {
            let candidates: Vec<&NodeId> = self.candidates(service);
            if candidates.is_empty() {
                continue;
            }
            for (id, slot) in table.slots() {
                assert!(
                    slot.owner.is_some_and(|owner| candidates.contains(&owner)),
                    "{service} {id}: {slot:?}"
                );
                assert_eq!(slot.to, None, "{service} {id}");
            }
            let most = table.loads().into_values().max();
            assert!(most <= Some(load_max(table.kind(), candidates.len())), "{service}: {:?}", table.loads());
        }
    }

    fn candidates(&self, service: &ServiceName) -> Vec<&NodeId> {
        let members = self.view.members.values().filter(|member| member.state == MemberState::Up);
        let offering = members.filter(|member| member.card.kind_of(service).is_some());
        offering.map(|member| &member.card.node).collect()
    }
}
