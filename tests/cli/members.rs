//! Nodes as members of a cluster: who is one, who is none any more and why, and what is ordered of them.

use crate::stage::{ATTEMPTS_MAX, Place, Running, at_last, http, json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const FREE: [&str; 4] = ["--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];
const ALL: [&str; 3] = ["north", "south", "east"];

/// A place with a cluster of these nodes.
fn cluster(test: &str, nodes: &str) -> Place {
    let place = Place::new(test);
    place.run(&["cluster", "init", "--name", "shop", "--directory", "c", "--nodes", nodes]).ok();
    place
}

/// A node with these founders, in a directory of its name.
fn start(place: &Place, name: &str, founders: &[&str], more: &[&str]) -> Running {
    let credentials = format!("c/nodes/{name}");
    let mut command = place.command(&["node", "--name", name, "--dir", name, "--credentials", &credentials]);
    command.args(FREE).args(founders.iter().flat_map(|founder| ["--founder", founder])).args(more);
    Running::start(command)
}

/// Where a node that runs here is, as its directory says: from when it can be asked, be it ready or not.
fn whereabouts(place: &Place, name: &str, what: &str) -> String {
    let file = place.path(name).join("node.json");
    let text = at_last("it says where it is", || {
        let status = place.run(&["status", "--dir", name]);
        (status.code != Some(3)).then(|| fs::read_to_string(&file).expect("it can be asked"))
    });
    let whereabouts = json(&text);
    whereabouts[what].as_str().map_or_else(|| whereabouts[what].to_string(), ToOwned::to_owned)
}

fn members(place: &Place, seen_by: &str) -> Value {
    place.run(&["members", "--dir", seen_by, "--json"]).json()
}

/// The members as `name@incarnation state`, and those who are none any more as `name@incarnation reason`, in order.
fn listed(place: &Place, seen_by: &str) -> Vec<String> {
    let seen = members(place, seen_by);
    let words = |list: &str, word: &str| -> Vec<String> {
        let all = seen[list].as_array().cloned().unwrap_or_default();
        let text = |node: &Value, key: &str| node[key].as_str().expect("a word").to_owned();
        all.iter()
            .map(|node| format!("{}@{} {}", text(node, "name"), node["incarnation"], text(node, word)))
            .collect()
    };
    let mut all = [words("members", "state"), words("gone", "reason")].concat();
    all.sort();
    all
}

/// Waits until a node sees these members, and those who are none any more.
#[track_caller]
pub(crate) fn until_listed(place: &Place, seen_by: &str, expected: &[(&str, &str)]) {
    let mut expected: Vec<String> = expected.iter().map(|(name, rest)| format!("{name}{rest}")).collect();
    expected.sort();
    let mut seen = Vec::new();
    let is_so = (0..ATTEMPTS_MAX).any(|_| {
        seen = listed(place, seen_by);
        seen == expected
    });
    assert!(is_so, "{seen_by} sees {seen:?} instead of {expected:?}");
}

/// Three nodes that are members of a cluster that they have formed.
fn trio(place: &Place) -> [Running; 3] {
    let north = start(place, "north", &ALL, &[]);
    let peer = whereabouts(place, "north", "links");
    let others =
        ["south", "east"].map(|name| start(place, name, &ALL, &["--peer", &peer, "--zone", "cellar"]));
    let [south, east] = others;
    for node in [&north, &south, &east] {
        node.until_error("the node is up");
    }
    [north, south, east]
}

#[test]
fn nodes_form_a_cluster_and_its_members_know_who_dies_comes_back_drains_and_leaves() {
    let place = cluster("members", "north,south,east");
    let [north, south, east] = trio(&place);
    for name in ALL {
        until_listed(&place, name, &ALL.map(|name| (name, "@1 up")));
        place.run(&["status", "--dir", name]).ok();
    }
    let seen = members(&place, "south");
    assert_eq!(
        (&seen["node"], &seen["standing"], &seen["holds_lease"]),
        (&"south@1".into(), &"member".into(), &true.into())
    );
    assert_eq!((&seen["members"][0]["zone"], &seen["level"]), (&"cellar".into(), &1.into()));
    assert!(seen["members"][0]["services"].as_array().is_some_and(|all| all.len() > 1), "{seen}");
    let shown = place.run(&["members", "--dir", "north"]);
    for words in ["north@1 is a member and holds its lease", "SINCE", "east@1", "up", "cellar"] {
        assert!(shown.ok().contains(words), "{words:?} is missing in\n{}", shown.out);
    }
    let catalogue = place.run(&["services", "--versions", "--dir", "north"]);
    for words in ["counter  ", "entity", "counter 1.0", "100 %", "east@1, north@1, south@1"] {
        assert!(catalogue.ok().contains(words), "{words:?} is missing in\n{}", catalogue.out);
    }
    let catalogue = place.run(&["services", "--versions", "--dir", "north", "--json"]).json();
    assert_eq!(catalogue["services"][0]["nodes"].as_array().map(Vec::len), Some(3), "{catalogue}");
    let voters = at_last("all of them vote", || {
        let voters = place.run(&["cluster", "voters", "--dir", "north", "--json"]).json();
        let all = voters["replicas"].as_array().cloned().unwrap_or_default();
        (all.len() == 3 && all.iter().all(|replica| replica["votes"] == true)).then_some(voters)
    });
    assert_eq!(voters["wanted"], 3, "{voters}");
    let shown = place.run(&["cluster", "voters", "--dir", "north"]);
    assert!(shown.ok().contains("3 vote, 3 are wanted. Founders: east, north, south."), "{}", shown.out);
    let shown = place.run(&["cluster", "status", "--dir", "north"]);
    assert!(shown.ok().contains("voters       east, north, south"), "{}", shown.out);
    // whoever leads dies, and comes back
    let dies = leader(&place);
    let [stays, leaves] = <[&str; 2]>::try_from(others(dies)).expect("two others");
    let mut nodes = BTreeMap::from([("north", north), ("south", south), ("east", east)]);
    let dead = nodes.remove(dies).expect("it is one of them");
    dead.signal("KILL");
    dead.end();
    for name in [stays, leaves] {
        until_listed(&place, name, &[(stays, "@1 up"), (leaves, "@1 up"), (dies, "@1 lease-ended")]);
        place.run(&["status", "--dir", name]).ok();
    }
    let shown = place.run(&["members", "--dir", stays]);
    assert!(shown.ok().contains("its lease has ended"), "{}", shown.out);
    let peer = whereabouts(&place, stays, "links");
    let back = start(&place, dies, &ALL, &["--peer", &peer]);
    back.until_error("the node is up");
    let comes = [(dies, "@1 lease-ended"), (dies, "@2 up"), (stays, "@1 up")];
    until_listed(&place, dies, &[&comes[..], &[(leaves, "@1 up")]].concat());

    // another one leaves
    let left = nodes.remove(leaves).expect("it is one of them");
    left.signal("TERM");
    assert_eq!(left.end().code, Some(0));
    until_listed(&place, stays, &[&comes[..], &[(leaves, "@1 left")]].concat());
    drained_and_left(&place, (stays, leaves), dies, back);
}

/// Who leads the cluster group.
fn leader(place: &Place) -> &'static str {
    let leads =
        |name: &&str| place.run(&["cluster", "status", "--dir", name, "--json"]).json()["role"] == "leader";
    at_last("one of them leads", || ALL.into_iter().find(leads))
}

fn others(but: &str) -> Vec<&'static str> {
    ALL.into_iter().filter(|name| *name != but).collect()
}

