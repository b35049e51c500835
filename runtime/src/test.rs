//! Tests of one service: it runs alone, or beside mocks, on a private little node in the current runtime.
//!
//! ```
//! use odeon::prelude::*;
//! use odeon::test::{Bench, json};
//!
//! #[odeon::contract(name = "greeter", version = "1.0")]
//! pub trait Greeter {
//!     async fn greet(&self, cx: &Cx, name: String) -> String;
//! }
//!
//! struct Polite;
//!
//! #[odeon::service]
//! impl Greeter for Polite {
//!     async fn greet(&self, cx: &Cx, name: String) -> String {
//!         let nicknames: GreeterRef = cx.service("nicknames").expect("it is a name");
//!         let name = nicknames.greet(name.clone()).await.unwrap_or(name);
//!         format!("Hello, {name}")
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // alone: nobody knows nicknames
//! let greeter = odeon::test::host(Polite).await;
//! assert_eq!(greeter.greet("Augusta".into()).await, Ok("Hello, Augusta".into()));
//!
//! // beside a mock
//! let mock = GreeterMock::default().on_greet(|_| "Ada".into());
//! let asked = mock.calls();
//! let greeter = Bench::new().service("nicknames", mock).host("greeter", || Polite).await;
//! assert_eq!(greeter.greet("Augusta".into()).await, Ok("Hello, Ada".into()));
//! assert_eq!(asked.of("greet"), [json!({ "name": "Augusta" })]);
//! # }
//! ```

mod bench;
mod mock;
mod trips;

pub use bench::{Bench, Hosted, host};
pub use mock::{Asked, Calls};
#[doc(hidden)]
pub use mock::{Script, recorded, unanswered};
/// JSON values, for what mocks were asked.
pub use serde_json::{Value, json};
pub use trips::assert_round_trips;
