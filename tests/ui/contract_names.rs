#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Same {
    async fn say_hello(&self, cx: &Cx);
    async fn say__hello(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Reserved {
    async fn start(&self, cx: &Cx);
    async fn ready(&self, cx: &Cx) -> bool;
    async fn stop(&mut self, cx: &Cx);
    async fn passivate(&mut self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Generated {
    async fn __shared(&self, cx: &Cx);
    async fn greet(&self, cx: &Cx, __reply: u8);
}

fn main() {}
