//! Tests of one service: it runs alone, or beside mocks, on a private little node in the current runtime.
//!
//! ```text
//! let greeter = odeon::test::host(Polite::default()).await;
//! assert_eq!(greeter.greet("Ada".into()).await, Ok("Hello, Ada".into()));
//!
//! let payment = PaymentMock::default().on_pay(|card| Ok(Receipt { card }));
//! let asked = payment.calls();
//! let checkout = Bench::new().service("payment", payment).host("checkout", Checkout::start).await;
//! checkout.buy(cart).await?;
//! assert_eq!(asked.of("pay"), [json!({ "card": "4711" })]);
//! ```

mod bench;
mod mock;

pub use bench::{Bench, Hosted, host};
pub use mock::{Asked, Calls};
#[doc(hidden)]
pub use mock::{Script, recorded, unanswered};
/// JSON values, for what mocks were asked.
pub use serde_json::{Value, json};
