//! What generated code names and authors need not see. No part of the public interface: it changes without notice.

pub use super::cast::Cast;
pub use super::compact::{Travelling, Travels};
pub use super::context::Cx;
pub use super::contract::{Arguments, Contract, ContractVersion, Encoding, Method, MethodSchema, Service};
pub use super::decode::arguments;
pub use super::encode::{Encoded, bare_call as encoded_call, bare_cast as encoded};
pub use super::encode::{call as encode_call, cast as encode_cast};
pub use super::message::{Access, Message};
pub use super::reference::Call;
pub use super::reply::{RawReply, Reply};
pub use crate::directory::{Address, Locator};
pub use odeon_core::Refusal;
pub use pin_project_lite::pin_project;
pub use {schemars, serde};

use super::error::Never;
use super::message::Weigh;
use futures_util::future::Either;
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Serialize, de::DeserializeOwned};
use std::pin::Pin;
use std::task::{Context, Poll};
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

/// A handler run: as it is, or in the span that the runtime gives it when somebody records that.
pub type Recorded<F> = Either<F, Pin<Box<Instrumented<F>>>>;

/// A handler run, in a span when somebody records it.
#[inline]
pub fn recorded<F: Future>(cx: &Cx, method: &'static str, handler: F) -> Recorded<F> {
    match cx.record(method) {
        None => Either::Left(handler),
        Some(span) => Either::Right(Box::pin(handler.instrument(span))),
    }
}

pin_project! {
    /// A handler that cannot fail, as one that does not.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Infallible<F> {
        #[pin]
        handler: F,
    }
}

impl<F: Future> Future for Infallible<F> {
    type Output = Result<F::Output, Never>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().handler.poll(cx).map(Ok)
    }
}

/// Makes a handler that cannot fail one that does not.
#[inline]
pub fn infallible<F: Future>(handler: F) -> Infallible<F> {
    Infallible { handler }
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
