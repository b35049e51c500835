//! The scenarios of the package: each of 20 seeds passes, and is the same in two processes.

use odeon_simulator::runner::{Case, Plan, Shape, Tone, Verdict, tell_failures, tell_summary};
use odeon_simulator::scenario::SCENARIOS;

fn runs_the_same_in_two_processes(scenario: &str, test: &str) {
    let scenario = SCENARIOS.iter().find(|each| each.name == scenario).expect("the scenario is listed");
    let case = Case::of_test(&format!("scenarios::{test}"), Shape::default(), scenario.run);
    let plan = Plan { twice: true, ..Plan::of(0..20) };
    let summary = case.explore(&plan, |_, _| {}).expect("seeds can run here");
    let failures = tell_failures(&summary, Tone::Plain, |failure| failure.token.to_string());
    assert_eq!(summary.verdict(), Verdict::Passed, "{}{failures}", tell_summary(&summary, Tone::Plain));
    assert_eq!(summary.progress.done, 20);
}

#[test]
fn udp_ping_runs_the_same_in_two_processes() {
    runs_the_same_in_two_processes("udp-ping", "udp_ping_runs_the_same_in_two_processes");
}

#[test]
fn http_hello_runs_the_same_in_two_processes() {
    runs_the_same_in_two_processes("http-hello", "http_hello_runs_the_same_in_two_processes");
}

#[test]
fn quic_trust_runs_the_same_in_two_processes() {
    runs_the_same_in_two_processes("quic-trust", "quic_trust_runs_the_same_in_two_processes");
}
