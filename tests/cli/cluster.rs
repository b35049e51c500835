//! `cluster`: an authority and its certificates in files.

use crate::stage::Place;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const INIT: [&str; 6] = ["cluster", "init", "--name", "shop", "--directory", "c"];

fn text(place: &Place, file: &str) -> String {
    fs::read_to_string(place.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn mode(place: &Place, file: &str) -> u32 {
    fs::metadata(place.path(file)).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_cluster_is_made_with_an_authority_and_a_directory_for_each_node() {
    let place = Place::new("cluster-init");
    let made = place.run(&[&INIT[..], &["--nodes", "north,south_1", "--days", "90"]].concat());
    for words in
        ["cluster      shop-", "fingerprint", "north", "c/nodes/south_1", "89", "c/ca.key makes members"]
    {
        assert!(made.ok().contains(words), "{words:?} is missing in\n{}", made.out);
    }
    assert!(!made.out.contains("PRIVATE KEY"));
    for key in ["c/ca.key", "c/nodes/north/node.key", "c/nodes/south_1/node.key"] {
        assert!(text(&place, key).contains("PRIVATE KEY"), "{key}");
        assert_eq!(mode(&place, key), 0o600, "{key}");
    }
    let authority = text(&place, "c/ca.pem");
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
    for node in ["north", "south_1"] {
        assert_eq!(text(&place, &format!("c/nodes/{node}/ca.pem")), authority);
        assert!(text(&place, &format!("c/nodes/{node}/node.pem")).starts_with("-----BEGIN CERTIFICATE-----"));
    }
    assert!(!place.path("c/nodes/ca.key").exists() && !place.path("c/nodes/north/ca.key").exists());
    let shown = place.run(&["cluster", "show", "--directory", "c", "--json"]).json();
    assert_eq!(shown["cluster"], text(&place, "c/cluster").trim());
    assert_eq!(shown["nodes"].as_array().map(Vec::len), Some(2), "{shown}");
    assert_eq!((&shown["nodes"][0]["days_left"], &shown["nodes"][0]["problem"]), (&89.into(), &().into()));
    assert_eq!(shown["authority"]["days_left"], 3_649);
    assert_eq!(shown["fingerprint"].as_str().map(str::len), Some(95), "{shown}");
}

#[test]
fn one_more_node_gets_its_certificate_and_an_old_one_another() {
    let place = Place::new("cluster-certificate");
    let first = place.run(&[&INIT[..], &["--json"]].concat()).json();
    assert_eq!(first["nodes"], serde_json::json!([]));
    let issue = ["cluster", "certificate", "east", "--directory", "c"];
    let issued = place.run(&[&issue[..], &["--days", "30", "--json"]].concat()).json();
    assert_eq!((&issued["cluster"], &issued["nodes"][0]["days_left"]), (&first["cluster"], &29.into()));
    let old = text(&place, "c/nodes/east/node.pem");
    place.run(&issue).fails(1, &["c/nodes/east exists already", "--overwrite"]);
    assert_eq!(text(&place, "c/nodes/east/node.pem"), old, "a refusal changes nothing");
    place.run(&[&issue[..], &["--overwrite"]].concat()).ok();
    assert_ne!(text(&place, "c/nodes/east/node.pem"), old);
    let shown = place.run(&["cluster", "show", "--directory", "c"]);
    assert!(shown.ok().contains("364"), "{}", shown.out);
}

#[test]
fn a_client_gets_a_certificate_of_its_own_kind_beside_those_of_nodes() {
    let place = Place::new("cluster-client");
    place.run(&[&INIT[..], &["--nodes", "north"]].concat()).ok();
    let issue = ["cluster", "certificate", "north", "--client", "--directory", "c"];
    let issued = place.run(&[&issue[..], &["--days", "30", "--json"]].concat()).json();
    assert_eq!(
        (&issued["clients"][0]["client"], &issued["clients"][0]["days_left"]),
        (&"north".into(), &29.into())
    );
    assert_eq!(issued["nodes"], serde_json::json!([]), "a node of the same name is another");
    assert_eq!(mode(&place, "c/clients/north/node.key"), 0o600);
    place.run(&issue).fails(1, &["c/clients/north exists already", "--overwrite"]);
    let shown = place.run(&["cluster", "show", "--directory", "c"]);
    assert!(shown.ok().contains("c/clients/north") && shown.out.contains("client"), "{}", shown.out);
    // no node starts with it
    for file in ["ca.pem", "node.pem", "node.key"] {
        fs::copy(
            place.path(&format!("c/clients/north/{file}")),
            place.path(&format!("c/nodes/north/{file}")),
        )
        .expect("it is ours");
    }
    let mixed = place.run(&["cluster", "show", "--directory", "c"]);
    assert_eq!(mixed.code, Some(1), "{mixed:?}");
    assert!(mixed.out.contains("node.pem is of the client north"), "{}", mixed.out);
}

#[test]
fn a_cluster_is_not_overwritten_unless_told_so() {
    let place = Place::new("cluster-overwrite");
    let nodes = [&INIT[..], &["--nodes", "north"]].concat();
    place.run(&nodes).ok();
    let before =
        (text(&place, "c/cluster"), text(&place, "c/ca.key"), text(&place, "c/nodes/north/node.pem"));
    place.run(&nodes).fails(1, &["exists already", "--directory", "--overwrite ends that cluster"]);
    let after = (text(&place, "c/cluster"), text(&place, "c/ca.key"), text(&place, "c/nodes/north/node.pem"));
    assert_eq!(before, after, "a refusal changes nothing");
    place.run(&[&nodes[..], &["--overwrite"]].concat()).ok();
    assert_ne!(text(&place, "c/cluster"), before.0);
    place.run(&["cluster", "show", "--directory", "c"]).ok();
}

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let place = Place::new("cluster-wrong");
    place.run(&["cluster", "init", "--name", "My_Shop", "--directory", "c"]).fails(2, &["--name", "My_Shop"]);
    place.run(&[&INIT[..], &["--nodes", "North"]].concat()).fails(2, &["--nodes", "'N' at position 1"]);
    place.run(&[&INIT[..], &["--days", "0"]].concat()).fails(2, &["--days"]);
    place.run(&["cluster", "init", "--name", "shop"]).fails(2, &["--directory"]);
    assert!(!place.path("c").exists());
    let show = ["cluster", "show", "--directory", "c"];
    place.run(&show).fails(1, &["c/ca.pem cannot be read", "odeon cluster init"]);
    place.run(&["cluster", "certificate", "east", "--directory", "c"]).fails(1, &["odeon cluster init"]);
    place.run(&[&INIT[..], &["--nodes", "north,south"]].concat()).ok();
    fs::set_permissions(place.path("c/ca.key"), Permissions::from_mode(0o644)).expect("it is ours");
    place.run(&show).fails(1, &["can be read by others (mode 0644)", "chmod 600 c/ca.key"]);
    fs::set_permissions(place.path("c/ca.key"), Permissions::from_mode(0o600)).expect("it is ours");
    // the files of two nodes are mixed up
    fs::copy(place.path("c/nodes/south/node.key"), place.path("c/nodes/north/node.key")).expect("it is ours");
    let mixed = place.run(&show);
    assert_eq!(mixed.code, Some(1), "{mixed:?}");
    assert!(mixed.out.contains("node.key is not the key of node.pem"), "{}", mixed.out);
    fs::copy(place.path("c/nodes/south/node.pem"), place.path("c/nodes/north/node.pem")).expect("it is ours");
    assert!(place.run(&show).out.contains("node.pem is of the node south"));
    place.run(&["cluster", "certificate", "north", "--directory", "c", "--overwrite"]).ok();
    place.run(&show).ok();
}

#[test]
fn the_commands_of_a_cluster_explain_themselves() {
    let place = Place::new("cluster-help");
    for command in ["init", "certificate", "show"] {
        let help = place.run(&["cluster", command, "--help"]);
        assert!(help.ok().contains(&format!("Examples:\n  odeon cluster {command}")), "{}", help.out);
        assert!(help.out.contains("Exit codes:"), "{}", help.out);
    }
}
