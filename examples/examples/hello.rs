//! A complete program: one service. Try `cargo run -p odeon-examples --example hello -- up`.
use odeon::prelude::*;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Greeter {
    async fn greet(&self, cx: &Cx, name: String) -> String;
}
#[derive(Default)]
struct Polite;

#[odeon::service]
impl Greeter for Polite {
    async fn greet(&self, _: &Cx, name: String) -> String {
        format!("Hello, {name}")
    }
}
fn main() -> odeon_daemon::Exit {
    odeon_daemon::main(|app| app.service("greeter", Polite::default))
}
