//! Slots that go from one owner to another, and from owners that are no more.

use super::world::{CART, CLOCK, TILL, World, node, service, slot, slots};
use super::*;
use crate::NodeId;
use crate::membership::{Command, OfferKind, Outcome};

/// Two nodes of which the first has all slots of `cart`, and is to hand over slots 3 and 4; their epoch.
fn moving() -> (World, NodeId, NodeId, u64) {
    let (a, b) = (node("a", 1), node("b", 1));
    let mut world = World::of(&["a"], &[CART]);
    world.join(&b, &[CART]);
    let shares = vec![Share { node: b.clone(), slots: slots("3-4") }];
    world.apply(Command::Place { service: service("cart"), shares });
    let epoch = world.view.owner_of(&service("cart"), slot(3)).expect("it has an owner").1;
    (world, a, b, epoch)
}

fn handed(slots: &[(u16, u64)], from: &NodeId, to: &NodeId) -> Command {
    let slots = slots.iter().map(|(index, epoch)| (slot(*index), *epoch)).collect();
    Command::Handed { service: service("cart"), slots, from: from.clone(), to: to.clone() }
}

fn done(outcome: Outcome) -> String {
    let Outcome::Handed { done, .. } = outcome else { panic!("{outcome:?}") };
    done.to_string()
}

#[test]
fn the_owner_goes_on_until_it_says_that_it_has_handed_over() {
    let (mut world, a, b, epoch) = moving();
    let cart = service("cart");
    assert_eq!(world.view.owner_of(&cart, slot(3)), Some((&a, epoch)), "the epoch is that of the owner");
    assert!(world.view.epoch > epoch);
    assert_eq!(world.table("cart").moving_from(&a)[&b], [(slot(3), epoch), (slot(4), epoch)]);
    assert_eq!(world.table("cart").moving_from(&b).len(), 0);
    let outcome = world.apply(handed(&[(3, epoch)], &a, &b));
    let now = world.log.len() as u64;
    assert_eq!(outcome, Outcome::Handed { epoch: now, done: slots("3") });
    assert_eq!(world.view.owner_of(&cart, slot(3)), Some((&b, now)));
    assert_eq!(world.view.owner_of(&cart, slot(4)), Some((&a, epoch)));
    assert_eq!(world.table("cart").loads().into_iter().collect::<Vec<_>>(), [(&a, SLOTS - 1), (&b, 1)]);
}

#[test]
fn what_is_not_so_or_no_longer_so_is_left_alone() {
    let (mut world, a, b, epoch) = moving();
    let before = world.view.clone();
    for wrong in [
        handed(&[(5, epoch)], &a, &b),
        handed(&[(3, epoch - 1), (4, epoch + 1)], &a, &b),
        handed(&[(3, epoch)], &b, &a),
        handed(&[(3, epoch)], &a, &node("b", 2)),
        handed(&[(3, epoch)], &node("a", 2), &b),
        handed(&[(3, epoch)], &a, &node("c", 1)),
        Command::Handed {
            service: service("till"),
            slots: vec![(slot(3), epoch)],
            from: a.clone(),
            to: b.clone(),
        },
    ] {
        assert_eq!(done(world.apply(wrong.clone())), "", "{wrong:?}");
        assert_eq!(world.view, before, "{wrong:?}");
    }
}

#[test]
fn who_says_again_that_it_has_handed_over_learns_that_it_is_done() {
    let (mut world, a, b, epoch) = moving();
    let both = handed(&[(3, epoch), (4, epoch), (5, epoch)], &a, &b);
    assert_eq!(done(world.apply(both.clone())), "3-4");
    let after = world.view.clone();
    assert_eq!(done(world.apply(both)), "3-4");
    assert_eq!(world.view, after, "nothing has changed");
}

#[test]
fn a_plan_may_call_back_what_was_not_handed_over_yet() {
    let (mut world, a, b, epoch) = moving();
    let shares = vec![Share { node: a.clone(), slots: slots("3") }];
    world.apply(Command::Place { service: service("cart"), shares });
    assert_eq!(done(world.apply(handed(&[(3, epoch), (4, epoch)], &a, &b))), "4");
    assert_eq!(world.view.owner_of(&service("cart"), slot(3)), Some((&a, epoch)));
}

#[test]
fn when_whom_it_goes_to_is_gone_the_owner_keeps_it() {
    for comes_back in [false, true] {
        let (mut world, a, b, epoch) = moving();
        if comes_back {
            world.join(&node("b", 2), &[CART]);
        } else {
            world.remove(&b);
        }
        assert!(world.table("cart").moving_from(&a).is_empty());
        assert_eq!(done(world.apply(handed(&[(3, epoch)], &a, &b))), "");
        assert_eq!(world.view.owner_of(&service("cart"), slot(3)), Some((&a, epoch)));
    }
}

