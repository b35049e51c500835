//! The binary `odeon`.
fn main() {}
