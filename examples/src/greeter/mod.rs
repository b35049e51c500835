//! A stateless service: greets.

use odeon::prelude::*;
use serde::Deserialize;

/// Greets people.
#[odeon::contract(name = "greeter", version = "1.0")]
pub trait Greeter {
    /// Greets by name.
    async fn greet(&self, cx: &Cx, name: String) -> String;
}

/// What the greeter is told: the table `[services.greeter]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manners {
    /// What stands before the name.
    pub greeting: String,
}

impl Default for Manners {
    fn default() -> Self {
        Self { greeting: "Hello".into() }
    }
}

/// Greets everybody in the same way.
#[derive(Clone, Debug, Default)]
pub struct Polite {
    manners: Manners,
}

impl Polite {
    /// With manners from the configuration.
    ///
    /// # Errors
    /// The greeting is empty.
    pub async fn start(_: Cx, manners: Manners) -> Result<Self, StartError> {
        if manners.greeting.trim().is_empty() {
            return Err(StartError::new("the greeting is empty"));
        }
        Ok(Self { manners })
    }
}

#[odeon::service]
impl Greeter for Polite {
    async fn greet(&self, _: &Cx, name: String) -> String {
        format!("{}, {name}", self.manners.greeting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::test::{Bench, host};

    #[tokio::test]
    async fn everybody_is_greeted_by_name() {
        let greeter = host(Polite::default()).await;
        assert_eq!(greeter.greet("Ada".into()).await, Ok("Hello, Ada".into()));
    }

    #[tokio::test]
    async fn the_greeting_comes_from_the_configuration() {
        let bench = Bench::new().config("greeter", "greeting = 'Salve'");
        let greeter = bench.host("greeter", Polite::start).await;
        assert_eq!(greeter.greet("Ada".into()).await, Ok("Salve, Ada".into()));
    }
}
