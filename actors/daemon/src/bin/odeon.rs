//! The binary `odeon`: the command line with the example services.

fn main() -> odeon_daemon::Exit {
    odeon_daemon::Program::new()
        .suggest("greeter", "greet", r#"{"name":"Ada"}"#)
        .suggest_entity("counter", "apples", "add", r#"{"amount":2}"#)
        .suggest_entity("catalog", "teapot", "find", "{}")
        .suggest(
            "checkout",
            "place",
            r#"{"order":"a-1","lines":[{"sku":"teapot","quantity":1}],"card":"4242424242424242"}"#,
        )
        .main(odeon_examples::register)
}
