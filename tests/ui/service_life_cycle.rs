#![allow(unused_imports)]

use odeon::Cx;
use odeon::prelude::StopReason;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Greeter {
    async fn greet(&self, cx: &Cx);
}

struct Polite;

#[odeon::service]
impl Greeter for Polite {
    async fn start(_: Cx) -> Self {
        Self
    }

    async fn greet(&self, _: &Cx) {}

    fn ready(&self, _: &Cx) -> bool {
        true
    }

    async fn stop(&self, _: &Cx, _: StopReason) {}

    async fn passivate(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

fn main() {}