#[test]
fn when_the_owner_is_gone_its_slots_are_free_in_a_new_epoch() {
    for comes_back in [false, true] {
        let (mut world, a, b, epoch) = moving();
        if comes_back {
            world.join(&node("a", 2), &[CART]);
        } else {
            world.remove(&a);
        }
        let now = world.log.len() as u64;
        let free = Slot { owner: None, epoch: now, to: None };
        assert!(world.table("cart").slots().all(|(_, slot)| slot == free));
        assert_eq!(done(world.apply(handed(&[(3, epoch)], &a, &b))), "", "it has come too late");
        world.converge();
    }
}

#[test]
fn who_drains_keeps_what_it_owns_until_it_has_handed_it_over() {
    let mut world = World::of(&["a", "b", "c"], &[CART, CLOCK]);
    let a = node("a", 1);
    let before: Vec<SlotId> = world.table("cart").slots_of(&a).collect();
    world.drain(&a);
    assert!(world.table("cart").slots_of(&a).eq(before.iter().copied()));
    world.plan();
    assert!(world.table("cart").slots_of(&a).eq(before));
    assert_eq!(world.table("cart").moving_from(&a).values().map(Vec::len).sum::<usize>(), MOVING_MAX);
    world.converge();
    assert_eq!(world.table("cart").slots_of(&a).count(), 0);
    assert_eq!(world.table("clock").slots_of(&a).count(), 0);
}

#[test]
fn who_offers_a_service_no_more_hands_it_over_as_long_as_others_do() {
    let mut world = World::of(&["a", "b"], &[CART]);
    let a = node("a", 1);
    let owned = world.table("cart").slots_of(&a).count();
    world.join(&a, &[TILL]);
    assert_eq!(world.table("cart").slots_of(&a).count(), owned);
    world.converge();
    assert_eq!(world.table("cart").slots_of(&a).count(), 0);
    assert_eq!(world.table("till").slots_of(&a).count(), SLOTS);
}

#[test]
fn a_service_that_nobody_offers_has_no_table_and_may_be_of_another_kind_then() {
    let mut world = World::of(&["a", "b"], &[CART, TILL]);
    world.drain(&node("a", 1));
    world.remove(&node("b", 1));
    assert_eq!(world.view.tables.len(), 2, "one that drains offers it still");
    let last = world.table("cart").slot(slot(0)).expect("there is one").epoch;
    world.join(&node("a", 1), &[TILL]);
    assert!(!world.view.tables.contains_key(&service("cart")));
    world.join(&node("b", 2), &[("cart", OfferKind::Singleton)]);
    world.converge();
    let table = world.table("cart");
    assert_eq!((table.kind(), table.slots().count()), (OfferKind::Singleton, 1));
    assert!(table.slot(SlotId::ONLY).expect("there is one").epoch > last);
    assert_eq!(table.slot(slot(1)), None);
    // at once, by the only one that offers it
    world.join(&node("b", 2), &[CART]);
    assert!(!world.view.tables.contains_key(&service("cart")));
    world.converge();
    assert_eq!(world.table("cart").slots_of(&node("b", 2)).count(), SLOTS);
}

#[test]
fn a_node_is_drained_once_it_has_nothing_that_others_take_and_nothing_comes_to_it() {
    let (mut world, a, b, epoch) = moving();
    assert!(!world.view.is_drained(&a) && !world.view.is_drained(&b), "they do not drain");
    let before = world.view.clone();
    world.drain(&b);
    assert!(!before.is_drained(&b), "what was so before says nothing");
    assert!(!world.view.is_drained(&b), "slots are on their way to it");
    world.apply(handed(&[(3, epoch), (4, epoch)], &a, &b));
    assert!(!world.view.is_drained(&b), "they are there");
    let back = vec![Share { node: a.clone(), slots: slots("3-4") }];
    world.apply(Command::Place { service: service("cart"), shares: back });
    let epoch = world.view.owner_of(&service("cart"), slot(3)).expect("it has an owner").1;
    world.apply(handed(&[(3, epoch), (4, epoch)], &b, &a));
    assert!(world.view.is_drained(&b));
    world.drain(&a);
    assert!(world.view.is_drained(&a), "nobody else takes what it has");
    assert!(!world.view.is_drained(&node("c", 1)), "it is no member yet");
    world.remove(&b);
    assert!(world.view.is_drained(&b), "it is no member any more");
    assert!(!world.view.is_drained(&node("b", 2)), "its next incarnation is none yet");
}
