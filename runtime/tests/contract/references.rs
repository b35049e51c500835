//! References as arguments and answers: they mean the same wherever they arrive.

use super::api::{Book, LedgerRef, json};
use odeon::prelude::*;
use odeon::test::Bench;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

impl ContractError for Broken {}

#[odeon::contract(name = "relay", version = "1.0")]
trait Relay {
    async fn forward(&self, cx: &Cx, to: LedgerRef, amount: u32) -> Result<u32, Broken>;
    async fn find(&self, cx: &Cx, name: String) -> LedgerRef;
}

struct Middle;

#[odeon::service]
impl Relay for Middle {
    async fn forward(&self, _: &Cx, to: LedgerRef, amount: u32) -> Result<u32, Broken> {
        to.add(amount).await.map_err(|error| Broken(error.to_string()))
    }

    async fn find(&self, cx: &Cx, name: String) -> LedgerRef {
        cx.service(&name).expect("it is a name")
    }
}

async fn relay() -> odeon::test::Hosted<RelayRef> {
    Bench::new().app(|app| app.singleton("ledger", Book::default)).host("relay", || Middle).await
}

#[tokio::test]
async fn a_reference_may_be_an_argument_and_an_answer() {
    let relay = relay().await;
    let ledger = relay.find("ledger".into()).await.expect("it answers");
    assert_eq!(relay.forward(ledger.clone(), 4).await, Ok(4));
    assert_eq!(ledger.add(1).await, Ok(5));
    assert_eq!(format!("{ledger:?}"), "LedgerRef(ledger)");
}

#[tokio::test]
async fn a_reference_from_bytes_is_bound_to_the_node_of_the_handler_that_uses_it() {
    let relay = relay().await;
    let body = r#"{"to": {"service": "ledger"}, "amount": 6}"#;
    assert_eq!(json(relay.node(), "relay", "forward", body).await, json!(6));
    let found = json(relay.node(), "relay", "find", r#"{"name": "ledger"}"#).await;
    assert_eq!(found, json!({"service": "ledger"}));
}

#[tokio::test]
async fn a_reference_from_bytes_outside_a_node_is_refused() {
    let ledger: LedgerRef =
        serde_json::from_str(r#"{"service": "shop/ledger", "key": "7"}"#).expect("a locator");
    let error = ledger.add(1).await.expect_err("there is no node here");
    assert!(matches!(error, CallError::NotExecuted(Refusal::NoNode { .. })), "{error:?}");
    assert!(error.to_string().contains("shop/ledger#7"), "{error}");
    assert!(serde_json::from_str::<LedgerRef>(r#"{"service": "No Name"}"#).is_err());
}

#[tokio::test]
async fn a_reference_to_the_wrong_thing_is_refused_when_used() {
    let relay = relay().await;
    for (to, part) in [
        (r#"{"service": "relay"}"#, "relay speaks relay 1.0"),
        (r#"{"service": "nobody"}"#, "there is no service nobody"),
        (r#"{"service": "ledger", "key": "7"}"#, "no key is allowed"),
    ] {
        let to: LedgerRef = serde_json::from_str(to).expect("a locator");
        let error = relay.forward(to, 1).await.expect_err("it leads nowhere");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<RelayRef>(), ["forward", "find"]);
}
