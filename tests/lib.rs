//! What the test levels share.

pub mod history;
pub mod traffic;
