#![allow(unused_imports)]

use odeon::Cx;

trait Plain {
    async fn greet(&self, cx: &Cx);
}

struct Polite;

#[odeon::service]
impl Plain for Polite {
    async fn greet(&self, _: &Cx) {}
}

fn main() {}
