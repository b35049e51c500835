//! The shop alone. Try `cargo run --example shop -- up`.

use odeon_daemon::{Exit, Program};
use odeon_examples::shop::{self, Bank};

fn main() -> Exit {
    Program::new()
        .suggest_entity("catalog", "teapot", "find", "{}")
        .suggest(
            "checkout",
            "place",
            r#"{"order":"a-1","lines":[{"sku":"teapot","quantity":1}],"card":"4242424242424242"}"#,
        )
        .suggest("recommend", "also_bought", r#"{"skus":["teapot"]}"#)
        .main(|app| shop::register(app, &Bank::new()))
}
