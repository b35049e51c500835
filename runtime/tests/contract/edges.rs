//! What callers send who do not know the contract well, or do not mean well; and what cannot be said in JSON.

use super::api::{json, raw};
use odeon::prelude::*;
use odeon::service::contract::Encoding;
use odeon::service::reply::RawOutcome;
use odeon::test::Hosted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// A chain without end but for that of its text.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
enum Chain {
    End,
    Link(Box<Chain>),
}

#[odeon::contract(name = "edge", version = "1.0")]
trait Edge {
    async fn nothing(&self, cx: &Cx) -> bool;
    async fn r#type(&self, cx: &Cx, r#match: u8, r#in: Option<u8>) -> u8;
    async fn numbers(&self, cx: &Cx, small: u8, signed: i64, large: u64, huge: i128, float: f64) -> String;
    async fn order(
        &self,
        cx: &Cx,
        #[serde(alias = "name")] title: String,
        #[serde(default)] times: u8,
    ) -> String;
    async fn links(&self, cx: &Cx, chain: Chain) -> usize;
    async fn no_number(&self, cx: &Cx, infinite: bool) -> f64;
    async fn no_json(&self, cx: &Cx) -> BTreeMap<(u8, u8), u8>;
    #[cast]
    async fn forget(&mut self, cx: &Cx);
}

struct Plain;

#[odeon::service]
impl Edge for Plain {
    async fn nothing(&self, _: &Cx) -> bool {
        true
    }

    async fn r#type(&self, _: &Cx, r#match: u8, r#in: Option<u8>) -> u8 {
        r#match + r#in.unwrap_or(0)
    }

    async fn numbers(&self, _: &Cx, small: u8, signed: i64, large: u64, huge: i128, float: f64) -> String {
        format!("{small} {signed} {large} {huge} {float}")
    }

    async fn order(&self, _: &Cx, title: String, times: u8) -> String {
        format!("{title} {times}")
    }

    async fn links(&self, _: &Cx, chain: Chain) -> usize {
        let (mut links, mut rest) = (0, &chain);
        while let Chain::Link(next) = rest {
            (links, rest) = (links + 1, next);
        }
        links
    }

    async fn no_number(&self, _: &Cx, infinite: bool) -> f64 {
        if infinite { f64::INFINITY } else { f64::NAN }
    }

    async fn no_json(&self, _: &Cx) -> BTreeMap<(u8, u8), u8> {
        BTreeMap::from([((1, 2), 3)])
    }

    async fn forget(&mut self, _: &Cx) {}
}

async fn edge() -> Hosted<EdgeRef> {
    odeon::test::host(Plain).await
}

