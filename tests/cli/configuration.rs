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
fn a_log_filter_with_which_no_node_starts_is_found_by_a_check() {
    let place = Place::new("check-log");
    let check = ["node", "--check"];
    place.run(&[&check[..], &["--log", "a=b=c"]].concat()).fails(2, &["--log", "a=b=c", "info,odeon=debug"]);
    let mut by_variable = place.command(&check);
    let ran = by_variable.env("ODEON_LOG", "a=b=c").output().expect("the binary runs");
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("ODEON_LOG"), "{ran:?}");
    place.write("odeon.toml", "[node]\nlog = \"a=b=c\"\n");
    place.run(&[&check[..], &["--config", "odeon.toml"]].concat()).fails(2, &["node.log", "a=b=c"]);
    // a flag beats the file
    place.run(&[&check[..], &["--config", "odeon.toml", "--log", "info"]].concat()).ok();
}

#[test]
fn what_cannot_work_is_refused_with_key_value_and_range() {
    let place = Place::new("bounds");
    let cases = [
        (
            "[node]\nexecutors = 1000000\n",
            "odeon.toml:2:13: node.executors = 1000000 cannot work: expected 1 to 256",
        ),
        (
            "[node]\nblocking_threads = 100000\n",
            "node.blocking_threads = 100000 cannot work: expected 1 to 1024",
        ),
        (
            "[http]\nconnections_max = 0\n",
            "odeon.toml:2:19: http.connections_max = 0 cannot work: expected 1 to",
        ),
        ("[http]\nbody_bytes_max = 0\n", "http.body_bytes_max = 0 cannot work: expected 1 to"),
        ("[http]\nhead_bytes_max = 8191\n", "http.head_bytes_max = 8191 cannot work: expected 8192 to"),
        ("[http]\nwithin = \"0s\"\n", "odeon.toml:2:10: http.within = 0s cannot work: expected 1ms to 5m"),
        ("[http]\nwithin = \"1h\"\n", "http.within = 1h cannot work: expected 1ms to 5m"),
        ("[http]\nwithin = \"301s\"\n", "http.within = 301s cannot work: expected 1ms to 5m"),
        ("[http]\nwithin = \"9000h\"\n", "\"9000h\" is too long: 8784h at the most"),
        ("[node]\nstop_within = \"0s\"\n", "node.stop_within = 0s cannot work: expected 1ms to 24h"),
        ("[node]\nexecutors = 0\n", "odeon.toml:2:13: node.executors = 0 cannot work: expected 1 to 256"),
        (
            "[bindings]\na = \"b\"\nb = \"c\"\nc = \"b\"\n",
            "odeon.toml:3:5: the bindings go in a circle: b -> c -> b",
        ),
        ("[bindings]\na = \"a\"\n", "the bindings go in a circle: a -> a"),
        ("[http]\ntimeout_idle = \"0s\"\n", "http.timeout_idle = 0s cannot work"),
        ("[http]\ntimeout_head = \"0s\"\n", "http.timeout_head = 0s cannot work"),
        ("[http]\ntimeout_body = \"0s\"\n", "http.timeout_body = 0s cannot work"),
        ("[http]\ntimeout_write = \"0s\"\n", "http.timeout_write = 0s cannot work"),
    ];
    for (text, said) in cases {
        place.write("odeon.toml", text);
        place.run(&["node", "--config", "odeon.toml", "--check"]).fails(2, &[said]);
    }
    place.run(&["node", "--executors", "257", "--check"]).fails(2, &["--executors", "257", "1 to 256"]);
    place.write("odeon.toml", "[http]\nwithin = \"300s\"\nhead_bytes_max = 8192\n");
    place.run(&["node", "--config", "odeon.toml", "--check"]).ok();
}

