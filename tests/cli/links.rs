//! Nodes of a cluster: two programs that call each other, what `links` shows of it, credentials that are replaced.

use crate::stage::{Place, Running, at_last, http, json, post};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const NORTH: &str = "[node]\nname = \"north\"\ndirectory = \"north\"\n[http]\naddress = \"127.0.0.1:0\"\n\
                     [management]\naddress = \"127.0.0.1:0\"\n[cluster]\ncredentials = \"c/nodes/north\"\n";
const FREE: [&str; 4] = ["--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];

/// A place with a cluster of the nodes north and south.
fn cluster(test: &str) -> Place {
    let place = Place::new(test);
    let init = ["cluster", "init", "--name", "shop", "--directory", "c", "--nodes", "north,south"];
    place.run(&init).ok();
    place.write("north.toml", NORTH);
    place
}

/// North, without its own recommendations, and where others find it.
fn north(place: &Place) -> (Running, String) {
    place.write("north.toml", &format!("{NORTH}[bindings]\nrecommend = \"elsewhere/recommend\"\n"));
    let node = Running::start(place.command(&["node", "--config", "north.toml"]));
    let address = up(&node)["links"].as_str().expect("it says where").to_owned();
    (node, address)
}

/// South as the given program, which dials north.
fn south(mut program: Command, north: &str) -> Running {
    let cluster = ["--credentials", "c/nodes/south", "--peer", north];
    program.args(["node", "--name", "south", "--dir", "south"]).args(FREE).args(cluster);
    Running::start(program)
}

/// What a node says once it is up.
fn up(node: &Running) -> Value {
    json(node.until_error("the node is up").last().expect("one line at least"))
}

/// The example that recommends and does nothing else.
fn recommend(place: &Place) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet", "-p", "odeon-examples", "--example", "recommend"]);
    // beside the binary under test, where all that it stands on is compiled already
    let target = Path::new(env!("CARGO_BIN_EXE_odeon")).parent().expect("it lies in a profile's folder");
    if target.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.arg("--target-dir").arg(target.parent().expect("of a target folder")).current_dir(root);
    let built = built.output().expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut program = Command::new(target.join("examples/recommend"));
    program.current_dir(place.path("")).env_remove("ODEON_LOG").stdin(std::process::Stdio::null());
    program
}

