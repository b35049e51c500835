//! What authors touch. Reading order: [`contract`], [`context`], [`mod@reference`], [`error`].

mod cast;
pub mod compact;
pub mod context;
pub mod contract;
pub mod decode;
pub mod encode;
pub mod error;
mod guard;
pub(crate) mod letter;
pub mod message;
mod messagepack;
#[doc(hidden)]
pub mod private;
pub mod reference;
pub mod reply;
pub mod weigh;

pub use cast::{Cast, Casting};
pub use context::Cx;
pub use contract::{Contract, Service};
pub use error::{CallError, ContractError, Never, StartError};
pub use reference::Call;
pub use reply::Reply;
pub use weigh::Weigh;

/// Whether a body of MessagePack can be read without overflowing the stack.
///
/// # Errors
/// For people: what is wrong with it.
pub(crate) fn messagepack_check(body: &[u8]) -> Result<(), String> {
    messagepack::check(body)
}
