//! Contracts of unusual shape compile, and without a warning in their author's crate.

#![deny(warnings, missing_docs, clippy::all)]

use odeon::Cx;

/// Private to its module, with names that need care.
#[odeon::contract(name = "odd_names-2", version = "0.1")]
trait Odd {
    /// An argument and a method with names of the language.
    async fn r#type(&self, cx: &Cx, r#match: u8, message: u8, reply: u8, service: u8) -> u8;

    /// Names that generated code could use.
    async fn address(
        &mut self,
        cx: &Cx,
        address: u8,
        method: u8,
        answer: u8,
        arguments: u8,
        encoded: u8,
    ) -> u8;

    /// The same as one of the mock's own.
    async fn calls(&self, cx: &Cx) -> Vec<u8>;

    /// The same as one of the runtime's.
    async fn shared(&self, cx: &Cx) -> u8;

    /// Nobody should use this.
    #[deprecated = "use `shared`"]
    async fn exclusive(&mut self, cx: &Cx);

    /// Uses a type whose name is like a generated one.
    async fn take(&self, cx: &Cx, value: TakeArguments) -> TakeArguments;
}

/// Not the struct of the arguments of `take`.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct TakeArguments {
    /// A number.
    number: u8,
}

#[tokio::test]
async fn names_of_the_language_and_of_the_runtime_are_allowed() {
    let mock = OddMock::default()
        .on_type(|a, b, c, d| a + b + c + d)
        .on_address(|a, b, c, d, e| a * b * c * d * e)
        .on_calls(|| vec![1])
        .on_take(|value| TakeArguments { number: value.number + 1 })
        .on_shared(|| 7);
    let odd = odeon::test::host(mock).await;
    assert_eq!(odd.r#type(1, 2, 3, 4).await, Ok(10));
    assert_eq!(odd.address(1, 2, 3, 4, 5).await, Ok(120));
    assert_eq!(odd.calls().await, Ok(vec![1]));
    assert_eq!(odd.shared().await, Ok(7));
    assert_eq!(odd.take(TakeArguments { number: 1 }).await.map(|v| v.number), Ok(2));
}

#[tokio::test]
async fn a_contract_may_live_inside_a_function() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Local(u8);

    #[odeon::contract(name = "local", version = "1.0")]
    trait Inner {
        #[cast]
        async fn keep(&self, cx: &Cx, value: Local);
    }

    let (sender, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let inner = odeon::test::host(InnerMock::default().on_keep(move |Local(number)| {
        sender.send(number).expect("the test waits");
    }))
    .await;
    inner.keep(Local(9)).send().expect("room");
    assert_eq!(kept.recv().await, Some(9));
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<OddRef>(), [""; 0]);
}
