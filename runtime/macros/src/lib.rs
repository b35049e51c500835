//! The contract and service attributes of Odeon, and the derive of `Weigh`.
//!
//! Reading order: `contract/attribute` and `contract/read` turn a trait into `contract/model`, or say what is wrong
//! with it; `contract/generate` turns the model into code; `service` splits an `impl` into contract and life-cycle;
//! `weigh` asks the fields of a type.
//! Generated code names only `::odeon::…`, so that an author's crate needs no other dependency.

mod contract;
mod problems;
mod service;
mod weigh;

use proc_macro::TokenStream;

/// Makes a trait the contract of a service.
///
/// ```text
/// #[odeon::contract(name = "greeter", version = "1.0")]
/// pub trait Greeter {
///     /// Greets.
///     async fn greet(&self, cx: &Cx, name: String) -> String;
///     #[read]
///     async fn count(&self, cx: &Cx) -> u64;
///     #[cast]
///     async fn forget(&mut self, cx: &Cx, #[serde(default)] all: bool);
///     async fn pay(&mut self, cx: &Cx, card: String) -> Result<Receipt, PayError>;
/// }
/// ```
///
/// From it come, with the visibility of the trait:
///
/// - the trait, for services to implement with `async fn`;
/// - `GreeterRef`, whose methods call a service wherever it runs: `greeter.greet("Ada".into()).await`;
/// - `GreeterMock`, a service that answers with closures, for tests of those who depend on the contract;
/// - a hidden `GreeterMessage`, which is what travels.
///
/// | attribute of a method | meaning |
/// |---|---|
/// | `#[cast]` | no reply: the sender learns only that the message was accepted |
/// | `#[read]` | idempotent by promise: the runtime may repeat the call; needs `&self` |
///
/// `&self` handlers of one activation run beside each other, `&mut self` handlers alone. Arguments and answers are
/// owned types that serde and schemars can read and write; an error type is a `ContractError`. `#[serde(…)]`,
/// `#[schemars(…)]` and documentation may stand on arguments: `#[serde(default)]` is how arguments evolve.
#[proc_macro_attribute]
pub fn contract(arguments: TokenStream, item: TokenStream) -> TokenStream {
    contract::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a type a service, from its implementation of a contract.
///
/// ```text
/// #[odeon::service]
/// impl Greeter for Polite {
///     async fn greet(&self, cx: &Cx, name: String) -> String { … }
///
///     // optional, in any combination:
///     async fn ready(&self, cx: &Cx) -> bool { … }
///     async fn stop(&mut self, cx: &Cx, reason: StopReason) { … }
///     async fn passivate(&mut self, cx: &Cx) -> Vec<u8> { … }
/// }
/// ```
///
/// The contract's `GreeterRef` must be in scope beside `Greeter`, or the trait be named by a path.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Tells the byte bound of mailboxes what lies on the heap behind a type, by asking each of its fields.
///
/// ```text
/// #[derive(Weigh)]
/// struct Order {
///     customer: String,
///     items: Vec<Item>,
///     price: Money,
/// }
/// ```
///
/// A field whose type does not implement `Weigh` counts as nothing, and so does a container of such: derive it for
/// `Item` too. Type parameters must implement it.
#[proc_macro_derive(Weigh)]
pub fn weigh(item: TokenStream) -> TokenStream {
    weigh::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
