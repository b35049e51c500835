//! Looking at a node: `status`, `ps`, `services`, `tree`; for people and for programs.

use crate::stage::{Place, http};
use std::process::Stdio;

#[test]
fn what_is_shown_to_people_names_what_runs() {
    let place = Place::new("people");
    let _node = place.up(&["--name", "one"]);
    place.run(&["call", "counter#apples", "add", r#"{"amount":2}"#]).ok();
    let shows = |arguments: &[&str], words: &[&str]| {
        let ran = place.run(arguments);
        for word in words {
            assert!(ran.ok().contains(word), "{word:?} is missing in\n{}", ran.out);
        }
        assert!(!ran.out.contains('\x1b'), "no colours where there is no terminal");
    };
    shows(&["status"], &["one ready", "services", "http://127.0.0.1:"]);
    shows(&["services"], &["SERVICE", "greeter", "stateless", "counter", "entity", "checkout"]);
    shows(&["services", "counter"], &["add(amount: integer) -> integer", "/v1/counter/", "Adds an amount"]);
    shows(&["ps"], &["SERVICE", "counter", "apples", "up"]);
    shows(&["ps", "counter"], &["apples"]);
    shows(&["topics"], &["No topic has members that this node knows of."]);
    shows(&["tree"], &["counter", "entities", "└─ apples", "waiting 0", "greeter", "stateless"]);
}

#[test]
fn a_key_cannot_write_on_the_terminal_of_whoever_looks() {
    let place = Place::new("forged");
    let _node = place.up(&[]);
    let path = "/v1/counter/%1b%5b31mred%0anew%07/value";
    assert_eq!(http(&place.http(), "POST", path, &["content-type: application/json"], "{}").0, 200);
    for command in ["ps", "tree"] {
        let ran = place.run(&[command]);
        assert!(ran.ok().contains(r"\u{1b}[31mred\u{a}new\u{7}"), "{}", ran.out);
        assert!(!ran.out.contains(['\x1b', '\x07']), "{}", ran.out);
    }
    assert_eq!(place.run(&["ps", "counter", "--json"]).json()["cells"][0]["cell"], "\x1b[31mred\nnew\x07");
}

#[test]
fn with_json_everything_is_json() {
    let place = Place::new("json");
    let _node = place.up(&["--name", "one"]);
    place.run(&["call", "counter#apples", "add", r#"{"amount":2}"#]).ok();
    let json = |arguments: &[&str]| place.run(&[arguments, &["--json"]].concat()).json();
    let status = json(&["status"]);
    assert_eq!((&status["node"], &status["ready"]), (&"one".into(), &true.into()), "{status}");
    assert!(status["resident_bytes"].as_u64() > Some(1_000_000), "{status}");
    let services = json(&["services"]);
    assert_eq!(services["services"].as_array().map(Vec::len), Some(6), "{services}");
    let counter = json(&["services", "counter"]);
    assert_eq!(counter["methods"][0]["arguments"]["properties"]["amount"]["type"], "integer", "{counter}");
    assert_eq!(json(&["ps", "counter"])["cells"][0]["cell"], "apples");
    assert!(json(&["tree"])["children"].is_array());
    assert_eq!(json(&["call", "counter#apples", "value"])["answer"], 2);
}

#[test]
fn what_does_not_exist_is_an_error() {
    let place = Place::new("missing");
    let _node = place.up(&[]);
    place.run(&["services", "gretter"]).fails(1, &["gretter"]);
    place.run(&["ps", "gretter"]).fails(1, &["gretter"]);
    place.run(&["topics", "gretter"]).fails(1, &["the topic gretter has no members"]);
}

#[test]
fn a_node_is_found_by_its_url_too_and_wants_its_token() {
    let place = Place::new("url");
    let _node = place.up(&[]);
    let text = std::fs::read_to_string(place.path(".odeon/node.json")).expect("it says where it is");
    let management = crate::stage::json(&text)["management"].as_str().expect("an address").to_owned();
    let url = format!("http://{management}");
    std::fs::create_dir(place.path("elsewhere")).expect("a directory");
    let asked = ["--dir", "elsewhere", "--node", &url, "--token-file", ".odeon/token"];
    assert!(place.run(&[&["status"][..], &asked].concat()).ok().contains("ready"));
    let mut wrong = asked;
    wrong[5] = "wrong";
    place.write("wrong", "0123456789abcdef0123456789abcdef");
    let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.path("wrong"), secret).expect("it is ours");
    place.run(&[&["status"][..], &wrong].concat()).fails(3, &["refused the token"]);
    place.run(&["status", "--node", "ftp://x:1"]).fails(2, &["ftp://x:1", "http://HOST:PORT"]);
    let gateway = format!("http://{}", place.http());
    let mistaken = place.run(&["status", "--node", &gateway]);
    mistaken.fails(3, &[&place.http(), "no management interface"]);
    assert_eq!(http(&management, "GET", "/healthz", &[], "").0, 200, "health needs no token");
    assert_eq!(http(&management, "GET", "/api/v1/status", &[], "").0, 401);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let place = Place::new("pipe");
    let _node = place.up(&[]);
    let mut command = place.command(&["services", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
