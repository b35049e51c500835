//! `call` and `bench`: answers, and exit codes that tell the three outcomes apart.

use crate::stage::{Place, json};
use std::io::Write;
use std::process::Stdio;

const DECLINED: &str = r#"{"card":"4000000000000002","cents":1}"#;

#[test]
fn a_call_prints_the_answer() {
    let place = Place::new("call");
    let _node = place.up(&[]);
    assert_eq!(place.run(&["call", "greeter", "greet", r#"{"name":"Ada"}"#]).ok(), "\"Hello, Ada\"\n");
    assert_eq!(place.run(&["call", "counter#a/b c", "add", r#"{"amount":2}"#]).ok(), "2\n");
    assert_eq!(place.run(&["call", "counter#a/b c", "value"]).ok(), "2\n");
    assert_eq!(place.run(&["call", "catalog#teapot", "find"]).json()["sku"], "teapot");
    let released = place.run(&["call", "catalog#teapot", "release", r#"{"order":"a"}"#]);
    assert_eq!(released.ok(), "accepted\n", "a cast has no answer");
}

#[test]
fn arguments_come_from_a_file_or_from_standard_input() {
    let place = Place::new("arguments");
    let _node = place.up(&[]);
    place.write("ada.json", r#"{"name":"Ada"}"#);
    assert_eq!(place.run(&["call", "greeter", "greet", "@ada.json"]).json(), "Hello, Ada");
    let mut command = place.command(&["call", "greeter", "greet", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("it is piped").write_all(br#"{"name":"Bob"}"#).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"Hello, Bob\"\n");
    place.run(&["call", "greeter", "greet", "@missing.json"]).fails(2, &["missing.json"]);
}

#[test]
fn the_exit_code_tells_how_a_call_ended() {
    let place = Place::new("outcomes");
    place.run(&["call", "greeter", "greet"]).fails(3, &["no node runs in .odeon", "`up`"]);
    place.write("slow.toml", "[services.payment]\nbank_delay_ms = 2000\n");
    let _node = place.up(&["--config", "slow.toml"]);
    place.run(&["call", "payment#a", "charge", DECLINED]).fails(1, &["declined", "card-declined"]);
    let good = r#"{"card":"4242424242424242","cents":1}"#;
    let late = place.run(&["call", "payment#b", "charge", good, "--within", "50ms"]);
    late.fails(5, &["unknown outcome", "repeat it only if"]);
    place.run(&["call", "greeter", "great"]).fails(4, &["not executed", "great"]);
    place.run(&["call", "gretter", "greet"]).fails(4, &["not executed", "gretter"]);
    place.run(&["call", "counter", "value"]).fails(4, &["not executed", "key"]);
    place.run(&["call", "counter#a", "add", r#"{"amount":"two"}"#]).fails(4, &["amount", "expected i64"]);
}

#[test]
fn with_json_every_outcome_is_printed_with_its_exit_code() {
    let place = Place::new("outcome");
    let _node = place.up(&[]);
    let call = |arguments: &[&str], code: i32| {
        let ran = place.run(&[&["call"], arguments, &["--json"]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(code), ""), "{ran:?}");
        json(&ran.out)
    };
    let answered = call(&["greeter", "greet", r#"{"name":"Ada"}"#], 0);
    assert_eq!((&answered["outcome"], &answered["answer"]), (&"answered".into(), &"Hello, Ada".into()));
    let failed = call(&["payment#a", "charge", DECLINED], 1);
    assert_eq!((&failed["outcome"], &failed["error"]["error"]), (&"failed".into(), &"card-declined".into()));
    let nowhere = call(&["greeter", "greet", "--node", "http://127.0.0.1:1"], 3);
    assert_eq!((&nowhere["outcome"], &nowhere["reason"]), (&"not-executed".into(), &"unreachable".into()));
    let refused = call(&["greeter", "great"], 4);
    assert_eq!((&refused["outcome"], &refused["reason"]), (&"not-executed".into(), &"unknown-method".into()));
}

#[test]
fn a_bench_counts_requests_by_outcome() {
    let place = Place::new("bench");
    let _node = place.up(&[]);
    let common = ["--connections", "4", "--duration", "200ms"];
    let bench = |rest: &[&str]| place.run(&[&["bench"], rest, &common].concat());
    let report = bench(&["greeter", "greet", r#"{"name":"Ada"}"#, "--json"]).json();
    assert_eq!(report["outcomes"][0]["outcome"], "answered", "{report}");
    assert_eq!(report["outcomes"][0]["requests"], report["requests"], "{report}");
    assert!(report["requests"].as_u64() > Some(0) && report["requests_per_second"].is_f64(), "{report}");
    let shown = bench(&["greeter", "greet", r#"{"name":"Ada"}"#]);
    assert!(shown.ok().contains("P99.9") && shown.out.contains("requests/s"), "{}", shown.out);
    let refused = bench(&["greeter", "great", "--json"]);
    assert_eq!(refused.code, Some(1), "nothing was answered");
    assert_eq!(json(&refused.out)["outcomes"][0]["outcome"], "not executed: unknown-method");
}
