//! Mocks: a service of a contract made of closures, and how a test hosts what depends on it.

use super::api::{Card, LedgerMock, LedgerRef, PayError, Receipt, card};
use odeon::prelude::*;
use odeon::test::{Bench, json};

/// A service that depends on a ledger.
struct Shop;

#[odeon::contract(name = "shop", version = "1.0")]
trait Till {
    async fn buy(&self, cx: &Cx, price: u32) -> Result<u32, PayError>;
}

#[odeon::service]
impl Till for Shop {
    async fn buy(&self, cx: &Cx, price: u32) -> Result<u32, PayError> {
        let ledger: LedgerRef = cx.service("payment").expect("it is a name");
        ledger.note(format!("buys for {price}")).send().expect("room");
        match ledger.pay(card(), price, 0).await {
            Ok(receipt) => Ok(receipt.total),
            Err(CallError::Failed(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }
}

fn rich() -> LedgerMock {
    let mut left = 10;
    LedgerMock::default().on_pay(move |_: Card, amount, tip| {
        if left < amount {
            return Err(PayError::Poor { missing: amount - left });
        }
        left -= amount;
        Ok(Receipt { total: amount + tip })
    })
}

#[tokio::test]
async fn a_mock_answers_its_methods_with_closures() {
    let ledger = odeon::test::host(rich().on_add(|amount| amount * 2)).await;
    assert_eq!(ledger.add(4).await, Ok(8));
    assert_eq!(ledger.pay(card(), 9, 1).await, Ok(Receipt { total: 10 }));
    let error = ledger.pay(card(), 3, 0).await;
    assert_eq!(error, Err(CallError::Failed(PayError::Poor { missing: 2 })));
}

#[tokio::test]
async fn a_method_without_an_answer_is_refused_by_name() {
    let mock = LedgerMock::default();
    let calls = mock.calls();
    let ledger = odeon::test::host(mock).await;
    let error = ledger.add(1).await.expect_err("nobody said what to answer");
    let text = "not executed: the mock of ledger has no method add: give it an answer with `on_add`";
    assert_eq!(error.to_string(), text);
    assert_eq!(calls.count("add"), 1);
}

#[tokio::test]
async fn a_service_finds_mocks_under_the_names_that_it_depends_on() {
    let mock = rich();
    let calls = mock.calls();
    let shop = Bench::new().service("payment", mock).host("shop", || Shop).await;
    assert_eq!(shop.buy(8).await, Ok(8));
    assert_eq!(shop.buy(8).await, Err(CallError::Failed(PayError::Poor { missing: 6 })));
    calls.reached("note", 2).await;
    assert_eq!(calls.of("note"), [json!({"text": "buys for 8"}), json!({"text": "buys for 8"})]);
    assert_eq!(calls.of("pay")[0], json!({"card": card(), "amount": 8, "tip": 0}));
    assert_eq!(calls.all().len(), 4);
    shop.stop().await;
}

#[tokio::test]
async fn a_binding_leads_to_the_mock_of_another_name() {
    let shop = Bench::new().service("bank", rich()).bind("payment", "bank").host("shop", || Shop).await;
    assert_eq!(shop.buy(1).await, Ok(1));
}

#[tokio::test]
async fn each_key_of_a_mocked_entity_shares_its_closures_and_memory() {
    let mock = LedgerMock::default().on_add(|amount| amount);
    let calls = mock.calls();
    let shop = Bench::new().entity("account", mock).host("shop", || Shop).await;
    for key in ["ada", "bob"] {
        let account: LedgerRef = shop.node().entity("account", key).expect("a name and a key");
        assert_eq!(account.add(3).await, Ok(3));
    }
    assert_eq!(calls.count("add"), 2);
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<TillRef>(), [""; 0]);
}
