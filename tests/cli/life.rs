//! Nodes begin and end: `up`, `node`, signals, directories, ports.

use crate::stage::{Place, Running, http, json, post};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// What is asked by a suggested curl line: body, host and path.
fn curl(line: &str) -> (String, String, String) {
    let (_, rest) = line.split_once("-d ").expect("it has a body");
    let (body, url) = rest.rsplit_once(' ').expect("it has a URL");
    let (host, path) = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
    (body.trim_matches('\'').into(), host.into(), format!("/{path}"))
}

#[test]
fn up_says_what_to_try_and_every_suggested_call_works() {
    let place = Place::new("up");
    let node = Running::start(place.command(&[
        "up",
        "--nodes",
        "1",
        "--http",
        "127.0.0.1:0",
        "--management",
        "127.0.0.1:0",
    ]));
    let said = node.until("Ctrl-C stops it");
    let calls: Vec<_> = said.iter().filter(|line| line.contains("curl ")).map(|line| curl(line)).collect();
    assert_eq!(calls.len(), 4, "{said:?}");
    for (body, host, path) in calls {
        let (status, answer) = post(&host, &path, &body);
        assert_eq!(status, 200, "{path} {body}: {answer}");
    }
    for command in ["call", "bench", "tree", "services"] {
        assert!(said.iter().any(|line| line.contains(&format!("odeon {command}"))), "{command}: {said:?}");
    }
    let (status, document) = http(&place.http(), "GET", "/openapi.json", &[], "");
    assert_eq!(status, 200);
    assert!(json(&document)["paths"].is_object(), "{document}");
}

