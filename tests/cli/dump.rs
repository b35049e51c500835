//! `dump`: what a node that misbehaves is asked.

use crate::stage::{Place, Running, at_last};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const ORDER: &str = r#"{"card":"4242424242424242","cents":1}"#;

/// A call to a payment, whose bank answers after ten minutes.
fn charge(place: &Place, within: &str) -> Running {
    Running::start(place.command(&["call", "payment#a-1", "charge", ORDER, "--within", within]))
}

fn listed<'a>(dump: &'a Value, what: &str) -> &'a Vec<Value> {
    dump["inside"][what]["listed"].as_array().unwrap_or_else(|| panic!("{what} is no list in {dump}"))
}

fn event<'a>(dump: &'a Value, kind: &str, words: &str) -> Option<&'a Value> {
    let events = dump["inside"]["events"].as_array().expect("a list");
    events.iter().find(|e| e["kind"] == kind && e["text"].as_str().is_some_and(|text| text.contains(words)))
}

#[test]
fn a_dump_tells_which_handler_waits_and_what_waits_behind_it() {
    let place = Place::new("dump");
    place.write("slow.toml", "[services.payment]\nbank_delay_ms = 600000\n");
    let _node = place.up(&["--name", "one", "--config", "slow.toml"]);
    // the first waits for the bank, the others in its mailbox
    let _asking = ["4m"; 3].map(|within| charge(&place, within));
    let dump = at_last("a handler waits, and two behind it", || {
        let dump = place.run(&["dump", "--json"]).json();
        let queued =
            listed(&dump, "queues").first().is_some_and(|queue| queue["waiting"].as_u64() >= Some(2));
        (queued && !listed(&dump, "stuck").is_empty()).then_some(dump)
    });
    let stuck = &listed(&dump, "stuck")[0];
    assert_eq!((&stuck["service"], &stuck["key"]), (&"payment".into(), &"a-1".into()), "{stuck}");
    assert_eq!((&stuck["method"], &stuck["blocks"]), (&"charge".into(), &false.into()), "{stuck}");
    assert!(stuck["deadline_ms"].as_i64().is_some_and(|left| (0..240_000).contains(&left)), "{stuck}");
    assert_eq!(dump["status"]["node"], "one");
    assert!(event(&dump, "started", "payment runs").is_some(), "{dump}");
    assert!(
        dump["inside"]["executors"]
            .as_array()
            .is_some_and(|all| all.iter().all(|e| e["answered_us"].is_u64()))
    );

    let shown = place.run(&["dump", "one"]);
    for words in ["one ready", "charge", "a-1", "waits", "1024", "Executors:", "control", "Last events"] {
        assert!(shown.ok().contains(words), "{words:?} is missing in\n{}", shown.out);
    }
    let said = place.run(&["dump", "--output", "dump.txt"]);
    assert!(said.ok().contains("The dump of one is in dump.txt."), "{said:?}");
    let file = place.path("dump.txt");
    assert_eq!(fs::metadata(&file).expect("it is written").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).expect("it is text");
    let token = fs::read_to_string(place.path(".odeon/token")).expect("there is a token");
    assert!(text.contains("payment") && !text.contains(token.trim()) && !text.contains("4242"), "{text}");
}

#[test]
fn the_dump_of_a_node_that_does_not_become_ready_tells_which_service_fails_and_why() {
    let place = Place::new("dump-fails");
    place.write("moody.toml", "[services.recommend]\nfailing = 2.0\n");
    let free = ["--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];
    let up = ["up", "--nodes", "1", "--config", "moody.toml"];
    let _node = Running::start(place.command(&[&up[..], &free].concat()));
    let dump = at_last("it fails, and begins again", || {
        let ran = place.run(&["dump", "--json"]);
        let dump = (ran.code == Some(0)).then(|| ran.json())?;
        event(&dump, "activation-failed", "of recommend could not start: failing is 2")
            .is_some()
            .then_some(dump)
    });
    let event = event(&dump, "activation-failed", "of recommend").expect("it was there");
    assert!(event["text"].as_str().is_some_and(|text| text.contains("begins again")), "{event}");
    assert_eq!(dump["status"]["ready"], false, "{dump}");
    assert!(place.run(&["dump"]).ok().contains("not ready"));
}

#[test]
fn a_node_of_a_cluster_is_dumped_by_its_name_with_its_links_and_its_view() {
    let place = Place::new("dump-cluster");
    let launcher = Running::start(place.command(&["up", "--http", "127.0.0.1:0"]));
    launcher.until("Ctrl-C stops all");
    let events = [
        ("link-up", "a link to one@1 is up"),
        ("link-up", "a link to three@1 is up"),
        ("peer-heard", "@1 is heard of"),
        ("standing", "two@1 is a member of the cluster"),
        ("view", "two@1 is a member"),
        ("slots", "slots of counter are here now"),
        ("lease-held", "the node holds its lease"),
        ("leader", "leads group 0"),
    ];
    let dump = at_last("all of this has happened", || {
        let dump = place.run(&["dump", "two", "--json"]).json();
        events.iter().all(|(kind, words)| event(&dump, kind, words).is_some()).then_some(dump)
    });
    assert_eq!(dump["identity"], "two@1");
    assert!(
        dump["inside"]["journal"]["synced_ms"].is_u64() && dump["cluster"]["committed"].is_u64(),
        "{dump}"
    );
    assert!(place.run(&["dump", "three"]).ok().contains("a member, and holds its lease"));
    place.run(&["dump", "four"]).fails(3, &["no node four runs in .odeon", "--dir DIR"]);
    let elsewhere = place.run(&["dump", "two", "--dir", ".odeon/nodes/one"]);
    elsewhere.fails(3, &["two@1 is a member of the cluster, on the host", "does not run in", "ssh -L"]);

    let two = place.run(&["stop", "--dir", ".odeon/nodes/two"]);
    two.ok();
    let dump = at_last("its peers have heard of it", || {
        let dump = place.run(&["dump", "three", "--json"]).json();
        event(&dump, "view", "two@1 is a member no more: it has left").is_some().then_some(dump)
    });
    assert!(event(&dump, "link-down", "the link to two@1 is down").is_some(), "{dump}");
}
