//! What runs services: Odeon's light actor. Reading order: `tick`, `wheel`, `mailbox`, `shared`, `activation`.

mod tick;

pub use tick::Tick;