#[test]
fn a_service_of_another_node_is_called_over_a_link_and_links_shows_it() {
    let place = cluster("links");
    let (first, address) = north(&place);
    let second = south(recommend(&place), &address);
    second.until_error("a peer was reached");
    first.until_error("a link is up");
    first.until_error("a node is heard of");
    let order = r#"{"order":"a-1","lines":[{"sku":"teapot","quantity":1}],"card":"4242424242424242"}"#;
    let placed = place.run(&["call", "checkout", "place", order, "--dir", "north"]).json();
    assert!(placed["also"].as_array().is_some_and(|also| !also.is_empty()), "south recommends: {placed}");

    let shown = place.run(&["links", "--dir", "north", "--over", "10ms"]);
    for words in ["north@1 listens on", "PEER", "GOSSIP", "SENT/S", "south@1", " up "] {
        assert!(shown.ok().contains(words), "{words:?} is missing in\n{}", shown.out);
    }
    let report = place.run(&["links", "--dir", "north", "--over", "0s", "--json"]).json();
    let link = &report["links"][0];
    assert_eq!((&link["node"], &link["connected"]), (&"south@1".into(), &true.into()), "{report}");
    assert_eq!(
        (&link["sent"], &link["handled"], &link["open"]),
        (&1.into(), &1.into(), &0.into()),
        "{report}"
    );
    assert!(link["gossip_sent"].as_u64() > Some(0) && link["gossip_bad"] == 0, "{report}");
    assert_eq!(link["liveness"], "alive", "{report}");
    assert!(link["round_trip_us"].as_u64() > Some(0) && link.get("sent_per_second").is_none(), "{report}");
    let rated = place.run(&["links", "--dir", "south", "--over", "10ms", "--json"]).json();
    assert_eq!(rated["links"][0]["sent_per_second"], 0.0, "{rated}");
    assert!(place.run(&["tree", "--dir", "north"]).ok().contains("links  part  up"));

    let node = json(&fs::read_to_string(place.path("north/node.json")).expect("it says where it is"));
    let management = node["management"].as_str().expect("an address");
    let (_, metrics) = http(management, "GET", "/metrics", &[], "");
    for line in [
        "odeon_link_sent_total{peer=\"south\"} 1",
        "odeon_link_connected{peer=\"south\"} 1",
        "odeon_link_gossip_bad_total{peer=\"south\"} 0",
        "odeon_link_alive{peer=\"south\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    let token = fs::read_to_string(place.path("north/token")).expect("there is one");
    let token = format!("authorization: Bearer {}", token.trim());
    let (_, document) = http(management, "GET", "/api/v1/openapi.json", &[&token], "");
    assert!(json(&document)["paths"]["/api/v1/links"].is_object(), "{document}");
}

#[test]
fn what_another_node_has_is_called_and_listed_through_this_one() {
    let place = cluster("links-elsewhere");
    let (first, address) = north(&place);
    let second = south(recommend(&place), &address);
    second.until_error("a peer was reached");
    first.until_error("a link is up");
    let call = |service: &str, arguments: &str, more: &[&str]| {
        place.run(&[&["call", service, "also_bought", arguments, "--dir", "north"], more].concat())
    };
    let teapot = r#"{"skus":["teapot"],"most":2}"#;
    for service in ["elsewhere/recommend", "recommend"] {
        // by its name, and by the one that is bound to it
        let answer = call(service, teapot, &[]).json();
        assert_eq!(answer, json(r#"["teacup","strainer"]"#), "{service}");
    }
    call("elsewhere/recommend", r#"{"skus":"teapot"}"#, &[]).fails(4, &["not executed", "skus"]);
    call("elsewhere/recommended", teapot, &[]).fails(4, &["not executed", "elsewhere/recommended"]);
    let node = json(&fs::read_to_string(place.path("north/node.json")).expect("it says where it is"));
    let web = node["http"].as_str().expect("an address");
    let answered = post(web, "/v1/elsewhere.recommend/also_bought", teapot);
    assert_eq!(answered, (200, r#"["teacup","strainer"]"#.into()));

    let listed = place.run(&["services", "--dir", "north"]);
    for words in ["greeter", "On other nodes", "elsewhere/recommend", "also_bought", "south@1"] {
        assert!(listed.ok().contains(words), "{words:?} is missing in\n{}", listed.out);
    }
    let report = place.run(&["services", "--dir", "north", "--json"]).json();
    assert_eq!(report["elsewhere"][0]["name"], "elsewhere/recommend", "{report}");
    let detail = place.run(&["services", "elsewhere/recommend", "--dir", "north"]);
    detail.fails(1, &["elsewhere/recommend is on south@1", "also_bought"]);
    second.signal("TERM");
    assert_eq!(second.end().code, Some(0));
    let gone = call("elsewhere/recommend", teapot, &["--within", "100ms"]);
    gone.fails(4, &["not executed", "south@1"]);
}

#[test]
fn each_start_of_a_node_has_the_next_incarnation_and_a_damaged_one_starts_nothing() {
    let place = cluster("incarnation");
    for start in 1..=2 {
        let node = Running::start(place.command(&["node", "--config", "north.toml"]));
        assert_eq!(up(&node)["identity"], format!("north@{start}"));
        // a crash must not bring a number back
        node.signal(if start == 1 { "KILL" } else { "TERM" });
        node.end();
    }
    place.write("north/incarnation", "2");
    let refused = place.run(&["node", "--config", "north.toml"]);
    refused.fails(1, &["north/incarnation is damaged", "odeon links", "echo NUMBER > north/incarnation"]);
    place.write("north/incarnation", "40\n");
    let node = Running::start(place.command(&["node", "--config", "north.toml"]));
    assert_eq!(up(&node)["identity"], "north@41");
}

#[test]
fn a_node_whose_directory_was_copied_while_it_ran_says_that_its_copy_has_taken_its_place() {
    let place = cluster("copied");
    let (_north, address) = north(&place);
    let first = south(place.command(&[]), &address);
    first.until_error("a peer was reached");
    at_last("it is ready", || (place.run(&["status", "--dir", "south"]).code == Some(0)).then_some(()));
    fs::create_dir(place.path("copy")).expect("the place is writable");
    for file in fs::read_dir(place.path("south")).expect("it runs there") {
        let file = file.expect("it can be read");
        fs::copy(file.path(), place.path("copy").join(file.file_name())).expect("it can be copied");
    }
    let cluster = ["--credentials", "c/nodes/south", "--peer", &address];
    let mut copy = place.command(&["node", "--name", "south", "--dir", "copy"]);
    copy.args(FREE).args(cluster);
    let copy = Running::start(copy);
    copy.until_error("a peer was reached");
    first.until_error("this node, south@1, is over for its peers");
    let why = format!("south@1 is over for {address}: another process has come as south@2");
    let status = place.run(&["status", "--dir", "south"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.out.contains("not ready") && status.out.contains(&why), "{status:?}");
    let node = json(&fs::read_to_string(place.path("south/node.json")).expect("it says where it is"));
    let (code, ready) = http(node["management"].as_str().expect("an address"), "GET", "/readyz", &[], "");
    assert!(code == 503 && ready.contains(&why), "{code} {ready}");
    place.run(&["status", "--dir", "copy"]).ok();
}

#[test]
fn credentials_that_do_not_fit_are_refused_with_what_to_do() {
    let place = cluster("links-wrong");
    let check = ["node", "--config", "north.toml", "--check"];
    place.run(&check).ok();
    place.write("north.toml", &NORTH.replace("\"north\"\ndirectory", "\"nord\"\ndirectory"));
    for arguments in [&check[..], &check[..3]] {
        let whose = "c/nodes/north/node.pem is the certificate of the node north";
        let said = [&*format!("north.toml:2:8: this node is nord, but {whose}")];
        place.run(arguments).fails(2, &said);
        place.run(arguments).fails(2, &["name = \"north\"", "odeon cluster certificate nord"]);
    }
    place.write("north.toml", NORTH);
    let foreign = ["--credentials", "nowhere"];
    let missing = place.run(&[&check[..], &foreign].concat());
    missing.fails(2, &["nowhere/ca.pem cannot be read", "odeon cluster init"]);
    place.run(&["node", "--peer", "a:1"]).fails(2, &["needs `credentials`", "--credentials DIR"]);
    place.write("silent.toml", "[cluster]\nlisten = \"127.0.0.1:0\"\n");
    place.run(&["node", "--config", "silent.toml"]).fails(2, &["silent.toml:1:2: ", "needs `credentials`"]);
    assert!(!place.path("north/incarnation").exists(), "nothing was started");
}

#[test]
fn a_peer_address_that_is_none_is_refused_and_one_without_a_node_is_told_of() {
    let place = cluster("peers-wrong");
    place.run(&["up", "--peer", "north"]).fails(2, &["--peer", "expected HOST:PORT"]);
    place.write("bad.toml", &format!("{NORTH}peers = [\"10.0.0.2:7000\", \"south:x\"]\n"));
    let refused = place.run(&["node", "--config", "bad.toml", "--check"]);
    refused.fails(2, &["bad.toml:10:9: \"south:x\" is no address of a peer: expected HOST:PORT"]);
    // names under .invalid never exist (RFC 2606)
    let lonely = ["node", "--config", "north.toml", "--peer", "south.invalid:7000"];
    let node = Running::start(place.command(&lonely));
    let told = node.until_error("a peer cannot be reached");
    assert_eq!(json(told.last().expect("one line at least"))["peer"], "south.invalid:7000");
    let shown = place.run(&["links", "--dir", "north"]);
    assert!(shown.ok().contains("No other node was met yet"), "{}", shown.out);
    node.signal("TERM");
    assert_eq!(node.end().code, Some(0), "a dial that goes on holds up no stop");
}

#[test]
fn a_node_alone_has_no_links_and_says_how_to_get_some() {
    let place = Place::new("links-alone");
    let _node = place.up(&[]);
    place.run(&["links"]).fails(1, &["in no cluster", "--credentials DIR", "[cluster]"]);
    assert!(!place.path(".odeon/incarnation").exists());
}

#[test]
fn new_credentials_are_used_after_a_hangup_and_bad_ones_are_refused() {
    let place = cluster("renewal");
    let (first, address) = north(&place);
    let renew = |said: &str| {
        first.signal("HUP");
        let lines = first.until_error(said);
        json(lines.last().expect("one line at least"))
    };
    let old = fs::read_to_string(place.path("c/nodes/north/node.pem")).expect("it is there");
    // the key of another node
    fs::copy(place.path("c/nodes/south/node.pem"), place.path("c/nodes/north/node.pem")).expect("it is ours");
    let refused = renew("the new credentials are refused");
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["problem"].as_str().is_some_and(|p| p.contains("not the key of node.pem")), "{refused}");
    // those of another node, whole
    for file in ["node.pem", "node.key"] {
        fs::copy(place.path("c/nodes/south").join(file), place.path("c/nodes/north").join(file))
            .expect("ours");
    }
    let refused = renew("the new credentials are refused");
    assert!(refused["problem"].as_str().is_some_and(|p| p.contains("that of the node south")), "{refused}");

    // short ones are good, and told of
    let issue = ["cluster", "certificate", "north", "--directory", "c", "--overwrite", "--days", "1"];
    place.run(&issue).ok();
    assert_ne!(fs::read_to_string(place.path("c/nodes/north/node.pem")).expect("it is there"), old);
    renew("the credentials were replaced");
    let second = south(place.command(&[]), &address);
    second.until_error("a peer was reached");

    // those of another cluster are none of ours
    place.run(&["cluster", "init", "--name", "other", "--directory", "d", "--nodes", "north"]).ok();
    for file in ["ca.pem", "node.pem", "node.key"] {
        fs::copy(place.path("d/nodes/north").join(file), place.path("c/nodes/north").join(file))
            .expect("ours");
    }
    let refused = renew("the new credentials are refused");
    assert!(refused["problem"].as_str().is_some_and(|p| p.contains("of the cluster other-")), "{refused}");
    first.signal("TERM");
    assert_eq!(first.end().code, Some(0), "a hangup ended nothing");
}
