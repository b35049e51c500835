//! Laws of slots, held against whatever members do, however late plans come and whoever claims to have handed over what.
//! Those that each step must keep are checked by [`World`].

use super::world::{CART, CLOCK, TILL, World, node};
use super::*;
use crate::NodeId;
use crate::membership::{Command, MemberState, OfferKind, View};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const OFFERS: [&[(&str, OfferKind)]; 4] = [&[CART, TILL, CLOCK], &[CART, CLOCK], &[TILL], &[]];

/// What happens next; numbers pick whom, and what of the past.
#[derive(Clone, Debug)]
enum Event {
    /// A node joins, or comes back after it was drained, or a member says that it offers something else.
    Joins(usize, usize),
    Restarts(usize, usize),
    Leaves(usize),
    Drains(usize),
    /// The leader plans and has its plan taken at once.
    Plans,
    /// It plans; what comes of it comes later.
    PlansForLater,
    PlanComes(usize),
    /// A node has handed over all that it was to.
    HandsOver(usize),
    /// What was said to be handed over is said again.
    HandsOverAgain(usize),
    /// Somebody says that slots were handed over, of an epoch that may be any.
    Claims(usize, usize, u64),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..NAMES.len();
    prop_oneof![
        3 => (who.clone(), 0..OFFERS.len()).prop_map(|(who, offers)| Event::Joins(who, offers)),
        1 => (who.clone(), 0..OFFERS.len()).prop_map(|(who, offers)| Event::Restarts(who, offers)),
        1 => who.clone().prop_map(Event::Leaves),
        1 => who.clone().prop_map(Event::Drains),
        4 => Just(Event::Plans),
        2 => Just(Event::PlansForLater),
        3 => (0..99_usize).prop_map(Event::PlanComes),
        5 => who.clone().prop_map(Event::HandsOver),
        1 => (0..99_usize).prop_map(Event::HandsOverAgain),
        1 => (who.clone(), who, 0..60_u64).prop_map(|(from, to, epoch)| Event::Claims(from, to, epoch)),
    ]
}

struct Fate {
    world: World,
    plans: Vec<Command>,
}

impl Fate {
    /// Three nodes that have everything.
    fn begin() -> Self {
        Self { world: World::of(&NAMES[..3], OFFERS[0]), plans: Vec::new() }
    }

    /// The last incarnation that is known of a node, or its first one.
    fn now(&self, who: usize) -> NodeId {
        let first = node(NAMES[who], 1);
        let incarnation = self.world.view.incarnation(&first.name).max(1);
        NodeId { incarnation, ..first }
    }

    fn next(&self, who: usize) -> NodeId {
        let first = node(NAMES[who], 1);
        NodeId { incarnation: self.world.view.incarnation(&first.name) + 1, ..first }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Joins(who, offers) => {
                let now = self.now(who);
                let member = self.world.view.member(&now);
                let is_up = member.is_some_and(|member| member.state == MemberState::Up);
                self.world.join(&if is_up { now } else { self.next(who) }, OFFERS[offers]);
            }
            Event::Restarts(who, offers) => self.world.join(&self.next(who), OFFERS[offers]),
            Event::Leaves(who) => self.world.remove(&self.now(who)),
            Event::Drains(who) => self.world.drain(&self.now(who)),
            Event::Plans => drop(self.world.plan()),
            Event::PlansForLater => self.plans.extend(plan(&self.world.view)),
            Event::PlanComes(which) => {
                if let Some(plan) = self.plans.get(which % self.plans.len().max(1)) {
                    self.world.apply(plan.clone());
                }
            }
            Event::HandsOver(who) => {
                for command in self.world.handed(&self.now(who)) {
                    self.world.apply(command);
                }
            }
            Event::HandsOverAgain(which) => {
                let handed = self.world.log.iter().filter(|c| matches!(c, Command::Handed { .. }));
                let handed: Vec<Command> = handed.cloned().collect();
                if let Some(command) = handed.get(which % handed.len().max(1)) {
                    self.world.apply(command.clone());
                }
            }
            Event::Claims(from, to, epoch) => {
                let slots = SlotId::all().map(|slot| (slot, epoch)).collect();
                let (from, to) = (self.now(from), self.now(to));
                self.world.apply(Command::Handed { service: super::world::service("cart"), slots, from, to });
            }
        }
    }
}

/// A text and back.
fn copied<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_vec(value).expect("it can be written");
    serde_json::from_slice(&text).expect("it can be read")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens_to_members_slots_come_to_rest_on_those_who_take_them(
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut fate = Fate::begin();
        events.iter().for_each(|event| fate.happens(event));
        fate.world.converge();
        let at_rest = fate.world.view.tables.clone();
        // where they come to rest does not depend on how they came there
        let mut anew = World::default();
        anew.view.members = fate.world.view.members.clone();
        anew.converge();
        let is_drained = |name: &crate::ServiceName| !anew.view.tables.contains_key(name);
        for (name, table) in at_rest.iter().filter(|(name, _)| !is_drained(name)) {
            let owners = |table: &Table| table.slots().map(|(_, s)| s.owner.cloned()).collect::<Vec<_>>();
            prop_assert_eq!(owners(table), owners(&anew.view.tables[name]));
        }
    }

    #[test]
    fn the_same_log_makes_the_same_view_also_of_a_snapshot(
        events in proptest::collection::vec(event(), 1..60),
        frozen in 0..80_usize,
    ) {
        let mut fate = Fate::begin();
        events.iter().for_each(|event| fate.happens(event));
        let mut replica = View::default();
        for (at, command) in fate.world.log.iter().enumerate() {
            if at == frozen {
                let thawed = copied(&replica);
                prop_assert_eq!(&thawed, &replica);
                replica = thawed;
            }
            replica.apply(at as u64 + 1, copied(command));
        }
        prop_assert_eq!(&replica, &fate.world.view);
        prop_assert_eq!(plan(&replica), plan(&fate.world.view));
    }
}

#[test]
fn histories_reach_what_the_laws_are_about() {
    // laws that are held against histories in which nothing happens prove nothing
    let mut runner = TestRunner::deterministic();
    let histories = proptest::collection::vec(event(), 1..60);
    let mut changes: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..96 {
        let events = histories.new_tree(&mut runner).expect("histories can be drawn").current();
        let mut fate = Fate::begin();
        for event in events {
            let what = match event {
                Event::PlanComes(_) => "a plan that comes late",
                Event::HandsOver(_) => "a handover",
                Event::Restarts(..) => "a restart",
                Event::Leaves(_) => "a node that leaves",
                _ => "all else",
            };
            let before = fate.world.view.tables.clone();
            fate.happens(&event);
            *changes.entry(what).or_default() += usize::from(before != fate.world.view.tables);
        }
    }
    assert!(changes.len() == 5 && changes.values().all(|count| *count > 20), "{changes:?}");
}
