//! Where plans put slots, and how little they move.

use super::world::{CART, CLOCK, TILL, World, node, service, slots};
use super::*;
use crate::membership::{Command, OfferKind, Outcome};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("node-{number}")).collect()
}

fn world(count: usize, offers: &[(&str, OfferKind)]) -> World {
    let names = names(count);
    World::of(&names.iter().map(String::as_str).collect::<Vec<_>>(), offers)
}

#[test]
fn the_first_plan_places_all_at_once_and_nobody_has_much_more_than_others() {
    for count in [1, 2, 3, 5, 20, 50] {
        let mut world = World::default();
        names(count).iter().for_each(|name| world.join(&node(name, 1), &[CART, CLOCK]));
        assert_eq!(plan(&world.view).len(), 2, "one for each service");
        assert_eq!(world.plan(), SLOTS + 1);
        assert_eq!(plan(&world.view), []);
        let table = world.table("cart");
        assert_eq!(table.loads().into_values().sum::<usize>(), SLOTS);
        let (most, even) = (table.loads().into_values().max().expect("there are nodes"), SLOTS / count);
        assert!(most <= even + even / 10 + 2, "{most} of {even}");
        assert_eq!(world.table("clock").loads().into_values().sum::<usize>(), 1);
        let epoch = world.view.epoch - 1;
        assert!(table.slots().all(|(_, slot)| slot.epoch == epoch && slot.to.is_none()));
    }
}

#[test]
fn singletons_are_spread_over_the_nodes() {
    let services: Vec<String> = (0..60).map(|number| format!("clock-{number}")).collect();
    let offers: Vec<_> = services.iter().map(|name| (name.as_str(), OfferKind::Singleton)).collect();
    let world = world(3, &offers);
    for name in names(3) {
        let owned = world.view.tables.values().filter(|t| t.slots_of(&node(&name, 1)).count() == 1).count();
        assert!((10..=30).contains(&owned), "{name} has {owned} of 60");
    }
}

#[test]
fn when_a_node_leaves_little_moves_but_its_own_slots() {
    for count in [3, 5, 10, 20, 50] {
        let mut world = world(count, &[CART]);
        let before = world.owners("cart");
        let gone = node("node-1", 1);
        world.remove(&gone);
        assert_eq!(world.table("cart").slots_of(&gone).count(), 0);
        // at once: what it has had, and nothing else
        world.plan();
        let at_once = world.owners("cart");
        let others = before.iter().zip(&at_once).filter(|(old, new)| old != new);
        assert!(others.clone().count() > 0 && others.clone().all(|(old, _)| old == "node-1"));
        assert!(!at_once.contains(&String::new()));
        // handed over: what the bound of loads has kept from where it belongs
        world.converge();
        let moved = at_once.iter().zip(world.owners("cart")).filter(|(old, new)| *old != new).count();
        assert!(moved <= SLOTS * 2 / 100, "{count} nodes: {moved} slots of others");
    }
}

#[test]
fn when_a_node_joins_little_moves_but_to_it() {
    for count in [2, 4, 9, 19, 49] {
        let mut world = world(count, &[CART]);
        let before = world.owners("cart");
        world.join(&node("newcomer", 1), &[CART]);
        world.converge();
        let moved = before.into_iter().zip(world.owners("cart")).filter(|(old, new)| old != new);
        let (to_it, among_others): (Vec<_>, Vec<_>) = moved.partition(|(_, new)| new == "newcomer");
        let even = SLOTS / (count + 1);
        assert!((even * 7 / 10..=even * 12 / 10).contains(&to_it.len()), "{} of {even}", to_it.len());
        assert!(among_others.len() <= SLOTS * 2 / 100, "{count} nodes: {}", among_others.len());
    }
}

#[test]
fn a_node_that_comes_back_gets_the_same_slots() {
    let mut world = world(5, &[CART, TILL, CLOCK]);
    let before: Vec<_> = ["cart", "till", "clock"].map(|name| world.owners(name)).into();
    // so quickly that nobody else had them
    world.join(&node("node-2", 2), &[CART, TILL, CLOCK]);
    assert!(world.owners("cart").contains(&String::new()));
    world.plan();
    let now: Vec<_> = ["cart", "till", "clock"].map(|name| world.owners(name)).into();
    assert_eq!(before, now);
    assert_eq!(world.table("cart").slots_of(&node("node-2", 1)).count(), 0);
    // after others had them
    world.remove(&node("node-2", 2));
    world.converge();
    assert!(!world.owners("cart").contains(&"node-2".into()));
    world.join(&node("node-2", 3), &[CART, TILL, CLOCK]);
    world.converge();
    let now: Vec<_> = ["cart", "till", "clock"].map(|name| world.owners(name)).into();
    assert_eq!(before, now);
}

