#![allow(unused_imports)]

use odeon::Cx;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Waiting {
    fn greet(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Body {
    async fn greet(&self, cx: &Cx) -> String {
        "Hello".into()
    }
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Generic {
    async fn greet<T>(&self, cx: &Cx, name: T);
    async fn leave<'a>(&self, cx: &Cx);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Words {
    async unsafe fn greet(&self, cx: &Cx);
}

fn main() {}
