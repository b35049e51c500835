//! The binary `odeon-sim`.
fn main() {}
