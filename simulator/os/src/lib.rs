//! The operating system that the simulator puts under a node.
//!
//! (The interposed symbols arrive file by file.)

mod entropy;
pub mod process;

pub use entropy::Stream;
