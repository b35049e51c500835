//! `up` with several nodes: processes that are started, kept and stopped together.

use crate::stage::{Place, Running, at_last, json, post};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const ALL: [&str; 3] = ["one", "two", "three"];
const FREE: [&str; 2] = ["--http", "127.0.0.1:0"];
const UP: &str = "Ctrl-C stops all";

/// Several nodes, ready to be asked.
fn up(place: &Place, arguments: &[&str]) -> Running {
    let launcher = Running::start(place.command(&[&["up"], arguments].concat()));
    launcher.until(UP);
    launcher
}

/// What a node says of itself.
fn whereabouts(place: &Place, node: &str) -> Value {
    let path = place.path(&format!(".odeon/nodes/{node}/node.json"));
    json(&fs::read_to_string(path).unwrap_or_else(|e| panic!("{node} does not run: {e}")))
}

fn greeted(place: &Place, node: &str) -> (u16, String) {
    let here = whereabouts(place, node);
    post(here["http"].as_str().expect("an address"), "/v1/greeter/greet", r#"{"name":"Ada"}"#)
}

/// Whether a process runs. One that has ended and that nobody has waited for does not.
fn runs(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn pids(place: &Place) -> [u64; 3] {
    ALL.map(|node| whereabouts(place, node)["pid"].as_u64().expect("a process"))
}

fn text(place: &Place, file: &str) -> String {
    fs::read_to_string(place.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn kill(pid: u64) {
    let sent =
        Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("there is a kill command");
    assert!(sent.success());
}

#[test]
fn three_nodes_are_up_by_one_command_and_gone_after_ctrl_c() {
    let place = Place::new("up-three");
    let launcher = Running::start(place.command(&[&["up"][..], &FREE].concat()));
    let said = launcher.until(UP);
    for node in ALL {
        assert_eq!(greeted(&place, node), (200, "\"Hello, Ada\"".into()), "{node}");
        let row = said.iter().find(|line| line.trim_start().starts_with(&format!("{node} ")));
        let http = whereabouts(&place, node)["http"].as_str().expect("an address").to_owned();
        assert!(row.is_some_and(|row| row.contains(&http)), "{node}: {said:?}");
    }
    for line in said.iter().filter(|line| line.contains("curl ")) {
        let (_, rest) = line.split_once("-d ").expect("it has a body");
        let (body, url) = rest.rsplit_once(" http://").expect("it has a URL");
        let (host, path) = url.split_once('/').expect("it has a path");
        let (status, answer) = post(host, &format!("/{path}"), body.trim_matches('\''));
        assert_eq!(status, 200, "{line}: {answer}");
    }
    let members = place.run(&["members", "--json"]).json();
    assert_eq!(members["members"].as_array().map(Vec::len), Some(3), "{members}");
    assert!(place.run(&["status"]).ok().contains("one ready"), "the first one is meant");
    assert!(place.run(&["status", "--dir", ".odeon/nodes/three"]).ok().contains("three ready"));
    for command in ["drain", "leave"] {
        place.run(&[command]).fails(2, &[".odeon has several nodes", "--dir DIR/nodes/NAME"]);
    }
    assert!(place.run(&["cluster", "show", "--directory", ".odeon"]).ok().contains("three"));
    let mode = fs::metadata(place.path(".odeon/ca.key")).expect("a key").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    place.run(&[&["up"][..], &FREE].concat()).fails(1, &["runs in .odeon", &launcher.id().to_string()]);

    let pids = pids(&place);
    launcher.signal("INT");
    let ended = launcher.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("Stopping.") && ended.out.contains("Stopped."), "{ended:?}");
    assert!(!pids.into_iter().any(runs));
    assert!(!place.path(".odeon/up.json").exists());
}

#[test]
fn nodes_are_taken_up_again_where_they_were_and_more_can_come() {
    let place = Place::new("up-again");
    let before = {
        let launcher = up(&place, &[&["--nodes", "2"][..], &FREE].concat());
        let before = [text(&place, ".odeon/ca.pem"), text(&place, ".odeon/nodes/two/odeon.toml")];
        place.run(&["stop", "--within", "1s"]).fails(2, &["stop_within", "--dir DIR/nodes/NAME"]);
        place.run(&["stop"]).ok();
        assert_eq!(launcher.end().code, Some(0));
        before
    };
    for fewer in ["--nodes=1", "--nodes=1 --http 127.0.0.1:0"] {
        let arguments: Vec<_> = ["up"].into_iter().chain(fewer.split(' ')).collect();
        place.run(&arguments).fails(2, &["--nodes 1, but .odeon has 2 nodes", "leave --nodes out"]);
    }
    let launcher = up(&place, &[]);
    assert_eq!(before, [text(&place, ".odeon/ca.pem"), text(&place, ".odeon/nodes/two/odeon.toml")]);
    assert_eq!(text(&place, ".odeon/nodes/two/incarnation"), "2\n");
    place.run(&["stop"]).ok();
    assert_eq!(launcher.end().code, Some(0));

    let launcher = up(&place, &["--nodes", "3"]);
    assert!(text(&place, ".odeon/nodes/three/odeon.toml").contains("founders = [\"one\", \"two\"]"));
    assert_eq!(greeted(&place, "three").0, 200);
    // one that is asked to stop stays away, and the others go on
    place.run(&["stop", "--dir", ".odeon/nodes/three"]).ok();
    launcher.until("Node three (process");
    assert_eq!(greeted(&place, "one").0, 200);
    place.run(&["stop"]).ok();
    assert_eq!(launcher.end().code, Some(0));
}

#[test]
fn a_node_that_is_killed_is_told_of_and_started_again() {
    let place = Place::new("up-killed");
    let launcher = up(&place, &FREE);
    let pid = whereabouts(&place, "two")["pid"].as_u64().expect("a process");
    kill(pid);
    let said = launcher.until("was ended by signal 9 (SIGKILL)");
    let told = said.last().expect("one line at least");
    for words in ["Node two", &pid.to_string(), "started again in 5s", ".odeon/nodes/two/log"] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
    assert_eq!(greeted(&place, "one").0, 200, "the others go on");
    launcher.until("Node two is up again");
    assert_eq!(greeted(&place, "two").0, 200);
    assert_ne!(whereabouts(&place, "two")["pid"], pid);
    assert_eq!(text(&place, ".odeon/nodes/two/incarnation"), "2\n");
    assert_eq!(text(&place, ".odeon/nodes/two/log").matches("`up` starts the node").count(), 2);
}

#[test]
fn nothing_outlives_a_launcher_that_is_killed() {
    let place = Place::new("up-orphans");
    let launcher = up(&place, &FREE);
    let pids = pids(&place);
    assert!(pids.into_iter().all(runs));
    launcher.signal("KILL");
    assert_eq!(launcher.end().code, None);
    // which waits until the directories of the nodes are free
    let _again = up(&place, &[]);
    assert!(!pids.into_iter().any(runs));
    for node in ALL {
        let log = text(&place, &format!(".odeon/nodes/{node}/log"));
        let (before, _) = log.rsplit_once("`up` starts the node").expect("it was started twice");
        for words in ["the end of standard input", "the node has stopped"] {
            assert!(before.contains(words), "{words:?} is missing in\n{before}");
        }
        assert_eq!(greeted(&place, node).0, 200);
    }
}

#[test]
fn a_second_signal_ends_all_nodes_at_once() {
    let place = Place::new("up-twice");
    place.write("slow.toml", "[services.payment]\nbank_delay_ms = 600000\n");
    let launcher = up(&place, &[&["--config", "slow.toml"][..], &FREE].concat());
    let pids = pids(&place);
    let order = r#"{"card":"4242424242424242","cents":1}"#;
    let asking = Running::start(place.command(&["call", "payment#a-1", "charge", order, "--within", "4m"]));
    // the handler waits for its bank once the activation is there
    let is_at = |node: &str| {
        let directory = format!(".odeon/nodes/{node}");
        place.run(&["tree", "--dir", &directory, "--entities", "10"]).ok().contains("a-1")
    };
    at_last("the handler runs", || ALL.into_iter().any(is_at).then_some(()));
    launcher.signal("INT");
    launcher.until("Stopping");
    launcher.signal("INT");
    assert_eq!(launcher.end().code, Some(130));
    assert!(!pids.into_iter().any(runs));
    // a caller that was cut off does not know what became of it
    asking.end().fails(5, &["unknown outcome"]);
}

#[test]
fn nodes_that_cannot_stay_are_given_up_and_without_any_up_ends() {
    let place = Place::new("up-given-up");
    let two = [&["--nodes", "2"][..], &FREE].concat();
    let launcher = up(&place, &two);
    place.run(&["stop"]).ok();
    assert_eq!(launcher.end().code, Some(0));
    for node in ["one", "two"] {
        place.write(&format!(".odeon/nodes/{node}/incarnation"), "seven");
    }
    let ended = Running::start(place.command(&["up"])).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for words in [
        "is damaged",
        "Node one (process",
        "ended with exit code 1; it is started again in 5s.",
        "3 times within 10s of its start: it is not started any more",
        "No node is left.",
    ] {
        assert!(ended.out.contains(words), "{words:?} is missing in\n{}", ended.out);
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_starts() {
    let place = Place::new("up-refused");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    place.run(&["up", "--http", &address]).fails(1, &["node one", &address, "HTTP", "--http 127.0.0.1:0"]);
    place
        .run(&["up", "--http", "127.0.0.1:0", "--management", &address])
        .fails(1, &["node one", &address, "management", "--management 127.0.0.1:0"]);
    place.run(&["up", "--http", "127.0.0.1:65535"]).fails(2, &["127.0.0.1:65535", "choose a lower port"]);
    place.run(&["up", "--nodes", "0"]).fails(2, &["--nodes", "expected 1 to 9"]);
    place.run(&["up", "--nodes", "10"]).fails(2, &["--nodes", "expected 1 to 9"]);
    place.run(&["up", "--name", "north"]).fails(2, &["--name", "--nodes 1"]);
    place.write("odeon.toml", "[cluster]\ncredentials = \"c\"\n");
    place.run(&["up", "--config", "odeon.toml"]).fails(2, &["[cluster]", "--nodes 1"]);
    assert!(!place.path(".odeon/nodes").exists() && !place.path(".odeon/ca.key").exists());
    place.run(&["cluster", "init", "--name", "shop", "--directory", "c"]).ok();
    place
        .run(&[&["up", "--dir", "c"][..], &FREE].concat())
        .fails(2, &["c has the authority of shop-", "--dir DIR"]);
}