/// A node in its second incarnation drains and leaves; the one that stays is then left without a majority.
fn drained_and_left(place: &Place, (stays, gone): (&str, &str), leaves: &str, node: Running) {
    let drained = place.run(&["drain", "--dir", leaves]);
    assert!(drained.ok().starts_with(&format!("{leaves}@2 is draining since epoch ")), "{}", drained.out);
    let status = place.run(&["status", "--dir", leaves]);
    assert!(status.code == Some(1) && status.out.contains("the node is draining"), "{status:?}");
    let expected = [(leaves, "@1 lease-ended"), (leaves, "@2 draining"), (stays, "@1 up"), (gone, "@1 left")];
    until_listed(place, stays, &expected);
    // who is gone is removed already
    let order = |node: &str| place.run(&["cluster", "remove", node, "--dir", stays]);
    let again = format!("{gone}@1");
    assert!(order(&again).ok().contains(&format!("{again} is a member no more")));
    order("west@1").fails(1, &["west@1 is no member"]);
    let left = place.run(&["leave", "--dir", leaves]);
    assert_eq!(left.ok(), format!("{leaves}@2 has left.\n"));
    assert_eq!(node.end().code, Some(0));
    // nobody is there to agree with: it is not done, or this one led, and it will be if a majority comes back to it
    let order = place.run(&["drain", "--dir", stays]);
    let said = match order.code {
        Some(4) => "not executed: nothing was done",
        _ => "unknown outcome: it may be done, or be done yet",
    };
    order.fails(order.code.filter(|code| *code == 4).unwrap_or(5), &[said]);
    // what runs goes on to run
    place.run(&["status", "--dir", stays]).ok();
}

