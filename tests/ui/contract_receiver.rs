#![allow(unused_imports)]

use odeon::Cx;
use std::sync::Arc;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Nobody {
    async fn greet(cx: &Cx);
    async fn leave();
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Value {
    async fn greet(self, cx: &Cx);
    async fn leave(mut self, cx: &Cx);
    async fn share(self: Arc<Self>, cx: &Cx);
    async fn live(&'static self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Context {
    async fn greet(&self);
    async fn leave(&self, name: String);
    async fn change(&self, cx: &mut Cx);
    async fn take(&self, cx: Cx);
}

fn main() {}
