//! The services that Odeon's measurements run.

use odeon::prelude::Cx;

/// Adds up what it is told, answers what it is asked.
#[odeon::contract(name = "adding", version = "1.0")]
pub trait Adding {
    /// Adds.
    #[cast]
    async fn add(&mut self, cx: &Cx, value: u64);
    /// One more than the value.
    async fn ask(&mut self, cx: &Cx, value: u64) -> u64;
    /// What was added so far.
    async fn total(&mut self, cx: &Cx) -> u64;
    /// The thread that it runs on.
    async fn thread(&mut self, cx: &Cx) -> String;
}

/// An entity that adds.
#[derive(Debug, Default)]
pub struct Sink(u64);

#[odeon::service]
impl Adding for Sink {
    async fn add(&mut self, _: &Cx, value: u64) {
        self.0 = self.0.wrapping_add(value);
    }

    async fn ask(&mut self, _: &Cx, value: u64) -> u64 {
        value + 1
    }

    async fn total(&mut self, _: &Cx) -> u64 {
        self.0
    }

    async fn thread(&mut self, _: &Cx) -> String {
        std::thread::current().name().unwrap_or_default().into()
    }
}

/// The service of the examples: what the measurements over HTTP call.
#[odeon::contract(name = "greeter", version = "1.0")]
pub trait Greeter {
    /// Greets.
    async fn greet(&self, cx: &Cx, name: String) -> String;
}

/// Greets politely.
#[derive(Debug, Default)]
pub struct Polite;

#[odeon::service]
impl Greeter for Polite {
    async fn greet(&self, _: &Cx, name: String) -> String {
        format!("Hello, {name}")
    }
}
