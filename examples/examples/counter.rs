//! One entity. Try `cargo run --example counter -- up`, then
//! `curl -s -H 'content-type: application/json' -d '{"amount":2}' http://127.0.0.1:8080/v1/counter/apples/add`.

use odeon_examples::counter::Tally;

fn main() -> odeon_daemon::Exit {
    odeon_daemon::main(|app| app.entity("counter", Tally::start))
}
