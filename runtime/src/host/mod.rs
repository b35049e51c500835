//! The seams: what a node is handed when it starts. They own all threads; nothing else in a node starts one.

mod executor;

pub use executor::Executor;
