//! `doctor`: what it says of nodes that are well, and of each thing that keeps one from starting or joining.

use crate::stage::{ATTEMPTS_MAX, Place, Ran, Running, at_last, json};
use odeon::core::ClusterId;
use odeon::remote::Authority;
use serde_json::Value;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

const FREE: [&str; 4] = ["--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];
const NORTH: [&str; 6] = ["--name", "north", "--dir", "north", "--credentials", "c/nodes/north"];
const SOUTH: [&str; 6] = ["--name", "south", "--dir", "south", "--credentials", "c/nodes/south"];

/// A place with a cluster of the nodes north and south.
fn cluster(test: &str) -> Place {
    let place = Place::new(test);
    place.run(&["cluster", "init", "--name", "shop", "--directory", "c", "--nodes", "north,south"]).ok();
    place
}

/// The program as a node, or as the doctor of one: they are told the same.
fn run(place: &Place, command: &str, node: &[&str], more: &[&str]) -> Ran {
    place.run(&[&[command], node, &FREE, more].concat())
}

fn doctor(place: &Place, node: &[&str], more: &[&str]) -> Vec<Value> {
    let ran = run(place, "doctor", node, &[more, &["--json"]].concat());
    let report = json(&ran.out);
    let failed = report["summary"]["failed"] != 0;
    assert_eq!(ran.code, Some(i32::from(failed)), "{ran:?}");
    report["checks"].as_array().expect("checks").clone()
}

/// The one check of this name.
#[track_caller]
fn check<'a>(checks: &'a [Value], group: &str, name: &str) -> &'a Value {
    let found: Vec<&Value> = checks.iter().filter(|c| c["group"] == group && c["name"] == name).collect();
    assert_eq!(found.len(), 1, "{group} {name} in {checks:#?}");
    found[0]
}

/// It ended so, and says this.
#[track_caller]
fn says(checks: &[Value], (group, name): (&str, &str), outcome: &str, words: &str) {
    let check = check(checks, group, name);
    assert_eq!(check["outcome"], outcome, "{check}");
    let said = format!("{} {}", check["found"], check["advice"]);
    assert!(said.contains(words), "{words:?} is missing in {check}");
}

