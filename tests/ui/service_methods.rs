#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Greeter {
    async fn greet(&self, cx: &Cx, name: String) -> String;
    async fn leave(&self, cx: &Cx);
}

struct Polite;

#[odeon::service]
impl Greeter for Polite {
    async fn greet(&self, _: &Cx, name: String) -> String {
        name
    }

    async fn dance(&self, _: &Cx) {}
}

fn main() {}
