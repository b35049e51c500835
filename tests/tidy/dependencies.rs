//! What each package may depend on, and what must never reach a production binary.

use super::{report, root};
use std::collections::{BTreeMap, BTreeSet};

/// Direct, non-development dependencies of each package of the workspace, read from its manifest.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("the root manifest");
    let workspace: toml::Table = text.parse().expect("the root manifest is TOML");
    let members = workspace["workspace"]["members"].as_array().expect("members").clone();
    let mut all = BTreeMap::new();
    for member in members {
        let folder = member.as_str().expect("a path");
        let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
        let dependencies = manifest
            .get("dependencies")
            .and_then(toml::Value::as_table)
            .map(|t| t.keys().cloned().collect())
            .unwrap_or_default();
        all.insert(name, dependencies);
    }
    all
}

/// Everything a package of ours reaches through packages of ours.
fn reach(all: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![from.to_owned()];
    while let Some(name) = todo.pop() {
        for next in all.get(&name).into_iter().flatten() {
            if found.insert(next.clone()) {
                todo.push(next.clone());
            }
        }
    }
    found
}

#[test]
fn cores_can_neither_do_io_nor_read_a_clock_nor_draw_chance_from_outside() {
    let all = manifests();
    let allowed: BTreeSet<String> =
        ["crc32fast", "fastrand", "petgraph", "semver", "serde", "thiserror"].map(String::from).into();
    let extra: Vec<_> = all["odeon-core"].difference(&allowed).cloned().collect();
    report("odeon-core depends only on what cannot do I/O", &extra);
}

#[test]
fn packages_depend_in_one_direction() {
    let all = manifests();
    let forbidden = [
        ("odeon-core", vec!["odeon", "odeon-macros", "odeon-actors", "odeon-daemon", "odeon-examples"]),
        ("odeon", vec!["odeon-actors", "odeon-daemon", "odeon-examples", "hyper", "axum", "clap"]),
        ("odeon-actors", vec!["odeon-daemon", "clap", "ractor"]),
        ("odeon-examples", vec!["odeon-actors", "odeon-daemon", "tokio", "ractor"]),
    ];
    let mut complaints = Vec::new();
    for (package, never) in forbidden {
        let direct = &all[package];
        let indirect = reach(&all, package);
        for name in never {
            let ours = name.starts_with("odeon");
            if direct.contains(name) || (ours && indirect.contains(name)) {
                complaints.push(format!("{package} depends on {name}"));
            }
        }
    }
    report("dependencies point from the daemon to the core", &complaints);
}

#[test]
fn the_simulator_never_reaches_a_production_binary() {
    let all = manifests();
    let mut complaints = Vec::new();
    for package in ["odeon-core", "odeon", "odeon-actors", "odeon-daemon", "odeon-examples"] {
        for name in reach(&all, package) {
            if name.starts_with("odeon-simulator") {
                complaints.push(format!("{package} depends on {name}"));
            }
        }
    }
    report("nothing that is shipped depends on the simulator", &complaints);
}

#[test]
fn only_the_runtime_knows_ractor_and_chitchat() {
    let all = manifests();
    let complaints: Vec<_> = all
        .iter()
        .filter(|(name, d)| *name != "odeon" && (d.contains("ractor") || d.contains("chitchat")))
        .map(|(n, _)| n.clone())
        .collect();
    report("ractor is used in the runtime's supervision only, chitchat in its gossip", &complaints);
}
