#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract(name = "greeter", version = "1.0")]
struct Structure;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Nothing {}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Generic<T> {
    async fn greet(&self, cx: &Cx, name: T);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Above: Clone {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Items {
    type Name;
    const LOUD: bool;
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Sometimes {
    #[cfg(feature = "loud")]
    async fn shout(&self, cx: &Cx);
    async fn greet(&self, cx: &Cx);
}

fn main() {}
