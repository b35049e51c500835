//! What snapshots and entries say of slots: little, and what makes no sense is refused.

use super::world::{CART, World, node};
use super::*;
use crate::membership::{Command, View};
use serde_json::{Value, json};

#[test]
fn a_view_that_was_written_before_there_were_tables_is_read() {
    let mut world = World::of(&["a", "b"], &[CART]);
    let mut text = serde_json::to_value(&world.view).expect("it can be written");
    text.as_object_mut().expect("it has names").remove("tables").expect("it has tables");
    let old: View = serde_json::from_value(text).expect("it can be read");
    assert!(old.tables.is_empty());
    assert_eq!(old.members, world.view.members);
    world.view = old;
    world.converge();
    assert_eq!(world.table("cart").loads().len(), 2);
}

#[test]
fn a_table_says_what_it_says_in_little_room() {
    let names: Vec<String> = (0..5).map(|number| format!("node-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::of(&names, &[CART]);
    let length = |world: &World| serde_json::to_string(world.table("cart")).expect("it can be written").len();
    assert!(length(&world) < 4_600, "{}", length(&world));
    // each slot in an epoch of its own
    world.drain(&node("node-0", 1));
    while !world.handed(&node("node-0", 1)).is_empty() || world.plan() > 0 {
        for command in world.handed(&node("node-0", 1)) {
            let Command::Handed { service, slots, from, to } = command else { panic!("{command:?}") };
            for one in slots {
                let (service, from, to) = (service.clone(), from.clone(), to.clone());
                world.apply(Command::Handed { service, slots: vec![one], from, to });
            }
        }
    }
    let epochs = world.table("cart").slots().map(|(_, slot)| slot.epoch);
    assert!(epochs.collect::<std::collections::BTreeSet<_>>().len() > 150);
    assert!(length(&world) < 14_000, "{}", length(&world));
}

#[test]
fn a_plan_says_what_it_says_in_little_room() {
    let mut world = World::default();
    ["a", "b", "c", "d", "e"].iter().for_each(|name| world.join(&node(name, 1), &[CART]));
    let all = serde_json::to_string(&plan(&world.view)[0]).expect("it can be written");
    assert!(all.len() < 4_600, "{}", all.len());
    assert!(all.starts_with(r#"{"command":"place","service":"cart","shares":[{"node":{"name":"a""#), "{all}");
}

#[test]
fn what_is_no_table_is_refused_with_what_is_wrong() {
    let node = |name: &str| json!({"name": name, "incarnation": 1});
    let table =
        |kind: &str, groups: Value| json!({"kind": kind, "nodes": [node("b"), node("a")], "groups": groups});
    let all = |more: Value| {
        let mut group = json!({"slots": "0-1023", "epoch": 3});
        let fields = group.as_object_mut().expect("it has names");
        fields.extend(more.as_object().expect("it has names").clone());
        table("entity", json!([group]))
    };
    let read = |value: Value| serde_json::from_value::<Table>(value).map_err(|error| error.to_string());
    let good = read(all(json!({"owner": 0, "to": 1}))).expect("it is one");
    let names: Vec<&str> = good.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let first = good.slot(SlotId::ONLY).expect("there is one");
    assert_eq!((first.owner, first.to), (Some(&good.nodes()[1]), Some(&good.nodes()[0])));
    for (wrong, told) in [
        (table("entity", json!([])), "0 slots of 1024"),
        (table("entity", json!([{"slots": "0-1022", "epoch": 3}])), "1023 slots of 1024"),
        (table("stateless", json!([])), "0 slots of 0"),
        (table("singleton", json!([{"slots": "0-1", "epoch": 3}])), "slot 1 is there twice, or the service"),
        (
            table("entity", json!([{"slots": "0-1023", "epoch": 3}, {"slots": "9", "epoch": 4}])),
            "slot 9 is there twice",
        ),
        (table("entity", json!([{"slots": "0-1024", "epoch": 3}])), "\"0-1024\" is neither a slot nor"),
        (all(json!({"owner": 2})), "node 2 of a list of 2"),
        (all(json!({"owner": 0, "to": 2})), "node 2 of a list of 2"),
        (all(json!({"to": 1})), "not from one node to another"),
        (all(json!({"owner": 1, "to": 1})), "not from one node to another"),
    ] {
        let error = read(wrong.clone()).expect_err("it is none");
        assert!(error.contains(told), "{wrong}: {error}");
    }
}
