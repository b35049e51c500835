//! What becomes of a node whose output nobody takes.

use crate::stage::{Place, Running, http, json, post};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::Stdio;

/// Each request is a line of the log.
const ARGUMENTS: [&str; 7] =
    ["node", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0", "--log", "info,odeon::access=debug"];
/// What a pipe holds that nobody reads.
const PIPE_BYTES: usize = 64 << 10;

fn greet(place: &Place, times: usize) {
    let host = place.http();
    for _ in 0..times {
        assert_eq!(post(&host, "/v1/greeter/greet", r#"{"name":"Ada"}"#).0, 200);
    }
}

fn dropped(place: &Place) -> u64 {
    let text = std::fs::read_to_string(place.path(".odeon/node.json")).expect("a node runs here");
    let management = json(&text)["management"].as_str().expect("it says where").to_owned();
    let (_, metrics) = http(&management, "GET", "/metrics", &[], "");
    let line = metrics.lines().find_map(|line| line.strip_prefix("odeon_log_lines_dropped_total "));
    line.expect("there is such a metric").parse().expect("a number")
}

/// One in which there is no room.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(&vec![b'\n'; PIPE_BYTES]).expect("there is so much room");
    (reader, writer)
}

fn started(place: &Place, arguments: &[&str], out: Stdio, err: Stdio) -> Running {
    let mut command = place.command(arguments);
    command.stdout(out).stderr(err);
    let node = Running::start_unread(command);
    place.until_up();
    node
}

#[test]
fn a_node_whose_log_is_on_a_full_disk_goes_on_and_counts() {
    let place = Place::new("log-full");
    let full = File::options().write(true).open("/dev/full").expect("Linux has one");
    let node = started(&place, &ARGUMENTS, Stdio::null(), full.into());
    greet(&place, 10);
    assert!(dropped(&place) >= 10);
    node.signal("TERM");
    assert_eq!(node.end().code, Some(0));
}

#[test]
fn a_node_whose_log_nobody_can_read_any_more_goes_on() {
    let place = Place::new("log-closed");
    let (reader, writer) = pipe().expect("a pipe");
    let node = started(&place, &ARGUMENTS, Stdio::null(), writer.into());
    drop(reader);
    greet(&place, 10);
    assert!(dropped(&place) >= 9);
    node.signal("TERM");
    assert_eq!(node.end().code, Some(0));
}

#[test]
fn a_node_whose_log_is_not_read_goes_on_and_its_lines_come_when_it_is() {
    let place = Place::new("log-still");
    let (reader, writer) = full_pipe();
    let mut node = started(&place, &ARGUMENTS, Stdio::null(), writer.into());
    greet(&place, 300);
    node.signal("TERM");
    node.read_errors(reader);
    let said = node.end();
    assert_eq!(said.code, Some(0));
    let lines: Vec<_> = said.err.lines().filter(|line| !line.is_empty()).map(json).collect();
    let up = lines.iter().position(|line| line["message"] == "the node is up");
    let down = lines.iter().position(|line| line["message"] == "the node has stopped");
    assert!(up.is_some() && up < down, "{lines:?}");
    assert!(lines.len() >= 302, "{}", lines.len());
}

#[test]
fn a_node_whose_log_is_not_read_ends_in_order() {
    let place = Place::new("log-still-end");
    let (_reader, writer) = full_pipe();
    let node = started(&place, &ARGUMENTS, Stdio::null(), writer.into());
    greet(&place, 10);
    node.signal("TERM");
    assert_eq!(node.end().code, Some(0));
}

#[test]
fn a_second_signal_ends_a_node_whose_output_is_not_read() {
    for (name, command) in [("still-node", "node"), ("still-up", "up")] {
        let place = Place::new(name);
        place.write("slow.toml", "[services.payment]\nbank_delay_ms = 600000\n");
        let mut arguments = ARGUMENTS.to_vec();
        arguments[0] = command;
        if command == "up" {
            arguments.extend(["--nodes", "1"]);
        }
        arguments.extend(["--config", "slow.toml"]);
        let ((_out, to_out), (_err, to_err)) = (full_pipe(), full_pipe());
        let node = started(&place, &arguments, to_out.into(), to_err.into());
        let order = r#"{"card":"4242424242424242","cents":1}"#;
        let asking =
            Running::start(place.command(&["call", "payment#a-1", "charge", order, "--within", "4m"]));
        while !place.run(&["tree", "--entities", "10"]).ok().contains("a-1") {}
        node.signal("TERM");
        while !place.run(&["status", "--json"]).out.contains("\"stopping\": true") {}
        node.signal("TERM");
        assert_eq!(node.end().code, Some(130), "{command}");
        asking.end().fails(5, &["unknown outcome"]);
    }
}
