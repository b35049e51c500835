//! Calls by names and bytes: decoding is the validation of arguments, and its errors name the field.

use super::api::{Book, card, json, raw};
use odeon::service::contract::Encoding;
use odeon::service::reply::{RawFailure, RawOutcome};
use odeon_core::{Refusal, Retry};
use serde_json::json;

async fn refusal(method: &str, body: &str) -> (String, String) {
    let ledger = odeon::test::host(Book::default()).await;
    match raw(ledger.node(), "ledger", method, Encoding::Json, body).await {
        RawOutcome::NotExecuted(Refusal::Undecodable { path, problem }) => (path, problem),
        other => panic!("{body} was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn json_in_json_out() {
    let ledger = odeon::test::host(Book::default()).await;
    assert_eq!(json(ledger.node(), "ledger", "add", r#"{"amount": 9}"#).await, json!(9));
    let body = r#"{"card": {"number": 1, "owner": "Ada"}, "amount": 2, "tip": 3}"#;
    assert_eq!(json(ledger.node(), "ledger", "pay", body).await, json!({"total": 5}));
    assert_eq!(json(ledger.node(), "ledger", "nothing", "").await, json!(null));
}

#[tokio::test]
async fn named_messagepack_in_named_messagepack_out() {
    let ledger = odeon::test::host(Book::default()).await;
    ledger.add(9).await.expect("money");
    let body = rmp_serde::to_vec_named(&json!({"card": card(), "amount": 2})).expect("encodes");
    let outcome = raw(ledger.node(), "ledger", "pay", Encoding::Named, body).await;
    let RawOutcome::Answered(body) = outcome else { panic!("no answer: {outcome:?}") };
    let answer: serde_json::Value = rmp_serde::from_slice(&body).expect("an answer decodes");
    assert_eq!(answer, json!({"total": 2}));
}

#[tokio::test]
async fn an_argument_with_a_default_may_be_left_out() {
    let ledger = odeon::test::host(Book::default()).await;
    ledger.add(9).await.expect("money");
    let body = r#"{"card": {"number": 1, "owner": "Ada"}, "amount": 2}"#;
    assert_eq!(json(ledger.node(), "ledger", "pay", body).await, json!({"total": 2}));
}

#[tokio::test]
async fn a_wrong_argument_is_refused_by_the_path_of_its_field() {
    let wrong = r#"{"card": {"number": "x", "owner": "Ada"}, "amount": 2}"#;
    let (path, problem) = refusal("pay", wrong).await;
    assert_eq!(path, "card.number");
    assert!(problem.contains("expected u64"), "{problem}");
    let (_, problem) = refusal("pay", r#"{"amount": 2}"#).await;
    assert!(problem.contains("missing field `card`"), "{problem}");
    assert!(refusal("add", "{").await.1.contains("EOF"));
    for no_object in ["[]", "[1]", " \n", "1", "null", "\u{feff}{}"] {
        assert_eq!(refusal("add", no_object).await.1, "expected an object with the arguments by name");
    }
    assert!(refusal("add", r#"{"amount": 1} 2"#).await.1.contains("trailing"));
}

#[tokio::test]
async fn an_error_of_the_contract_keeps_its_text_status_and_retry() {
    let ledger = odeon::test::host(Book::default()).await;
    let body = r#"{"card": {"number": 1, "owner": "Ada"}, "amount": 2}"#;
    let failed = RawOutcome::Failed(RawFailure {
        body: r#"{"poor":{"missing":2}}"#.into(),
        text: "2 are missing".into(),
        status: 402,
        retry: Retry::Later,
    });
    assert_eq!(raw(ledger.node(), "ledger", "pay", Encoding::Json, body).await, failed);
}

#[tokio::test]
async fn a_cast_is_accepted_and_an_unknown_method_refused() {
    let ledger = odeon::test::host(Book::default()).await;
    let outcome = raw(ledger.node(), "ledger", "note", Encoding::Json, r#"{"text": "hi"}"#).await;
    assert_eq!(outcome, RawOutcome::Accepted);
    assert_eq!(ledger.notes(0).await, Ok(vec!["hi".into()]));
    let outcome = raw(ledger.node(), "ledger", "dance", Encoding::Json, "{}").await;
    assert!(matches!(&outcome, RawOutcome::NotExecuted(Refusal::UnknownMethod { .. })), "{outcome:?}");
}

#[test]
fn samples_of_the_ledger_survive_the_way() {
    assert_eq!(super::api::by_name::<super::api::LedgerRef>(), [""; 0]);
}
