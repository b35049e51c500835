//! Flags and configuration: what is wrong is named with its place, before anything runs.

use crate::stage::Place;

#[test]
fn a_bad_configuration_file_names_line_and_column_and_what_was_expected() {
    let place = Place::new("bad-config");
    let cases = [
        ("[node]\nexectors = 2\n", "odeon.toml:2:1: unknown field `exectors`, expected"),
        ("[node]\nname = 7\n", "odeon.toml:2:8: invalid type: integer `7`, expected a string"),
        ("[http]\nwithin = \"soon\"\n", "odeon.toml:2:10: \"soon\" is no time"),
        ("[services.greeter]\n\ngreeting = 7\n", "odeon.toml:3:12: services.greeter.greeting"),
        ("[services.greeter]\nvolume = 7\n", "odeon.toml:2:1: services.greeter"),
        ("[services.gretter]\nvolume = 7\n", "odeon.toml:1:11: services.gretter"),
        ("[node\n", "odeon.toml:1:6: "),
    ];
    for (text, said) in cases {
        place.write("odeon.toml", text);
        for command in [&["node", "--config", "odeon.toml", "--check"][..], &["up", "--config", "odeon.toml"]]
        {
            place.run(command).fails(2, &[said]);
        }
        assert!(!place.path(".odeon/node.json").exists());
    }
}

#[test]
fn a_configuration_can_be_checked_without_starting_anything() {
    let place = Place::new("check");
    place.write("odeon.toml", "[services.greeter]\ngreeting = \"Salve\"\n");
    assert_eq!(place.run(&["node", "--config", "odeon.toml", "--check"]).ok(), "");
    assert!(!place.path(".odeon").exists());
    place.run(&["node", "--config", "missing.toml", "--check"]).fails(2, &["missing.toml", "No such file"]);
}

#[test]
fn a_service_starts_with_its_section() {
    let place = Place::new("section");
    place.write("odeon.toml", "[services.greeter]\ngreeting = \"Salve\"\n");
    let _node = place.up(&["--config", "odeon.toml"]);
    assert_eq!(place.run(&["call", "greeter", "greet", r#"{"name":"Ada"}"#]).json(), "Salve, Ada");
}

#[test]
fn flags_beat_the_file_and_the_effective_configuration_is_a_file_again() {
    let place = Place::new("effective");
    place.write("odeon.toml", "[node]\nname = \"one\"\nexecutors = 2\n[http]\nwithin = \"3s\"\n");
    let shown = place.run(&["config", "--config", "odeon.toml", "--name", "two"]);
    let first = shown.ok();
    assert!(first.contains("name = \"two\"") && first.contains("executors = 2"), "{first}");
    assert!(first.contains("within = \"3s\"") && first.contains("body_bytes_max = "), "{first}");
    place.write("whole.toml", first);
    assert_eq!(place.run(&["config", "--config", "whole.toml"]).ok(), first);
}

#[test]
fn a_bad_flag_is_named_and_nothing_runs() {
    let place = Place::new("bad-flag");
    place.run(&["up", "--htpp", "127.0.0.1:0"]).fails(2, &["--htpp", "--http"]);
    place.run(&["up", "--http", "localhost"]).fails(2, &["--http", "localhost"]);
    place.run(&["up", "--name", "Node One"]).fails(2, &["'N' at position 1"]);
    place.run(&["up", "--log", "info,=,"]).fails(2, &["--log"]);
    place.run(&["call", "Greeter", "greet"]).fails(2, &["'G' at position 1"]);
    place.run(&["call", "greeter", "greet", "{name}"]).fails(2, &["no JSON", "single quotes"]);
    place.run(&["bench", "greeter", "greet", "--duration", "5"]).fails(2, &["with a unit"]);
    place.run(&["dance"]).fails(2, &["dance"]);
    assert!(!place.path(".odeon").exists());
}

#[test]
fn every_command_explains_itself_with_examples_and_exit_codes() {
    let place = Place::new("help");
    let commands = [
        "up", "node", "status", "ps", "services", "call", "tree", "links", "bench", "cluster", "new",
        "config", "stop",
    ];
    let overview = place.run(&["--help"]);
    for command in commands {
        assert!(overview.ok().contains(command), "{command}");
        let help = place.run(&[command, "--help"]);
        assert!(help.ok().contains(&format!("Examples:\n  odeon {command}")), "{}", help.out);
        assert!(help.out.contains("Exit codes:"), "{}", help.out);
    }
    assert!(place.run(&["--version"]).ok().starts_with("odeon "));
    assert_eq!(place.run(&[]).code, Some(2), "nothing was asked for");
}
