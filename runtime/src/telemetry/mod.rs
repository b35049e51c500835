//! What a node tells about itself.

mod doing;
mod meter;

pub use doing::{Doing, doing};
pub use meter::ServiceMeter;
