//! What a contract expands to, as text, and what is said to its author; how it behaves is tested in `runtime/tests`.

use super::expand;

const HEAD: &str = "name = \"greeter\", version = \"1.2\"";

fn code(head: &str, item: &str) -> Result<String, String> {
    let tokens = |text: &str| text.parse().expect("tokens");
    let flat = |code: proc_macro2::TokenStream| code.to_string().split_whitespace().collect();
    expand(tokens(head), tokens(item))
        .map(flat)
        .map_err(|errors| errors.into_iter().map(|e| e.to_string()).collect::<Vec<_>>().join("\n"))
}

fn with(method: &str) -> Result<String, String> {
    code(HEAD, &format!("pub trait Greeter {{ {method} }}"))
}

fn refusal(method: &str) -> String {
    with(method).expect_err("this is wrong")
}

fn has(code: &str, wanted: &str) {
    let wanted: String = wanted.split_whitespace().collect();
    assert!(code.contains(&wanted), "no {wanted} in\n{code}");
}

#[test]
fn a_call_becomes_a_variant_with_its_reply() {
    let code =
        with("async fn pay(&mut self, cx: &Cx, card: String) -> Result<Receipt, PayError>;").expect("fine");
    has(
        &code,
        "pub enum GreeterMessage { Pay { card: String, __reply: ::odeon::service::private::Reply<Receipt, PayError>,",
    );
    has(&code, "-> ::odeon::service::private::Call<'_, Self, Receipt, PayError>");
    has(
        &code,
        "fn pay(&mut self, cx: &Cx, card: String) -> impl ::core::future::Future<Output = Result<Receipt, PayError>> + ::core::marker::Send;",
    );
    has(&code, "access: ::odeon::service::private::Access::Exclusive");
}

#[test]
fn a_method_that_cannot_fail_has_the_error_never() {
    has(
        &with("async fn greet(&self, cx: &Cx) -> String;").expect("fine"),
        "Call<'_, Self, String, ::odeon::Never>",
    );
    has(&with("async fn greet(&self, cx: &Cx);").expect("fine"), "Call<'_, Self, (), ::odeon::Never>");
}

#[test]
fn a_cast_has_no_reply_and_a_read_may_be_made_again() {
    let cast = with("#[cast] async fn note(&self, cx: &Cx, x: u32);").expect("fine");
    has(&cast, "Note { x: u32, }");
    has(&cast, "-> ::odeon::service::private::Cast<'_, Self>");
    let read = with("#[read] async fn find(&self, cx: &Cx, x: u32) -> u32;").expect("fine");
    has(&read, "x: ::core::clone::Clone::clone(&x)");
    has(&read, "read: true");
}

#[test]
fn attributes_of_arguments_move_to_the_fields() {
    let code =
        with("async fn greet(&self, cx: &Cx, #[serde(default)] loud: bool, r#type: u8);").expect("fine");
    has(&code, "struct __GreetArguments { #[serde(default)] loud: bool, r#type: u8,");
    has(&code, "fn greet(&self, cx: &Cx, loud: bool, r#type: u8)");
    has(&code, "arguments: &[\"loud\", \"type\"]");
}

#[test]
fn a_method_whose_variant_would_be_a_word_of_the_language_has_another() {
    has(
        &with("async fn self_(&self, cx: &Cx); async fn _1(&self, cx: &Cx);").expect("fine"),
        "MSelf { __reply",
    );
}

