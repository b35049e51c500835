//! The shop with a crowd of shoppers. Try `cargo run --release --example shop_load -- up`, then in another terminal
//! `odeon tree --watch`, `odeon call crowd send_in '{"shoppers":100}'` and `odeon call crowd visits`.

use odeon_examples::shop::{self, Bank, crowd::Street};

fn main() -> odeon_daemon::Exit {
    odeon_daemon::main(|app| shop::register(app, &Bank::new()).singleton("crowd", Street::start))
}
