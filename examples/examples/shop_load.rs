//! The shop with a crowd of shoppers. Try `cargo run --release --example shop_load -- up`, then in another terminal
//! what it suggests, and `odeon tree --watch`.

use odeon_daemon::{Exit, Program};
use odeon_examples::shop::{self, Bank, crowd::Street};

fn main() -> Exit {
    Program::new()
        .suggest("crowd", "visits", "{}")
        .suggest("crowd", "send_in", r#"{"shoppers":100}"#)
        .suggest("crowd", "send_away", "{}")
        .main(|app| shop::register(app, &Bank::new()).singleton("crowd", Street::start))
}
