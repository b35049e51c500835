//! What a node tells about itself.

mod meter;

pub use meter::ServiceMeter;