/// Why arguments are refused.
async fn refusal(
    edge: &Hosted<EdgeRef>,
    method: &str,
    encoding: Encoding,
    body: impl Into<Vec<u8>>,
) -> String {
    match raw(edge.node(), "edge", method, encoding, body).await {
        RawOutcome::NotExecuted(refusal @ Refusal::Undecodable { .. }) => refusal.to_string(),
        other => panic!("{method} was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_method_without_arguments_takes_nothing_and_an_empty_object() {
    let edge = edge().await;
    for body in ["", "{}", " {\n} ", r#"{"more": 1}"#] {
        assert_eq!(json(edge.node(), "edge", "nothing", body).await, json!(true), "{body:?}");
        let outcome = raw(edge.node(), "edge", "forget", Encoding::Json, body).await;
        assert_eq!(outcome, RawOutcome::Accepted, "{body:?}");
    }
    for (body, encoding) in [
        (&b""[..], Encoding::Named),
        (b"\x80", Encoding::Named),
        (b"", Encoding::Compact),
        (b"\x90", Encoding::Compact),
    ] {
        let outcome = raw(edge.node(), "edge", "nothing", encoding, body).await;
        assert_eq!(outcome, RawOutcome::Answered(b"\xc3"[..].into()), "{body:?}");
    }
    assert!(refusal(&edge, "nothing", Encoding::Json, "[]").await.contains("an object"));
    assert!(refusal(&edge, "nothing", Encoding::Named, *b"\x90").await.contains("an object"));
    assert!(refusal(&edge, "nothing", Encoding::Compact, *b"\x80").await.contains("a list"));
}

#[tokio::test]
async fn names_of_the_language_are_plain_names_on_the_wire() {
    let edge = edge().await;
    assert_eq!(json(edge.node(), "edge", "type", r#"{"match": 1, "in": 2}"#).await, json!(3));
    assert_eq!(
        json(edge.node(), "edge", "type", r#"{"match": 1}"#).await,
        json!(1),
        "an option may be absent"
    );
    assert_eq!(json(edge.node(), "edge", "type", r#"{"match": 1, "in": null}"#).await, json!(1));
    let text = refusal(&edge, "type", Encoding::Json, r#"{"r#match": 1}"#).await;
    assert!(text.contains("missing field `match`"), "{text}");
}

#[tokio::test]
async fn arguments_go_by_name_and_each_stands_once() {
    let edge = edge().await;
    for (body, answer) in [
        (r#"{"times": 2, "title": "x"}"#, "x 2"),
        (r#"{"name": "x"}"#, "x 0"),
        (r#"{"title": "x", "what nobody knows": [1, {"a": null}]}"#, "x 0"),
    ] {
        assert_eq!(json(edge.node(), "edge", "order", body).await, json!(answer), "{body}");
    }
    for (body, part) in [
        (r#"{"title": "x", "title": "y"}"#, "duplicate field `title`"),
        (r#"{"title": "x", "name": "y"}"#, "duplicate field `title`"),
        (r#"["x", 2]"#, "an object with the arguments by name"),
        (r#"{"title": "x", "times": null}"#, "times: invalid type: null"),
        (r#"{"title": "\ud800"}"#, "title: "),
        (r#"{"title": "x"}{"title": "y"}"#, "trailing"),
        (r#"{"title": "x",}"#, "trailing comma"),
        (r#"{title: "x"}"#, "key must be a string"),
    ] {
        let text = refusal(&edge, "order", Encoding::Json, body).await;
        assert!(text.contains(part), "{body}: {text}");
        assert!(!text.contains("__"), "names of generated code are nobody's business: {text}");
    }
    let text =
        refusal(&edge, "order", Encoding::Json, [b"{\"title\": \"", &b"\xff\xfe"[..], b"\"}"].concat()).await;
    assert!(text.contains("title: "), "{text}");
}

#[tokio::test]
async fn a_number_arrives_exactly_or_is_refused() {
    let edge = edge().await;
    let numbers = |small: &str, signed: &str, large: &str, huge: &str, float: &str| {
        format!(
            r#"{{"small": {small}, "signed": {signed}, "large": {large}, "huge": {huge}, "float": {float}}}"#
        )
    };
    let (min, max, huge) = (i64::MIN.to_string(), u64::MAX.to_string(), i128::MIN.to_string());
    let answer = json(edge.node(), "edge", "numbers", &numbers("255", &min, &max, &huge, "-1.5e300")).await;
    let expected = format!("255 {min} {max} {huge} {}", -1.5e300);
    assert_eq!(answer, json!(expected));
    let many = "9".repeat(5_000);
    for (body, field) in [
        (numbers("256", "1", "1", "1", "1"), "small"),
        (numbers("-1", "1", "1", "1", "1"), "small"),
        (numbers("1.0", "1", "1", "1", "1"), "small"),
        (numbers("\"1\"", "1", "1", "1", "1"), "small"),
        (numbers("01", "1", "1", "1", "1"), ""),
        (numbers("1", &max, "1", "1", "1"), "signed"),
        (numbers("1", "1", &many, "1", "1"), "large"),
        (numbers("1", "1", "1e2", "1", "1"), "large"),
        (numbers("1", "1", "1", &many, "1"), "huge"),
        (numbers("1", "1", "1", "1", "1e400"), "float"),
        (numbers("1", "1", "1", "1", &many), "float"),
        (numbers("1", "1", "1", "1", "NaN"), "float"),
        (numbers("1", "1", "1", "1", "-Infinity"), "float"),
        (numbers("1", "1", "1", "1", "null"), "float"),
    ] {
        let text = refusal(&edge, "numbers", Encoding::Json, body.clone()).await;
        assert!(text.contains(field), "{body}: {text}");
    }
}

#[tokio::test]
async fn nesting_without_end_is_refused_in_each_encoding() {
    let edge = edge().await;
    let chain = |encoding, links: usize| match encoding {
        Encoding::Json => {
            [r#"{"chain": "#, &r#"{"Link": "#.repeat(links), r#""End""#, &"}".repeat(links + 1)]
                .concat()
                .into_bytes()
        }
        Encoding::Named => [&b"\x81\xa5chain"[..], &b"\x81\xa4Link".repeat(links), b"\xa3End"].concat(),
        Encoding::Compact => [&b"\x91"[..], &b"\x81\xa4Link".repeat(links), b"\xa3End"].concat(),
    };
    let nesting = "levels of nesting";
    for (encoding, part) in
        [(Encoding::Json, "recursion limit"), (Encoding::Named, nesting), (Encoding::Compact, nesting)]
    {
        let outcome = raw(edge.node(), "edge", "links", encoding, chain(encoding, 100)).await;
        assert!(matches!(outcome, RawOutcome::Answered(_)), "{outcome:?}");
        let text = refusal(&edge, "links", encoding, chain(encoding, 300_000)).await;
        assert!(text.contains(part) && text.len() < 2_000, "{text}");
    }
}

#[tokio::test]
async fn what_json_cannot_say_is_null_or_an_unknown_outcome_and_never_something_else() {
    let edge = edge().await;
    for infinite in [true, false] {
        let body = json!({"infinite": infinite}).to_string();
        assert_eq!(json(edge.node(), "edge", "no_number", &body).await, json!(null));
    }
    assert!(edge.no_number(false).await.expect("by type it is what it is").is_nan());
    let packed = rmp_serde::to_vec_named(&json!({"infinite": true})).expect("it packs");
    let outcome = raw(edge.node(), "edge", "no_number", Encoding::Named, packed).await;
    assert_eq!(outcome, RawOutcome::Answered(b"\xcb\x7f\xf0\0\0\0\0\0\0"[..].into()), "and in MessagePack");
    let outcome = raw(edge.node(), "edge", "no_json", Encoding::Json, "").await;
    assert_eq!(outcome, RawOutcome::Unknown(UnknownCause::AnswerUndecodable), "it ran");
    assert_eq!(edge.no_json().await.map(|table| table.len()), Ok(1));
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<EdgeRef>(), ["no_json"]);
}
