//! The shop alone. Try `cargo run --example shop -- up`.

use odeon_examples::shop::{self, Bank};

fn main() -> odeon_daemon::Exit {
    odeon_daemon::main(|app| shop::register(app, &Bank::new()))
}
