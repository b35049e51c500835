#![allow(unused_imports)]

use odeon::Cx;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Single;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Reads {
    #[read]
    async fn greet(&self, cx: &Cx, name: Single) -> String;
}

fn main() {}