#[test]
fn so_many_slots_move_from_a_node_at_the_same_time_and_the_others_follow() {
    let mut world = world(2, &[CART, TILL]);
    world.join(&node("node-2", 1), &[CART, TILL]);
    world.plan();
    for name in ["cart", "till"] {
        for owner in ["node-0", "node-1"].map(|name| node(name, 1)) {
            let moving = world.table(name).moving_from(&owner);
            let to = moving[&node("node-2", 1)].len();
            let all = moving.values().map(Vec::len).sum::<usize>();
            assert!(all == MOVING_MAX && to > MOVING_MAX / 2, "{moving:?}");
        }
    }
    assert_eq!(plan(&world.view), [], "nothing more until they were handed over");
    let one = world.handed(&node("node-0", 1)).remove(0);
    let Command::Handed { slots, .. } = &one else { panic!("{one:?}") };
    let count = slots.len();
    world.apply(one);
    assert_eq!(world.plan(), count, "as many as were handed over");
}

#[test]
fn what_is_on_its_way_stays_so_unless_whom_it_goes_to_takes_it_no_more() {
    let mut world = world(2, &[CART]);
    world.join(&node("node-2", 1), &[CART]);
    world.plan();
    let moving: Vec<_> = names(2).iter().map(|name| world.handed(&node(name, 1))).collect();
    // some of what moves would belong to this one, were it not on its way
    world.join(&node("node-3", 1), &[CART]);
    world.plan();
    assert_eq!(moving, names(2).iter().map(|name| world.handed(&node(name, 1))).collect::<Vec<_>>());
    world.drain(&node("node-2", 1));
    world.plan();
    for owner in ["node-0", "node-1"].map(|name| node(name, 1)) {
        let moving = world.table("cart").moving_from(&owner);
        assert!(!moving.contains_key(&node("node-2", 1)), "{moving:?}");
        assert!(moving.contains_key(&node("node-3", 1)), "{moving:?}");
    }
    world.converge();
    assert_eq!(world.table("cart").slots_of(&node("node-2", 1)).count(), 0);
}

#[test]
fn where_nobody_takes_slots_nothing_is_planned() {
    let mut world = World::default();
    assert_eq!(plan(&world.view), []);
    world.join(&node("a", 1), &[("greeter", OfferKind::Stateless)]);
    assert_eq!(plan(&world.view), []);
    world.join(&node("b", 1), &[CART]);
    world.converge();
    world.drain(&node("b", 1));
    assert_eq!(plan(&world.view), [], "whom should it give them to?");
    assert_eq!(world.table("cart").slots_of(&node("b", 1)).count(), SLOTS);
    assert!(world.view.tables.keys().eq([&service("cart")]));
}

#[test]
fn what_a_plan_wants_of_those_who_do_not_take_it_is_left_out() {
    let mut world = World::default();
    for name in ["up", "leaves", "drains", "other"] {
        world.join(&node(name, 1), if name == "other" { &[TILL] } else { &[CART] });
    }
    world.remove(&node("leaves", 1));
    world.drain(&node("drains", 1));
    let share = |name, incarnation, text| Share { node: node(name, incarnation), slots: slots(text) };
    let old = vec![
        share("leaves", 1, "0"),
        share("drains", 1, "1"),
        share("other", 1, "2"),
        share("up", 2, "3"),
        share("nobody", 1, "4"),
    ];
    let place = |shares| Command::Place { service: service("cart"), shares };
    let epoch = world.view.epoch;
    assert_eq!(world.apply(place(old.clone())), Outcome::Done { epoch });
    assert!(world.view.tables.is_empty(), "nothing has changed");
    let some = [old, vec![share("up", 1, "5-6")]].concat();
    let epoch = world.log.len() as u64 + 1;
    assert_eq!(world.apply(place(some.clone())), Outcome::Done { epoch });
    assert!(world.table("cart").slots_of(&node("up", 1)).eq(slots("5-6").iter()));
    assert_eq!(world.apply(place(some)), Outcome::Done { epoch }, "it had been done");
    let unknown = Command::Place { service: service("unknown"), shares: vec![share("up", 1, "0")] };
    assert_eq!(world.apply(unknown), Outcome::Done { epoch });
}

#[test]
fn a_command_names_no_more_slots_than_there_are() {
    let mut world = World::of(&["a", "b"], &[CART]);
    let share = |name, text| Share { node: node(name, 1), slots: slots(text) };
    let place =
        Command::Place { service: service("cart"), shares: vec![share("a", "0-1023"), share("b", "7")] };
    let handed = Command::Handed {
        service: service("cart"),
        slots: SlotId::all().chain([SlotId::ONLY]).map(|slot| (slot, 3)).collect(),
        from: node("a", 1),
        to: node("b", 1),
    };
    for command in [place, handed] {
        let before = world.view.clone();
        let Outcome::Refused { problems } = world.apply(command) else { panic!("it was done") };
        let told = problems[0].to_string();
        assert_eq!(told, "1025 slots of cart at once: a service has 1024 at the most");
        assert_eq!(world.view, before);
    }
}
