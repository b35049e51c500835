//! `new`: the project that it writes compiles.

use crate::stage::Place;
use std::path::Path;
use std::process::Command;

#[test]
fn a_new_project_compiles_with_its_test() {
    let place = Place::new("new");
    let wrote = place.run(&["new", "orders"]);
    assert!(wrote.ok().contains("cargo run -- up"), "{}", wrote.out);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["check", "--all-targets", "--offline", "--quiet"]).current_dir(place.path("orders"));
    // what is compiled already need not be compiled again
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let checked = cargo.env("CARGO_TARGET_DIR", target).output().expect("cargo runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(checked.stderr.is_empty(), "warnings:\n{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn what_exists_is_not_overwritten_and_bad_names_are_refused() {
    let place = Place::new("new-refused");
    let wrote = place.run(&["new", "orders", "--json"]).json();
    assert_eq!(wrote["directory"], "orders");
    let files = ["Cargo.toml", "src/main.rs", "README.md", ".gitignore", "Cargo.lock"];
    assert_eq!(wrote["files"], serde_json::json!(files));
    assert!(files.iter().all(|file| place.path("orders").join(file).is_file()), "{wrote}");
    place.run(&["new", "orders"]).fails(1, &["orders exists already"]);
    place.run(&["new", "Orders"]).fails(2, &["'O' at position 1"]);
    place.run(&["new", "shop/orders"]).fails(2, &["no namespace"]);
    for taken in ["odeon", "odeon-daemon", "odeon_orders", "tokio", "serde", "bytes", "core"] {
        place.run(&["new", taken]).fails(2, &[taken, "depends on", "choose another"]);
        assert!(!place.path(taken).exists());
    }
    place.run(&["new", "other", "--odeon", "/nowhere"]).fails(2, &["/nowhere", "--odeon"]);
    assert!(!place.path("other").exists());
}
