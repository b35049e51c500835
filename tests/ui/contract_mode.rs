#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Both {
    #[cast]
    #[read]
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Changing {
    #[read]
    async fn greet(&mut self, cx: &Cx) -> String;
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Arguments {
    #[cast(later)]
    async fn greet(&self, cx: &Cx);
    #[read]
    #[read]
    async fn name(&self, cx: &Cx) -> String;
}

fn main() {}