#[test]
fn ctrl_c_ends_a_node_in_order_and_its_directory_serves_the_next_one() {
    let place = Place::new("ctrl-c");
    for _ in 0..2 {
        let node = place.up(&[]);
        let host = place.http();
        assert_eq!(post(&host, "/v1/greeter/greet", r#"{"name":"Ada"}"#), (200, "\"Hello, Ada\"".into()));
        node.signal("INT");
        let ended = node.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("Stopped."), "{ended:?}");
        assert!(!place.path(".odeon/node.json").exists());
        assert!(std::net::TcpStream::connect(&host).is_err(), "nobody listens any more");
    }
}

#[test]
fn a_second_node_in_a_directory_is_refused_and_told_whose_it_is() {
    let place = Place::new("locked");
    let first = place.up(&[]);
    let second = place.run(&["up", "--nodes", "1", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0"]);
    second.fails(1, &["another node runs in .odeon", &format!("process {}", first.id()), "--dir"]);
    assert_eq!(post(&place.http(), "/v1/greeter/greet", r#"{"name":"Ada"}"#).0, 200, "the first goes on");
}

#[test]
fn what_a_killed_node_left_behind_is_in_nobodys_way() {
    let place = Place::new("killed");
    let first = place.up(&[]);
    first.signal("KILL");
    assert_eq!(first.end().code, None);
    assert!(place.path(".odeon/node.json").exists(), "it had no time to clean up");
    let lost = place.run(&["call", "greeter", "greet", r#"{"name":"Ada"}"#]);
    lost.fails(3, &["cannot connect"]);
    let _second = place.up(&[]);
    assert_eq!(place.run(&["call", "greeter", "greet", r#"{"name":"Ada"}"#]).json(), "Hello, Ada");
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let place = Place::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let http = place.run(&["up", "--nodes", "1", "--http", &address, "--management", "127.0.0.1:0"]);
    http.fails(1, &[&address, "--http 127.0.0.1:0"]);
    let management = place.run(&["up", "--nodes", "1", "--http", "127.0.0.1:0", "--management", &address]);
    management.fails(1, &[&address, "--management 127.0.0.1:0"]);
}

#[test]
fn the_token_is_readable_by_its_owner_alone() {
    let place = Place::new("token");
    let _node = place.up(&[]);
    let token = place.path(".odeon/token");
    let mode = std::fs::metadata(&token).expect("there is a token").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    place.run(&["status"]).fails(3, &["can be read by others", "chmod 600"]);
    // which may be any file
    place.write("any", "");
    std::fs::set_permissions(place.path("any"), std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let named = place.run(&["status", "--token-file", "any"]);
    named.fails(3, &["can be read by others", "--token-file"]);
    assert!(!named.err.contains("remove"), "{named:?}");
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    let place = Place::new("twice");
    place.write("slow.toml", "[services.payment]\nbank_delay_ms = 600000\n");
    let node = place.up(&["--config", "slow.toml"]);
    let order = r#"{"card":"4242424242424242","cents":1}"#;
    let asking = Running::start(place.command(&["call", "payment#a-1", "charge", order, "--within", "4m"]));
    // the handler waits for its bank once the activation is there
    while !place.run(&["tree", "--entities", "10"]).ok().contains("a-1") {}
    node.signal("INT");
    node.until("Stopping");
    node.signal("INT");
    assert_eq!(node.end().code, Some(130));
    // a caller that was cut off does not know what became of it
    asking.end().fails(5, &["unknown outcome"]);
}

#[test]
fn a_node_for_machines_logs_json_and_stops_on_sigterm() {
    let place = Place::new("machine");
    place.write("odeon.toml", "[node]\nname = \"one\"\n[http]\naddress = \"127.0.0.1:0\"\n");
    let arguments = ["node", "--config", "odeon.toml", "--management", "127.0.0.1:0"];
    let node = Running::start(place.command(&arguments));
    let said = node.until_error("the node is up");
    let up = json(said.last().expect("one line at least"));
    assert_eq!((up["node"].as_str(), up["level"].as_str()), (Some("one"), Some("INFO")), "{up}");
    for line in &said {
        assert!(json(line).is_object());
    }
    let host = up["http"].as_str().expect("it says where");
    assert_eq!(post(host, "/v1/greeter/greet", r#"{"name":"Ada"}"#).0, 200);
    node.signal("TERM");
    let ended = node.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("the node has stopped") && ended.out.is_empty(), "{ended:?}");
}

#[test]
fn a_node_that_others_can_rule_warns_of_it_and_says_how_long_its_end_may_take() {
    let place = Place::new("machine-open");
    let node = Running::start(place.command(&["node", "--http", "127.0.0.1:0", "--management", "0.0.0.0:0"]));
    node.until_error("the management interface can be reached from other hosts");
    node.until_error("the node is up");
    assert_eq!(place.run(&["stop", "--within", "2s", "--json"]).json()["state"], "stopped");
    let said = node.until_error("the node stops");
    let stops = json(said.last().expect("one line at least"));
    assert_eq!((&stops["within"], &stops["signal"]), (&"2s".into(), &"a request".into()), "{stops}");
    assert_eq!(node.end().code, Some(0));
}

#[test]
fn sighup_asks_for_a_new_certificate_and_harms_no_node_without_one() {
    let place = Place::new("hangup");
    let arguments = ["node", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];
    let node = Running::start(place.command(&arguments));
    node.until_error("the node is up");
    node.signal("HUP");
    node.until_error("there is no certificate to read again");
    place.run(&["status"]).ok();
}

#[test]
fn a_node_that_ends_without_stopping_in_order_is_told_of_by_stop() {
    let place = Place::new("disorder");
    place.write("slow.toml", "[services.payment]\nbank_delay_ms = 600000\n");
    let node = place.up(&["--config", "slow.toml"]);
    let order = r#"{"card":"4242424242424242","cents":1}"#;
    let asking = Running::start(place.command(&["call", "payment#a-1", "charge", order, "--within", "4m"]));
    while !place.run(&["tree", "--entities", "10"]).ok().contains("a-1") {}
    let stopping = Running::start(place.command(&["stop", "--within", "4m"]));
    node.until("Stopping");
    node.signal("INT");
    assert_eq!(node.end().code, Some(130));
    stopping.end().fails(1, &["did not stop in order"]);
    asking.end().fails(5, &["unknown outcome"]);
}

#[test]
fn stop_ends_the_node_and_waits_until_it_has_ended() {
    let place = Place::new("stop");
    let node = place.up(&[]);
    place.run(&["stop"]).ok();
    assert!(!place.path(".odeon/node.json").exists());
    assert_eq!(node.end().code, Some(0));
    place.run(&["stop"]).fails(3, &["no node runs in .odeon"]);
}
