#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Results {
    async fn alias(&self, cx: &Cx) -> std::io::Result<String>;
    async fn bare(&self, cx: &Cx) -> std::fmt::Result;
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Borrowed {
    async fn greet(&self, cx: &Cx) -> &str;
    async fn names(&self, cx: &Cx) -> impl Iterator<Item = String>;
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Thrown {
    #[cast]
    async fn greet(&self, cx: &Cx) -> String;
}

fn main() {}
