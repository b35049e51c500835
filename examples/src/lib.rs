//! Example services. Reading order: [`greeter`] (stateless), [`counter`] (an entity), [`shop`] (four services that
//! call each other, and a crowd of shoppers).

pub mod counter;
pub mod greeter;
pub mod shop;

use odeon::App;

/// Adds all of them: `greeter`, `counter`, and the shop with a bank of its own.
pub fn register(app: App) -> App {
    let app = app.service("greeter", greeter::Polite::start).entity("counter", counter::Tally::start);
    shop::register(app, &shop::Bank::new())
}
