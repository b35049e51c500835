//! Tests with the attribute, run as any test is.

use odeon_simulator::{Crash, Simulation};
use std::time::Duration;

#[odeon_simulator::test(seeds = 20, twice)]
fn an_attribute_runs_each_seed_in_two_processes(sim: &mut Simulation) {
    let host = sim.host("restless", |_| async {
        loop {
            tokio::time::sleep(Duration::from_millis(70)).await;
        }
    });
    sim.start(host);
    sim.run_for(Duration::from_secs(1));
    sim.crash(host, Crash::Power);
    sim.start(host);
    sim.run_for(Duration::from_secs(1));
}

#[odeon_simulator::test(seeds = 3, executors = 2)]
#[should_panic(expected = "replay: ODEON_SEED=0 cargo test -p odeon-simulator --test runner -- --exact \
                           attribute::a_failing_test_names_the_command_that_replays_it --nocapture")]
fn a_failing_test_names_the_command_that_replays_it(sim: &mut Simulation) {
    sim.violation("as asked".to_owned());
}
