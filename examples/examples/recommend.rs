//! The shop's recommendations alone, for a node of their own: see "A cluster of nodes by hand" in docs/OPERATING.md.

use odeon_daemon::{Exit, Program};
use odeon_examples::shop::recommend::Neighbours;

fn main() -> Exit {
    Program::new()
        .suggest("elsewhere/recommend", "also_bought", r#"{"skus":["teapot"]}"#)
        .main(|app| app.service("elsewhere/recommend", Neighbours::start))
}