#[test]
fn the_first_paragraph_of_the_documentation_is_what_a_method_is_about() {
    let code =
        with("/// Greets\n/// kindly.\n///\n/// At length.\nasync fn greet(&self, cx: &Cx);").expect("fine");
    assert!(code.contains("about:\"Greetskindly.\""), "{code}");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = refusal("fn greet(self, cx: &Cx, name: &str) -> Result<u8>;");
    for part in ["async fn", "does not consume", "`String` instead of `&str`", "write the error type too"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn wrong_methods_are_told_what_to_do() {
    for (method, part) in [
        ("async fn greet(cx: &Cx);", "begins with `&self`"),
        ("async fn greet();", "begins with `&self`"),
        ("async fn greet(&self);", "the context is missing"),
        ("async fn greet(&self, name: String);", "write `cx: &Cx`"),
        ("async fn greet(&self, cx: &mut Cx);", "write `cx: &Cx`"),
        ("async fn greet<T>(&self, cx: &Cx, x: T);", "without type parameters"),
        ("async fn greet(&self, cx: &Cx, x: impl Into<String>);", "instead of `impl`"),
        ("async fn greet(&self, cx: &Cx, x: Cow<'static, str>);", "without lifetimes"),
        ("async fn greet(&self, cx: &Cx, x: Vec<&[u8]>);", "`Vec<T>` instead"),
        ("async fn greet(&self, cx: &Cx, (a, b): (u8, u8));", "one plain name"),
        ("async fn greet(&self, cx: &Cx, x: Self::Name);", "cannot be `Self`"),
        ("async fn greet(&self, cx: &Cx, #[serde(rename = \"y\")] x: u8);", "alias"),
        ("async fn greet(&self, cx: &Cx, #[schemars(rename = \"y\")] x: u8);", "alias"),
        ("async fn greet(&self, cx: &Cx, #[serde(skip)] x: u8);", "an argument travels"),
        (
            "async fn greet(&self, cx: &Cx, #[serde(default, skip_deserializing)] x: u8);",
            "an argument travels",
        ),
        ("async fn greet(&self, cx: &Cx, x: u8, r#x: u8);", "two arguments are called `x`"),
        ("async fn greet(&self, cx: &Cx, cx: u8);", "`cx` is the context already"),
        ("async fn greet<'a>(&self, cx: &Cx, x: Name<'a>);", "without type parameters or lifetimes"),
        ("#[cast] async fn greet(&self, cx: &Cx) -> u8;", "has no reply"),
        ("#[cast] async fn greet(&self, cx: &Cx) -> Result<(), PayError>;", "has no reply"),
        ("#[cast] #[read] async fn greet(&self, cx: &Cx);", "not both"),
        ("#[cast(1)] async fn greet(&self, cx: &Cx);", "takes no arguments"),
        ("#[read] async fn greet(&mut self, cx: &Cx) -> u8;", "take `&self`"),
        ("async fn a_b(&self, cx: &Cx); async fn a__b(&self, cx: &Cx);", "both become `AB`"),
        ("async fn start(&self, cx: &Cx);", "life-cycle"),
        ("async fn greet(&self, cx: &Cx) {}", "end the method with `;`"),
        ("type Name; async fn greet(&self, cx: &Cx);", "only methods"),
        ("#[cfg(unix)] async fn greet(&self, cx: &Cx);", "every build"),
        ("", "at least one method"),
    ] {
        let text = refusal(method);
        assert!(text.contains(part), "{method}: {text}");
    }
}

#[test]
fn wrong_heads_are_told_what_to_do() {
    let wrong = |head: &str| {
        code(head, "trait Greeter { async fn greet(&self, cx: &Cx); }").expect_err("this is wrong")
    };
    for (head, part) in [
        ("", "no name"),
        ("name = \"greeter\"", "no version"),
        ("name = greeter, version = \"1.0\"", "text in quotes"),
        ("name, version = \"1.0\"", "needs a value"),
        ("name = \"Greeter\", version = \"1.0\"", "'G' at position 1"),
        ("name = \"\", version = \"1.0\"", "empty"),
        ("name = \"greeter\", version = 1.0", "text in quotes"),
        ("name = \"greeter\", version = \"1\"", "major.minor"),
        ("name = \"greeter\", version = \"1.70000\"", "65535"),
        ("name = \"greeter\", version = \"1.+1\"", "major.minor"),
        ("name = \"greeter\", name = \"x\"", "twice"),
        ("title = \"greeter\"", "unknown argument `title`"),
    ] {
        let text = wrong(head);
        assert!(text.contains(part), "{head}: {text}");
    }
    assert!(code(HEAD, "struct Greeter;").expect_err("no trait").contains("a contract is a trait"));
    assert!(code(HEAD, "trait Greeter<T>: Clone { }").expect_err("generic").contains("no supertraits"));
}
