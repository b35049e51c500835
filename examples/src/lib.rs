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

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::Contract;
    use odeon::service::compact::Compact;
    use odeon::test::assert_round_trips;

    /// Sends samples of everything there and back; all of it may travel compactly.
    fn travels<C: Contract>() {
        for (method, compact) in assert_round_trips::<C>() {
            assert_eq!(compact, Compact::Safe, "{method} of {}", C::NAME);
        }
    }

    #[test]
    fn samples_of_all_contracts_survive_the_way_to_another_node() {
        travels::<greeter::GreeterRef>();
        travels::<counter::CounterRef>();
        travels::<shop::catalog::CatalogRef>();
        travels::<shop::checkout::CheckoutRef>();
        travels::<shop::crowd::CrowdRef>();
        travels::<shop::payment::PaymentRef>();
        travels::<shop::recommend::RecommendRef>();
    }
}
