#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract]
trait Nothing {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter")]
trait NoVersion {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(version = "1.0")]
trait NoName {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "Greeter", version = "1.0")]
trait Capital {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greet er", version = "1.0")]
trait Space {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "", version = "1.0")]
trait Empty {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = greeter, version = "1.0")]
trait Unquoted {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = 1.0)]
trait Number {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "one")]
trait Word {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0", timeout = 5)]
trait Unknown {
    async fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", name = "again", version = "1.0")]
trait Twice {
    async fn greet(&self, cx: &Cx);
}

fn main() {}