#[test]
fn a_node_that_stood_still_is_suspect_and_removed_and_comes_back_in_its_process() {
    let place = cluster("members-still", "north,south,east");
    let [north, south, east] = trio(&place);
    until_listed(&place, "north", &ALL.map(|name| (name, "@1 up")));
    let process = |name: &str| whereabouts(&place, name, "pid");
    let same = process("south");
    south.signal("STOP");
    let shown = at_last("it is suspect", || {
        let shown = place.run(&["members", "--dir", "north"]).out;
        shown.contains("south@1 is suspect: nothing comes from it to north (for").then_some(shown)
    });
    assert!(shown.contains("suspect  "), "the state says it, too\n{shown}");
    let expected = [("north", "@1 up"), ("south", "@1 lease-ended"), ("east", "@1 up")];
    until_listed(&place, "north", &expected);
    south.signal("CONT");
    south.until_error("the node was removed from its cluster: it comes back");
    let expected = [("north", "@1 up"), ("south", "@2 up"), ("east", "@1 up"), ("south", "@1 lease-ended")];
    until_listed(&place, "north", &expected);
    // the others hear of it before it does
    south.until_error("the node is up");
    assert_eq!(process("south"), same);
    place.run(&["status", "--dir", "south"]).ok();
    for (name, node) in [("south", south), ("north", north), ("east", east)] {
        place.run(&["stop", "--dir", name]).ok();
        assert_eq!(node.end().code, Some(0));
    }
}

#[test]
fn a_founder_that_waits_for_another_one_says_so_and_stops_in_order() {
    let place = cluster("members-wait", "north,south");
    let node = start(&place, "north", &["north", "south"], &[]);
    let management = whereabouts(&place, "north", "management");
    let status = at_last("it says what it waits for", || {
        let status = place.run(&["status", "--dir", "north"]);
        status.out.contains("the founder south").then_some(status)
    });
    assert_eq!(status.code, Some(1), "{status:?}");
    let (code, ready) = http(&management, "GET", "/readyz", &[], "");
    assert!(
        code == 503 && ready.contains("the node joins the cluster; it waits for the founder south"),
        "{ready}"
    );
    let shown = place.run(&["members", "--dir", "north"]);
    assert!(
        shown.ok().contains("north@1 joins the cluster. It waits for:\n  the founder south"),
        "{}",
        shown.out
    );
    let group = place.run(&["cluster", "status", "--dir", "north"]);
    assert!(group.code == Some(1) && group.out.contains("is in no group yet"), "{group:?}");
    place.run(&["drain", "--dir", "north"]).fails(4, &["not executed", "nothing was done"]);
    place.run(&["stop", "--dir", "north"]).ok();
    assert_eq!(node.end().code, Some(0));
}

#[test]
fn a_cluster_of_one_takes_orders_or_says_why_it_does_not() {
    let place = cluster("members-one", "north");
    let node = start(&place, "north", &["north"], &[]);
    node.until_error("the node is up");
    let upgrade = place.run(&["cluster", "upgrade", "--dir", "north"]);
    upgrade.fails(1, &["feature level 2 cannot be read by north, which reads 1 to 1"]);
    let remove = |node: &str| place.run(&["cluster", "remove", node, "--dir", "north"]);
    remove("north@1").fails(1, &["north@1 is this node", "odeon leave"]);
    remove("north").fails(2, &["such as north@3", "odeon members"]);
    let management = whereabouts(&place, "north", "management");
    let token = fs::read_to_string(place.path("north/token")).expect("there is one");
    let token = format!("authorization: Bearer {}", token.trim());
    let headers = [&*token, "content-type: application/json"];
    let (code, _) = http(&management, "POST", "/api/v1/cluster/upgrade", &headers, r#"{"level":1}"#);
    assert_eq!(code, 200, "it has that level already");
    let (code, problem) = http(&management, "POST", "/api/v1/cluster/upgrade", &headers, "");
    assert!(code == 409 && problem.contains("cluster-refused"), "{problem}");
    let (code, _) = http(&management, "POST", "/api/v1/drain", &headers[1..], "");
    assert_eq!(code, 401, "orders need the token");
    let (_, document) = http(&management, "GET", "/api/v1/openapi.json", &headers[..1], "");
    for path in ["members", "cluster", "drain", "cluster/upgrade", "cluster/remove"] {
        assert!(json(&document)["paths"][format!("/api/v1/{path}")].is_object(), "{path}");
    }
    assert_eq!(place.run(&["leave", "--dir", "north", "--json"]).json()["node"], "north@1");
    assert_eq!(node.end().code, Some(0));

    // what it has promised it has to keep
    place.write("north/cluster/replica", "nonsense");
    let broken = start(&place, "north", &["north"], &[]).end();
    broken.fails(1, &["cannot be a member of its cluster", "north/cluster", "does not name a replica"]);
}

#[test]
fn a_node_without_founders_says_how_it_gets_members() {
    let place = Place::new("members-none");
    let _node = place.up(&[]);
    for command in [
        &["members"][..],
        &["drain"],
        &["leave"],
        &["cluster", "status"],
        &["cluster", "voters"],
        &["cluster", "upgrade"],
        &["cluster", "remove", "north@1"],
    ] {
        place.run(command).fails(1, &["no cluster", "founders", "--founder NAME"]);
    }
}
