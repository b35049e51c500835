#![allow(unused_imports)]

use odeon::Cx;
use odeon::prelude::StopReason;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Greeter {
    async fn greet(&self, cx: &Cx);
}

struct A;
#[odeon::service(name = "greeter")]
impl Greeter for A {
    async fn greet(&self, _: &Cx) {}
}

#[odeon::service]
struct B;

struct C;
#[odeon::service]
impl C {
    async fn greet(&self, _: &Cx) {}
}

struct D;
#[odeon::service]
impl Greeter<u8> for D {
    async fn greet(&self, _: &Cx) {}
}

fn main() {}
