//! What a node tells about itself.

mod doing;
pub mod dump;
pub(crate) mod events;
mod meter;

pub use doing::{Doing, doing};
pub use events::Events;
pub use meter::ServiceMeter;