/// Nothing failed, whatever the machine is like that this runs on.
#[track_caller]
fn none_failed(checks: &[Value]) {
    let failed: Vec<&Value> = checks.iter().filter(|check| check["outcome"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

fn start(place: &Place, node: &[&str], more: &[&str]) -> Running {
    Running::start(place.command(&[&["node"], node, &FREE, more].concat()))
}

/// Where a node that runs listens for others.
fn links(place: &Place, name: &str) -> String {
    let file = place.path(name).join("node.json");
    let text = at_last("it says where it is", || {
        (place.run(&["status", "--dir", name]).code != Some(3))
            .then(|| fs::read_to_string(&file).expect("it is there"))
    });
    json(&text)["links"].as_str().expect("an address").to_owned()
}

#[test]
fn before_the_first_start_all_is_looked_at_and_nothing_is_left_behind() {
    let place = Place::new("doctor-first");
    let checks = doctor(&place, &[], &[]);
    none_failed(&checks);
    says(&checks, ("data-directory", "directory"), "ok", "can be made");
    says(
        &checks,
        ("data-directory", "disk sync"),
        check(&checks, "data-directory", "disk sync")["outcome"].as_str().expect("one"),
        "median",
    );
    says(&checks, ("ports", "http"), "ok", "any free port");
    says(&checks, ("clock", "monotonic"), "ok", "steps of");
    says(&checks, ("certificates", "all of them"), "skipped", "in no cluster");
    says(&checks, ("node", "all of it"), "skipped", "no node runs");
    assert_eq!(fs::read_dir(place.path("")).expect("it is there").count(), 0);
}

#[test]
fn a_node_that_is_well_is_asked_and_its_ports_are_left_alone() {
    let place = Place::new("doctor-well");
    let _node = place.up(&[]);
    let ran = place.run(&["doctor"]);
    for words in [
        "Data directory\n  ok       occupant   the node local runs in it, process ",
        "  ok       http        the node listens on 127.0.0.1:",
        "  ok       management  the node listens on 127.0.0.1:",
        "local is ready, up for",
        "\n\n",
    ] {
        assert!(ran.ok().contains(words), "{words:?} is missing in\n{}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'), "no colours but on a terminal");
    let last = ran.out.trim_end().lines().last().expect("a summary");
    assert!(last.contains(" ok") && last.contains("skipped") && !last.contains("failed"), "{last}");
    let help = place.run(&["doctor", "--help"]);
    assert!(
        help.ok().contains("Examples:\n  odeon doctor") && help.out.contains("Exit codes:"),
        "{}",
        help.out
    );
}

#[test]
fn two_nodes_are_reached_both_ways_and_notice_nothing_of_it() {
    let place = cluster("doctor-two");
    let founders = ["--founder", "north", "--founder", "south"];
    let north = start(&place, &NORTH, &founders);
    let north_at = links(&place, "north");
    let south = start(&place, &SOUTH, &[&founders[..], &["--peer", &north_at]].concat());
    for node in [&north, &south] {
        node.until_error("the node is up");
    }
    let peers = |of: &str| {
        let report = place.run(&["links", "--dir", of, "--over", "0s", "--json"]).json();
        report["links"].as_array().expect("links").clone()
    };
    let before = peers("north");
    assert_eq!((&before[0]["node"], &before[0]["has_dialed"]), (&"south@1".into(), &true.into()));

    // what the other one dialed is seen here, and what is dialed there from here
    let checks = well(&place, &NORTH, &founders);
    says(&checks, ("reachability", "own port"), "ok", "north answers");
    let south_at = links(&place, "south");
    let to = format!("to south ({south_at})");
    says(&checks, ("reachability", &to), "ok", "south answers: mutual TLS in");
    says(&checks, ("reachability", "from south"), "ok", "south@1 has dialed this node");
    let checks = well(&place, &SOUTH, &[&founders[..], &["--peer", &north_at]].concat());
    says(&checks, ("reachability", &format!("to {north_at}")), "ok", "packets of 6");
    says(&checks, ("reachability", "from north"), "skipped", "ask `doctor` on its machine");
    says(&checks, ("node", "membership"), "ok", "2 members");
    says(&checks, ("node", "cluster group"), "ok", "leads; 2 vote");

    let after = peers("north");
    assert_eq!((&after[0]["node"], &after[0]["connected"]), (&"south@1".into(), &true.into()), "{after:?}");
    assert_eq!(after.len(), 1, "{after:?}");
    for name in ["north", "south"] {
        assert_eq!(fs::read_to_string(place.path(name).join("incarnation")).expect("it is there"), "1\n");
    }
    // with another configuration than the node's
    let checks = doctor(&place, &["--name", "east", "--dir", "north"], &[]);
    says(&checks, ("configuration", "running node"), "warning", "it is north, not east");
    // a second one of the name, in another directory
    let copy = ["--name", "south", "--dir", "copy", "--credentials", "c/nodes/south"];
    let checks = doctor(&place, &copy, &["--peer", &south_at]);
    says(&checks, ("reachability", &format!("to {south_at}")), "failed", "another process that is south");
}

/// Looks until nothing fails: members hold their leases, and all voters vote.
fn well(place: &Place, node: &[&str], more: &[&str]) -> Vec<Value> {
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        seen = doctor(place, node, more);
        let group = check(&seen, "node", "cluster group");
        if group["outcome"] == "ok" && seen.iter().all(|check| check["outcome"] != "failed") {
            return seen;
        }
    }
    panic!("never well: {seen:#?}");
}

#[test]
fn a_port_that_is_taken_is_named_with_who_has_it() {
    let place = cluster("doctor-port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let (http, links) = (taken.local_addr().expect("bound"), udp.local_addr().expect("bound"));
    let (http, links) = (http.to_string(), links.to_string());
    let flags = ["doctor", "--http", &http, "--management", &http, "--cluster-listen", &links, "--json"];
    let ran = place.run(&[&flags[..], &NORTH].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let checks = json(&ran.out)["checks"].as_array().expect("checks").clone();
    let by = format!("is taken by process {} (", std::process::id());
    says(&checks, ("ports", "http"), "failed", &by);
    says(&checks, ("ports", "management"), "failed", "choose another port with --management ADDR");
    says(&checks, ("ports", "cluster"), "failed", &by);
}

#[test]
fn a_directory_and_a_configuration_that_cannot_be_used_are_named() {
    let place = Place::new("doctor-directory");
    // nobody writes into a file as into a directory, not even root
    place.write("file", "");
    let checks = doctor(&place, &["--dir", "file/node"], &[]);
    says(&checks, ("data-directory", "directory"), "failed", "file: not a directory");
    let checks = doctor(&place, &["--dir", "file"], &[]);
    says(&checks, ("data-directory", "directory"), "failed", "file: not a directory");
    place.write("odeon.toml", "[node]\nexecutors = 0\n");
    let ran = place.run(&["doctor", "--config", "odeon.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for words in ["  failed   file", "odeon.toml:2:13: ", "1 failed, 1 skipped"] {
        assert!(ran.out.contains(words), "{words:?} is missing in\n{}", ran.out);
    }
    place.run(&["doctor", "--config", "odeon.toml", "--peer", "north"]).fails(2, &["expected HOST:PORT"]);
}

#[test]
fn what_a_node_has_kept_and_would_refuse_is_named_and_left_as_it_is() {
    let place = cluster("doctor-kept");
    let alone = ["--founder", "north"];
    let north = start(&place, &NORTH, &alone);
    north.until_error("the node is up");
    says(&doctor(&place, &NORTH, &alone), ("data-directory", "occupant"), "ok", "the node north runs in it");
    north.signal("INT");
    north.end();
    let checks = doctor(&place, &NORTH, &alone);
    none_failed(&checks);
    says(&checks, ("data-directory", "token"), "ok", "only its owner");
    says(&checks, ("data-directory", "incarnation"), "ok", "was number 1");
    says(&checks, ("data-directory", "journal"), "ok", "is whole");

    for (file, check, words) in [
        ("token", "token", "it is empty"),
        ("incarnation", "incarnation", "is damaged"),
        ("cluster/replica", "journal", "does not name a replica"),
    ] {
        let path = place.path("north").join(file);
        let whole = fs::read(&path).expect("the node has written it");
        fs::write(&path, "").expect("it is ours");
        let checks = doctor(&place, &NORTH, &alone);
        says(&checks, ("data-directory", check), "failed", words);
        let refused = run(&place, "node", &NORTH, &alone);
        assert_eq!(refused.code, Some(1), "the node refuses it too: {refused:?}");
        fs::write(&path, whole).expect("it is ours");
    }
    let journal = place.path("north").join("cluster/journal");
    let segment = fs::read_dir(&journal)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").path())
        .find(|path| path.extension().is_some_and(|end| end == "journal"))
        .expect("the node has written one");
    let mut bytes = fs::read(&segment).expect("it is there");
    bytes[3] ^= 1;
    fs::write(&segment, &bytes).expect("it is ours");
    let checks = doctor(&place, &NORTH, &alone);
    says(&checks, ("data-directory", "journal"), "failed", "restore it as it was when the node ran last");
    assert_eq!(fs::read(&segment).expect("it is there"), bytes, "nothing is changed");
    fs::remove_file(&segment).expect("it is ours");
    let checks = doctor(&place, &NORTH, &alone);
    says(&checks, ("data-directory", "journal"), "failed", "has no journal any more");
}

#[test]
fn certificates_that_peers_would_refuse_are_named_and_nobody_is_dialed_with_them() {
    let place = cluster("doctor-certificates");
    // one that has ended
    let (cluster, then) =
        (ClusterId::new("shop", 7).expect("a cluster"), UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let day = Duration::from_secs(86_400);
    let authority = Authority::create(&cluster, 36_500 * day, then).expect("it is made");
    let expired = authority.issue(&"north".parse().expect("a name"), day, then).expect("it is issued");
    expired.write(&place.path("expired")).expect("the place is writable");
    let flags = ["--name", "north", "--dir", "north", "--credentials", "expired"];
    let checks = doctor(&place, &flags, &["--peer", "127.0.0.1:9"]);
    says(&checks, ("certificates", "certificate"), "failed", "its certificate expired");
    says(&checks, ("certificates", "authority"), "ok", "days");
    says(&checks, ("reachability", "peers"), "skipped", "without a certificate that peers accept");

    // one of another authority, one of another node, and a key that others can read
    place.run(&["cluster", "init", "--name", "other", "--directory", "d", "--nodes", "north"]).ok();
    let checks = doctor(&place, &["--name", "nord", "--dir", "north", "--credentials", "c/nodes/north"], &[]);
    says(&checks, ("certificates", "owner"), "failed", "is the certificate of the node north");
    fs::copy(place.path("d/nodes/north/ca.pem"), place.path("c/nodes/north/ca.pem")).expect("it is ours");
    let checks = doctor(&place, &NORTH, &[]);
    says(&checks, ("certificates", "certificate"), "failed", "not signed by an authority of this cluster");
    use std::os::unix::fs::PermissionsExt;
    let key = place.path("c/nodes/south/node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let checks = doctor(&place, &SOUTH, &[]);
    says(&checks, ("certificates", "key"), "failed", "chmod 600");
}

#[test]
fn a_peer_that_is_silent_nowhere_or_of_another_cluster_is_told_of() {
    let place = cluster("doctor-peers");
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().expect("bound").to_string();
    // names under .invalid never exist (RFC 2606)
    let nowhere = "south.invalid:7000";
    let checks = doctor(&place, &NORTH, &["--peer", &silent, "--peer", nowhere]);
    says(&checks, ("reachability", &format!("to {silent}")), "failed", "nobody answers there (UDP)");
    says(&checks, ("reachability", &format!("to {nowhere}")), "failed", "it cannot be looked up");
    // who may have to be the first is not to blame for that
    let checks = doctor(&place, &NORTH, &["--peer", &silent, "--founder", "north"]);
    says(&checks, ("reachability", &format!("to {silent}")), "warning", "start the node there");

    // an address for documents (RFC 5737), while the node listens on loopback
    let checks = doctor(&place, &NORTH, &["--peer", "192.0.2.1:7000"]);
    says(&checks, ("reachability", "to 192.0.2.1:7000"), "failed", "no other machine is reached");

    place.run(&["cluster", "init", "--name", "other", "--directory", "d", "--nodes", "west"]).ok();
    let _west = start(&place, &["--name", "west", "--dir", "west", "--credentials", "d/nodes/west"], &[]);
    let west = links(&place, "west");
    let checks = doctor(&place, &NORTH, &["--peer", &west]);
    says(&checks, ("reachability", &format!("to {west}")), "failed", "no member of this cluster");
}

/// Reading it takes until somebody writes, as what is on a server that does not answer.
fn hangs(place: &Place, name: &str) {
    let path = place.path(name);
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success(), "{path:?}");
}

#[test]
fn a_disk_that_does_not_answer_is_told_of_and_not_waited_for() {
    let place = Place::new("doctor-hangs");
    hangs(&place, "odeon.toml");
    let checks = doctor(&place, &[], &["--config", "odeon.toml"]);
    says(&checks, ("configuration", "file"), "failed", "odeon.toml cannot be read: it takes longer than 2s");
    says(&checks, ("configuration", "file"), "failed", "look at the disk");

    fs::create_dir(place.path("north")).expect("a directory");
    hangs(&place, "north/lock");
    let checks = doctor(&place, &["--dir", "north"], &[]);
    says(&checks, ("data-directory", "occupant"), "failed", "nobody can tell whether a node runs in it");
    says(&checks, ("data-directory", "directory"), "ok", "can be written");
    says(&checks, ("ports", "all of them"), "skipped", "nobody can tell");
}