#[test]
fn a_cluster_group_that_cannot_be_one_is_refused_with_key_and_place() {
    let place = Place::new("group");
    let cluster = "[cluster]\ncredentials = \"c\"\n";
    let cases = [
        (
            "founders = [\"a\"]\nvoters = 4\n",
            "odeon.toml:4:10: cluster.voters = 4 cannot work: expected an odd number",
        ),
        (
            "eligible = [\"a\"]\n",
            "odeon.toml:3:12: `eligible` says who votes in a cluster group, but there is none",
        ),
        ("founders = []\nvoters = 3\n", "odeon.toml:4:10: `voters` says who votes in a cluster group"),
        ("founders = [\"a\", \"b\", \"a\"]\n", "odeon.toml:3:12: a is named twice"),
        ("founders = [\"North\"]\n", "odeon.toml:3:12: \"North\": 'N' at position 1"),
    ];
    for (text, said) in cases {
        place.write("odeon.toml", &format!("{cluster}{text}"));
        place.run(&["node", "--config", "odeon.toml", "--check"]).fails(2, &[said]);
    }
    place.run(&["node", "--founder", "north", "--check"]).fails(2, &["needs `credentials`"]);
    place.run(&["node", "--founder", "North", "--check"]).fails(2, &["--founder", "'N' at position 1"]);
    place.write("odeon.toml", &format!("{cluster}eligible = [\"c\"]\nvoters = 5\nhost = \"h\"\n"));
    let shown =
        place.run(&["config", "--config", "odeon.toml", "--founder", "b", "--founder", "a", "--zone", "z"]);
    for line in
        ["founders = [\"a\", \"b\"]", "eligible = [\"c\"]", "voters = 5", "host = \"h\"", "zone = \"z\""]
    {
        assert!(shown.ok().contains(line), "{line} is missing in\n{}", shown.out);
    }
    place.write("whole.toml", shown.ok());
    assert_eq!(place.run(&["config", "--config", "whole.toml"]).ok(), shown.ok());
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_they_are_for() {
    let place = Place::new("files");
    let check = ["node", "--config", "odeon.toml", "--check"];
    place.run(&check).fails(2, &["the configuration file odeon.toml cannot be read", "`config`"]);
    std::fs::write(place.path("odeon.toml"), b"[node]\n# \xff\n").expect("the place is writable");
    place.run(&check).fails(2, &["odeon.toml:2: the configuration file is not UTF-8"]);
    place.write("file", "");
    let free = ["--http", "127.0.0.1:0", "--management", "127.0.0.1:0"];
    let up = |dir: &str| place.run(&[&["up", "--nodes", "1", "--dir", dir][..], &free].concat());
    up("file").fails(1, &["the node's directory file cannot be used: not a directory", "--dir DIR"]);
    let token = place.path("n/token");
    std::fs::create_dir_all(&token).expect("the place is writable");
    up("n").fails(1, &["the token file n/token cannot be used: it is no file"]);
    std::fs::remove_dir(&token).expect("it is ours");
    place.write("n/token", "");
    let open = |mode| std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(mode));
    open(0o644).expect("it is ours");
    up("n").fails(1, &["n/token can be read by others (mode 644)", "chmod 600 n/token"]);
    open(0o600).expect("it is ours");
    up("n").fails(1, &["the token file n/token cannot be used: it is empty", "draws one at its start"]);
    let status = ["status", "--node", "http://127.0.0.1:1", "--token-file", "missing"];
    place.run(&status).fails(3, &["the token file missing cannot be used", "--token-file FILE"]);
    place.write("n/node.json", "{");
    place
        .run(&["status", "--dir", "n"])
        .fails(3, &["n/node.json, which tells where", "damaged", "--node URL"]);
}

#[test]
fn a_key_that_is_none_is_named_with_the_command_that_makes_one() {
    let place = Place::new("garbage");
    place.run(&["cluster", "init", "--name", "shop", "--directory", "c", "--nodes", "north"]).ok();
    let check = ["node", "--check", "--name", "north", "--credentials", "c/nodes/north"];
    place.run(&check).ok();
    for file in ["node.key", "node.pem"] {
        place.write(&format!("c/nodes/north/{file}"), "garbage");
        place
            .run(&check)
            .fails(2, &[file, "cannot be used", "odeon cluster certificate north", "--overwrite"]);
    }
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
    let shown = place.run(&["config", "--config", "odeon.toml", "--name", "two", "--json"]).json();
    assert_eq!(shown["node"]["name"], "two", "{shown}");
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
    place.run(&["up", "--http", "localhost"]).fails(2, &["--http", "localhost", "names are not looked up"]);
    place
        .run(&["up", "--management", "8081"])
        .fails(2, &["--management", "expected IP:PORT, such as 127.0.0.1"]);
    for within in ["0s", "1h"] {
        let call = place.run(&["call", "greeter", "greet", "--within", within]);
        call.fails(2, &["--within", "a call may take 1ms to 5m"]);
    }
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
        "up", "node", "status", "ps", "services", "call", "tree", "links", "members", "bench", "cluster",
        "new", "config", "stop", "drain", "leave",
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
