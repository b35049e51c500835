//! What runs services: Odeon's light actor, a *cell*. It has a mailbox, one task for life, and one activation of
//! its service at a time.
//!
//! Reading order: `tick` and `wheel` are its time; `mailbox` is where messages wait, `in_line` senders for room in it; `shared` is the handle and
//! what outlives activations; `drive` is the task, `activation` one life of the service in it, `run` and `crowd`
//! what that does between and beside its handlers, `fence` until when it may. `port` is a cell as others see it, `kind` what the cells of one
//! service share, `ambient` and `belongings` what a handler has around it, `watchers` who wants to know of its end, `nursery` when a
//! new one begins, `turn` when one that runs lets others run, `way` how refusals name the cells of a chain.

mod activation;
pub(crate) mod ambient;
pub(crate) mod belongings;
mod bounds;
mod crowd;
mod drive;
pub(crate) mod ending;
pub(crate) mod fence;
mod hand;
mod in_line;
pub(crate) mod kind;
mod mailbox;
pub(crate) mod nursery;
pub(crate) mod port;
mod queue;
mod ring;
mod run;
mod shared;
mod sync;
#[cfg(test)]
mod tests;
mod tick;
pub(crate) mod turn;
pub(crate) mod watchers;
mod way;
mod wheel;

pub(crate) use activation::Constructor;
pub use bounds::Bounds;
pub(crate) use drive::spawn;
pub use port::{CellStatus, Phase};
pub(crate) use shared::Admission;
pub use shared::Handle;
pub use tick::Tick;
pub use wheel::Wheel;
pub(crate) use wheel::{Key as WheelKey, Pending};
