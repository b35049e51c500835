//! What a person types to `odeon-sim` and sees.

use odeon_simulator::runner::Verdict;
use odeon_simulator::scenario::{SCENARIOS, Scenario};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn odeon_sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odeon-sim"));
    command.args(arguments).output().expect("the binary was built with this test")
}

fn standard_output(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is text")
}

fn standard_error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn the_list_names_each_scenario_and_what_it_is_about() {
    let output = odeon_sim(&["list"]);
    assert!(output.status.success());
    let text = standard_output(&output);
    for Scenario { name, about, .. } in SCENARIOS {
        assert!(text.lines().any(|line| line.starts_with(name) && line.ends_with(about)), "{text}");
    }
    assert_eq!(json(&odeon_sim(&["list", "--json"]))[0]["name"], "udp-ping");
}

#[test]
fn a_run_prints_one_line_when_all_seeds_pass() {
    let output = odeon_sim(&["run", "udp-ping", "--seeds", "5..8", "--jobs", "2"]);
    let text = standard_output(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", standard_error(&output));
    assert!(text.starts_with("udp-ping: 3 seeds (5..8), all passed; "), "{text}");
    assert_eq!(standard_error(&output), "", "progress is for terminals");
}

#[test]
fn a_run_can_be_read_by_a_program() {
    let output = odeon_sim(&["run", "udp-ping", "--seeds", "3", "--twice", "--json"]);
    let object = json(&output);
    assert_eq!((&object["scenario"], &object["verdict"]), (&"udp-ping".into(), &"passed".into()), "{object}");
    assert_eq!((&object["passed"], &object["failed"]), (&3.into(), &0.into()), "{object}");
    assert_eq!(object["seeds"]["to"], 3);
}

#[test]
fn a_run_that_is_told_to_end_tells_what_it_knows() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_odeon-sim"));
    command.args(["run", "udp-ping", "--seeds", "1000000000", "--json"]).stdout(Stdio::piped());
    let run = command.spawn().expect("the binary was built with this test");
    let has_started_others = || {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", run.id())).expect("it runs until it is told to end");
        let children =
            threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")));
        children.flatten().any(|children| !children.is_empty())
    };
    // it listens for signals before it starts others
    while !has_started_others() {
        std::thread::yield_now();
    }
    let kill = Command::new("kill").arg(run.id().to_string()).status().expect("there is a kill command");
    assert!(kill.success());
    let output = run.wait_with_output().expect("it ends");
    let object = json(&output);
    assert_eq!(output.status.code(), Some(128 + 15), "{object}");
    assert_eq!((&object["interrupted"], &object["failed"]), (&true.into(), &0.into()), "{object}");
    assert!(object["passed"].as_u64().is_some_and(|passed| passed < 1_000_000_000), "{object}");
}

#[test]
fn a_run_tells_what_was_reached_and_what_never() {
    let output = odeon_sim(&["run", "udp-ping", "--seeds", "4", "--reach"]);
    let text = standard_output(&output);
    let row = |point: &str| {
        let line = text.lines().find(|line| line.starts_with(point));
        line.unwrap_or_else(|| panic!("{point} is missing: {text}"))
            .split_whitespace()
            .rev()
            .collect::<Vec<_>>()
    };
    assert_eq!(row("faults: a path was cut")[1], "4", "each seed cuts one: {text}");
    assert_eq!(row("faults: a page was torn")[0], "never");
    assert!(!text.contains("delivery: "), "it has nothing to do with nodes: {text}");
    let object = json(&odeon_sim(&["run", "udp-ping", "--seeds", "4", "--json"]));
    let rows = object["reach"].as_array().expect("a table");
    assert!(rows.iter().any(|row| row["point"] == "faults: a path was cut" && row["seeds"] == 4), "{object}");
}

#[test]
fn a_replay_has_the_hash_of_the_first_run_and_its_events_when_asked() {
    let first = json(&odeon_sim(&["replay", "udp-ping:7", "--json"]));
    let again = json(&odeon_sim(&["replay", first["token"].as_str().expect("a token"), "--json", "--log"]));
    assert_eq!(first["verdict"], "passed", "{first}");
    assert_eq!((&first["hash"], &first["token"]), (&again["hash"], &again["token"]));
    let events = |object: &Value| object["events"].as_array().map_or(0, Vec::len);
    assert!(events(&first) <= 20 && events(&again) > 100, "{} and {} events", events(&first), events(&again));
}

#[test]
fn a_token_of_another_binary_is_told_before_it_runs() {
    let output = odeon_sim(&["replay", "udp-ping:7:00000000-00000000"]);
    let warnings = standard_error(&output);
    assert!(
        warnings.contains("warning: the token is from another binary (00000000, this one is "),
        "{warnings}"
    );
    assert!(warnings.contains("warning: seed 7 means other options in this binary"), "{warnings}");
    assert!(standard_output(&output).contains("seed 7: passed"), "{}", standard_output(&output));
}

#[test]
fn a_seed_that_takes_too_long_is_told_with_its_exit_code() {
    let output = odeon_sim(&["run", "udp-ping", "--seeds", "1", "--limit", "0.00001"]);
    let text = standard_output(&output);
    assert_eq!(output.status.code(), Some(i32::from(Verdict::Hung.exit_code())), "{text}");
    assert!(text.contains("seed 0: hung\n  hung: still running after 10µs of wall time"), "{text}");
    assert!(text.contains("odeon-sim replay udp-ping:0:"), "{text}");
}

#[test]
fn a_wrong_command_line_says_what_was_expected() {
    let cases = [
        (vec!["run", "udp-pong"], "there is no scenario `udp-pong`; there are: udp-ping, http-hello"),
        (
            vec!["run", "udp-ping", "--seeds", "9..3"],
            "expected a number from 1 such as 1000, or a range such as 5..10",
        ),
        (vec!["run", "udp-ping", "--jobs", "0"], "invalid value '0' for '--jobs <N>'"),
        (vec!["run", "udp-ping", "--limit", "never"], "expected seconds, such as 30 or 0.5"),
        (vec!["replay", "udp-ping"], "`udp-ping` is no token: expected SCENARIO:SEED, such as udp-ping:22"),
        (
            vec!["replay", "shop::a_test:3"],
            "ODEON_SEED=3 cargo test --workspace -- --exact shop::a_test --nocapture",
        ),
    ];
    for (arguments, expected) in cases {
        let output = odeon_sim(&arguments);
        let message = standard_error(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}

#[test]
fn the_long_help_has_examples_and_every_exit_code() {
    let text = standard_output(&odeon_sim(&["--help"]));
    assert!(text.contains("odeon-sim replay udp-ping:22 --log"), "{text}");
    for verdict in Verdict::ALL {
        let line = format!("  {:>2}  {}\n", verdict.exit_code(), verdict.meaning());
        assert!(text.contains(&line), "{text}");
    }
    for command in ["run", "replay"] {
        let text = standard_output(&odeon_sim(&[command, "--help"]));
        assert!(text.contains(&format!("Examples:\n  odeon-sim {command} ")), "{text}");
    }
}
