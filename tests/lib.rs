//! What the test levels share.

pub mod traffic;
