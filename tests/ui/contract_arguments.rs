use odeon::Cx;
use std::borrow::Cow;

#[odeon::contract(name = "greeter", version = "1.0")]
trait Borrowed {
    async fn text(&self, cx: &Cx, name: &str);
    async fn slice(&self, cx: &Cx, names: &[String]);
    async fn inside(&self, cx: &Cx, names: Vec<&String>);
    async fn lifetime(&self, cx: &Cx, name: Cow<'static, str>);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Vague {
    async fn any(&self, cx: &Cx, name: impl Into<String>);
    async fn object(&self, cx: &Cx, name: Box<dyn ToString>);
    async fn own(&self, cx: &Cx, name: Self);
    async fn function(&self, cx: &Cx, then: fn());
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Patterns {
    async fn pair(&self, cx: &Cx, (first, last): (String, String));
    async fn hole(&self, cx: &Cx, _: String);
    async fn changed(&self, cx: &Cx, mut name: String);
}

#[odeon::contract(name = "greeter", version = "1.0")]
trait Attributes {
    async fn other(&self, cx: &Cx, #[allow(unused)] name: String);
    async fn renamed(&self, cx: &Cx, #[serde(rename = "title")] name: String);
}

fn main() {}
