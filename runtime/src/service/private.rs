//! What generated code names and authors need not see. No part of the public interface: it changes without notice.

pub use super::context::Cx;
pub use super::contract::{Arguments, Contract, ContractVersion, Method, MethodSchema, Service};
pub use super::decode::arguments;
pub use super::message::{Access, Message};
pub use super::reference::{Call, Cast};
pub use super::reply::{RawReply, Reply};
pub use crate::directory::{Address, Locator};
pub use odeon_core::Refusal;
pub use {schemars, serde};

use super::message::Weigh;
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument;
use tracing::instrument::Instrumented;

/// A value whose heap is asked for. Method resolution prefers [`KnownHeap`], which needs no reference to it, and
/// falls back to [`UnknownHeap`] for types that do not implement [`Weigh`].
pub struct Weighed<'a, T>(pub &'a T);

/// Bytes on the heap of a type that says so.
pub trait KnownHeap {
    /// Bytes on the heap.
    fn heap(&self) -> usize;
}

impl<T: Weigh> KnownHeap for Weighed<'_, T> {
    #[inline]
    fn heap(&self) -> usize {
        self.0.heap()
    }
}

/// Nothing is known of the heap of any other type.
pub trait UnknownHeap {
    /// Counts as nothing.
    fn heap(&self) -> usize {
        0
    }
}

impl<T> UnknownHeap for &Weighed<'_, T> {}

/// Does nothing but compile for an answer that can travel.
pub const fn demand_answer<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static>() {}

/// A handler run in the span that the runtime gives it; without one, when nobody records it.
#[inline]
pub fn recorded<F: Future>(cx: &Cx, method: &'static str, handler: F) -> Instrumented<F> {
    handler.instrument(cx.record(method))
}

/// The length of encoded arguments as messages remember it; never zero.
pub fn encoded_length(arguments: &Arguments) -> u32 {
    u32::try_from(arguments.body.len()).unwrap_or(u32::MAX).max(1)
}

/// The position is none of the contract's.
pub fn no_method(contract: &str, position: usize) -> Refusal {
    Refusal::UnknownMethod { service: contract.into(), method: format!("at position {position}") }
}

/// The schema of a position that is none of the contract's: nothing fits.
pub fn no_schema() -> MethodSchema {
    MethodSchema { arguments: false.into(), answer: None, error: None }
}

/// The schema of a reference as it travels.
pub fn reference_schema(contract: &str) -> Schema {
    json_schema!({
        "description": format!("A reference to a provider of the contract `{contract}`."),
        "type": "object",
        "properties": {
            "service": { "type": "string", "description": "The name of the service, such as `shop/cart`." },
            "key": { "type": "string", "description": "The key of an entity; absent for a service or singleton." },
        },
        "required": ["service"],
    })
}

/// A message was handed to the wrong one of [`Service::shared`] and [`Service::exclusive`].
///
/// # Panics
/// Always: whoever did that does not go by [`Message::access`].
pub fn wrong_access(method: &str) -> ! {
    panic!("a message of `{method}` was dispatched against its access")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    #[test]
    #[allow(clippy::needless_borrow, reason = "as generated code does: the reference is what falls back")]
    fn a_type_that_does_not_weigh_itself_counts_as_nothing() {
        assert_eq!((&Weighed(&String::from("four"))).heap(), 4);
        assert_eq!((&Weighed(&Silent)).heap(), 0);
        assert_eq!((&Weighed(&vec![Some(String::from("abc"))])).heap(), 3 + size_of::<Option<String>>());
    }
}
