//! The binary `odeon-sim`: runs scenarios under many seeds, and one seed again.

use odeon_simulator::{command, scenario};
use std::process::ExitCode;

fn main() -> ExitCode {
    command::main(scenario::SCENARIOS)
}
