//! How messages reach another node: each once, in order, no more than it can take, and none without an entry in the
//! books.
//!
//! Two nodes that talk have a *session* for each direction. It outlives connections: what goes out on a lane is kept
//! until the receiver has it ([`outbound`]), and the receiver drops what it has already ([`inbound`]). [`window`]
//! bounds what is under way to one receiver; [`books`] say what became of everything.
//!
//! Architecture invariant: nothing here knows bytes, connections or time.

pub mod books;
pub mod inbound;
pub mod outbound;
pub mod window;

pub use books::{Books, CallEnd, Loss, Receipt};
pub use inbound::Inbound;
pub use outbound::Outbound;
pub use window::Window;

#[cfg(test)]
mod tests;
