//! The shop: each service beside mocks, then all of them together.

use super::bank::{DECLINED_CARD, GOOD_CARD};
use super::catalog::{CatalogError, CatalogMock, CatalogRef, Product, Shelf};
use super::checkout::{CheckoutError, CheckoutRef, Confirmation, Desk, Line};
use super::crowd::{CrowdRef, Street};
use super::load::{Doors, Shopper, Visits};
use super::payment::{PaymentError, PaymentMock, PaymentRef, Receipt, Till};
use super::recommend::{RecommendError, RecommendMock};
use super::{Audit, Bank, register};
use odeon::core::Random;
use odeon::prelude::*;
use odeon::test::{Bench, Calls, Hosted, json};
use odeon::{Contract, Node};
use std::path::Path;

fn line(sku: &str, quantity: u32) -> Line {
    Line { sku: sku.into(), quantity }
}

fn teapot() -> Product {
    Product { sku: "teapot".into(), name: "Teapot".into(), cents: 3_000, stock: 9 }
}

/// A catalog that sells teapots of 30.00.
fn catalog() -> CatalogMock {
    CatalogMock::default().on_reserve(|_, _| Ok(teapot())).on_release(|_| ()).on_ship(|_| ())
}

fn payment(answer: Result<Receipt, PaymentError>) -> PaymentMock {
    PaymentMock::default().on_receipt(|| None).on_charge(move |_, _| answer.clone())
}

fn receipt(cents: u64) -> Receipt {
    Receipt { number: 1, cents }
}

fn recommend() -> RecommendMock {
    RecommendMock::default().on_also_bought(|_, _| Ok(vec!["teacup".into()]))
}

/// A checkout beside mocks, and what the catalog and the payment were asked.
async fn checkout(
    catalog: CatalogMock,
    payment: PaymentMock,
    recommend: RecommendMock,
) -> (Hosted<CheckoutRef>, Calls, Calls) {
    let (shelves, tills) = (catalog.calls(), payment.calls());
    let bench =
        Bench::new().entity("catalog", catalog).entity("payment", payment).service("recommend", recommend);
    (bench.host("checkout", Desk::start).await, shelves, tills)
}

/// All four services, with the real bank.
async fn shop(bank: &Bank) -> Node {
    let bank = bank.clone();
    let bench = Bench::new().app(move |app| register(app, &bank).singleton("crowd", Street::start));
    let bench = bench.config("crowd", "shoppers = 0\npause_ms = 0");
    bench.host("desk", Desk::start).await.node().clone()
}

#[tokio::test]
async fn a_cart_becomes_a_paid_order_with_a_recommendation() {
    let (desk, shelves, tills) = checkout(catalog(), payment(Ok(receipt(6_000))), recommend()).await;
    let placed = desk.place("a-1".into(), vec![line("teapot", 2)], GOOD_CARD.into()).await;
    let expected = Confirmation {
        order: "a-1".into(),
        receipt: receipt(6_000),
        also: vec!["teacup".into()],
        degraded: false,
    };
    assert_eq!(placed, Ok(expected));
    assert_eq!(shelves.of("reserve"), [json!({ "order": "a-1", "quantity": 2 })]);
    assert_eq!(tills.of("charge"), [json!({ "card": GOOD_CARD, "cents": 6_000 })]);
    shelves.reached("ship", 1).await;
}

#[tokio::test]
async fn lines_of_the_same_article_are_set_aside_together() {
    let (desk, shelves, tills) = checkout(catalog(), payment(Ok(receipt(9_000))), recommend()).await;
    let lines = vec![line("teapot", 2), line("teapot", 1)];
    desk.place("a-1".into(), lines, GOOD_CARD.into()).await.expect("it is paid");
    assert_eq!(shelves.of("reserve"), [json!({ "order": "a-1", "quantity": 3 })]);
    assert_eq!(tills.of("charge"), [json!({ "card": GOOD_CARD, "cents": 9_000 })]);
}

#[tokio::test]
async fn a_declined_card_gives_the_goods_back() {
    let declined = payment(Err(PaymentError::CardDeclined));
    let (desk, shelves, _) = checkout(catalog(), declined, recommend()).await;
    let placed = desk.place("a-1".into(), vec![line("teapot", 2)], DECLINED_CARD.into()).await;
    assert_eq!(placed, Err(CallError::Failed(CheckoutError::CardDeclined)));
    shelves.reached("release", 1).await;
    assert_eq!(shelves.count("ship"), 0);
}

#[tokio::test]
async fn an_empty_shelf_ends_the_order_before_anything_is_charged() {
    let empty = catalog().on_reserve(|_, _| Err(CatalogError::OutOfStock { sku: "teapot".into(), stock: 1 }));
    let (desk, shelves, tills) = checkout(empty, payment(Ok(receipt(1))), recommend()).await;
    let placed = desk.place("a-1".into(), vec![line("teapot", 2)], GOOD_CARD.into()).await;
    let out_of_stock = CheckoutError::OutOfStock { sku: "teapot".into(), stock: 1 };
    assert_eq!(placed, Err(CallError::Failed(out_of_stock)));
    shelves.reached("release", 1).await;
    assert_eq!(tills.count("charge"), 0);
}

#[tokio::test]
async fn a_shop_that_cannot_recommend_still_sells() {
    let failing = RecommendMock::default().on_also_bought(|_, _| Err(RecommendError::Unavailable));
    let (desk, ..) = checkout(catalog(), payment(Ok(receipt(3_000))), failing).await;
    let placed = desk.place("a-1".into(), vec![line("teapot", 1)], GOOD_CARD.into()).await;
    let confirmation = placed.expect("it is paid");
    assert!(confirmation.degraded);
    assert!(confirmation.also.is_empty());
}

#[tokio::test]
async fn recommendations_that_are_late_are_left_out() {
    let bank = Bank::new();
    let bench = Bench::new().app(move |app| register(app, &bank)).config("recommend", "delay_ms = 600000");
    let node = bench.host("desk", Desk::start).await.node().clone();
    let desk: CheckoutRef = node.service("checkout").expect("it is registered");
    let placed = desk.place("a-1".into(), vec![line("teapot", 1)], GOOD_CARD.into()).await;
    assert!(placed.expect("it is paid").degraded);
}

#[tokio::test]
async fn a_payment_whose_outcome_is_unknown_is_asked_for_again() {
    let mut tries = 0;
    let shaky = PaymentMock::default().on_receipt(|| None).on_charge(move |_, cents| {
        tries += 1;
        assert!(tries > 1, "the first try ends in a panic: nobody knows whether it charged");
        Ok(receipt(cents))
    });
    let (desk, _, tills) = checkout(catalog(), shaky, recommend()).await;
    let placed = desk.place("a-1".into(), vec![line("teapot", 1)], GOOD_CARD.into()).await;
    assert_eq!(placed.map(|confirmation| confirmation.receipt), Ok(receipt(3_000)));
    assert_eq!(tills.count("charge"), 2);
}

#[tokio::test]
async fn a_payment_that_stays_in_doubt_keeps_the_goods_aside() {
    let lost = PaymentMock::default().on_receipt(|| None).on_charge(|_, _| panic!("on purpose"));
    let (desk, shelves, tills) = checkout(catalog(), lost, recommend()).await;
    let placed = desk.place("a-1".into(), vec![line("teapot", 1)], GOOD_CARD.into()).await;
    assert_eq!(placed, Err(CallError::Failed(CheckoutError::InDoubt)));
    assert_eq!(tills.count("charge"), 2);
    assert_eq!(shelves.count("release"), 0);
}

#[tokio::test]
async fn a_cart_without_lines_is_refused() {
    let (desk, ..) = checkout(catalog(), payment(Ok(receipt(0))), recommend()).await;
    for lines in [vec![], vec![line("teapot", 0)]] {
        let placed = desk.place("a-1".into(), lines, GOOD_CARD.into()).await;
        assert_eq!(placed, Err(CallError::Failed(CheckoutError::Lines { most: 50 })));
    }
}

#[tokio::test]
async fn a_till_charges_once_however_often_it_is_asked() {
    let bank = Bank::new();
    let own = bank.clone();
    let bench = Bench::new();
    let till =
        bench.host_entity("payment", "a-1", move |cx: Cx, terms| Till::start(cx, terms, own.clone())).await;
    let first = till.charge(GOOD_CARD.into(), 500).await.expect("it works");
    assert_eq!(till.charge(GOOD_CARD.into(), 500).await, Ok(first));
    let other = till.charge(GOOD_CARD.into(), 700).await;
    assert_eq!(other, Err(CallError::Failed(PaymentError::OtherAmount { paid: 500, asked: 700 })));
    assert_eq!(bank.audit(), Audit { charges: 1, cents: 500, ..Audit::default() });
}

#[tokio::test]
async fn a_till_knows_from_the_bank_what_an_earlier_one_has_charged() {
    let bank = Bank::new();
    bank.charge("a-1", GOOD_CARD, 500).expect("it works");
    let own = bank.clone();
    let bench = Bench::new();
    let till =
        bench.host_entity("payment", "a-1", move |cx: Cx, terms| Till::start(cx, terms, own.clone())).await;
    assert_eq!(till.charge(GOOD_CARD.into(), 500).await, Ok(receipt(500)));
    assert_eq!(bank.audit().charges, 1);
}

/// A till on a node of its own, whose bank keeps its book there.
async fn till_with_book(order: &str, book: &Path) -> Hosted<PaymentRef> {
    let bank = Bank::new();
    let bench = Bench::new().config("payment", &format!("book = {book:?}"));
    bench.host_entity("payment", order, move |cx: Cx, terms| Till::start(cx, terms, bank.clone())).await
}

#[tokio::test]
async fn a_till_knows_from_the_book_what_one_on_another_node_has_charged() {
    let book = std::env::temp_dir().join(format!("odeon-shop-book-{}", std::process::id()));
    let charged = till_with_book("a-1", &book).await.charge(GOOD_CARD.into(), 500).await.expect("it works");
    assert_eq!(till_with_book("a-1", &book).await.charge(GOOD_CARD.into(), 500).await, Ok(charged));
    let other = till_with_book("a-2", &book).await;
    assert_eq!(other.receipt().await, Ok(None));
    std::fs::remove_file(book).expect("it was made");
}

#[tokio::test]
async fn a_till_whose_book_cannot_be_kept_does_not_start_and_says_what_is_wrong_and_where() {
    let till = till_with_book("a-1", Path::new("/nowhere/book")).await;
    let refused = till.charge(GOOD_CARD.into(), 500).await.expect_err("there is no such directory");
    assert!(matches!(refused, CallError::NotExecuted(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("/nowhere/book cannot be opened") && said.contains("[services.payment]"), "{said}");
}

#[tokio::test]
async fn a_shelf_sets_aside_gives_back_and_ships() {
    let shelf = Bench::new().host_entity("catalog", "teapot", Shelf::start).await;
    let stock = shelf.find().await.expect("it is sold").stock;
    let left =
        |product: Result<Product, CallError<CatalogError>>| product.map(|product| stock - product.stock);
    assert_eq!(left(shelf.reserve("a-1".into(), 2).await), Ok(2));
    assert_eq!(left(shelf.reserve("a-1".into(), 2).await), Ok(2), "repeated, it changes nothing");
    assert_eq!(left(shelf.reserve("a-2".into(), 3).await), Ok(5));
    shelf.release("a-1".into()).send().expect("there is room");
    shelf.ship("a-2".into()).send().expect("there is room");
    shelf.release("a-2".into()).send().expect("there is room");
    assert_eq!(left(shelf.find().await), Ok(3), "what is shipped does not come back");
    let short = shelf.reserve("a-3".into(), u32::MAX).await;
    assert!(matches!(short, Err(CallError::Failed(CatalogError::OutOfStock { .. }))), "{short:?}");
}

#[tokio::test]
async fn a_product_that_is_not_sold_is_not_found() {
    let shelf = Bench::new().host_entity("catalog", "anvil", Shelf::start).await;
    let missing = CatalogError::NoSuchProduct { sku: "anvil".into() };
    assert_eq!(shelf.find().await, Err(CallError::Failed(missing.clone())));
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn an_order_that_is_placed_again_is_charged_once() {
    let bank = Bank::new();
    let node = shop(&bank).await;
    let desk: CheckoutRef = node.service("checkout").expect("it is registered");
    let lines = || vec![line("teapot", 1), line("assam", 2)];
    let first = desk.place("a-1".into(), lines(), GOOD_CARD.into()).await.expect("it is paid");
    let second = desk.place("a-1".into(), lines(), GOOD_CARD.into()).await.expect("it is paid");
    assert_eq!(first.receipt, second.receipt);
    assert_eq!(bank.audit(), Audit { charges: 1, cents: 5_790, ..Audit::default() });
    let shelf: CatalogRef = node.entity("catalog", "teapot").expect("it is registered");
    assert_eq!(shelf.find().await.map(|product| product.stock), Ok(499));
    let till: PaymentRef = node.entity("payment", "a-1").expect("it is registered");
    assert_eq!(till.receipt().await, Ok(Some(first.receipt)));
}

#[tokio::test]
async fn what_shoppers_know_to_have_spent_is_what_the_bank_has_moved() {
    let bank = Bank::new();
    let node = shop(&bank).await;
    let doors = Doors::at(&node).expect("the shop is open");
    let mut visits = Visits::default();
    for number in 0..4 {
        let mut shopper = Shopper::new(doors.clone(), format!("s{number}"), Random::seeded(number));
        for _ in 0..50 {
            visits.add(&shopper.visit().await);
        }
    }
    assert_eq!(visits.total(), 200);
    assert_eq!((visits.in_doubt, visits.turned_away), (0, 0), "{visits:?}");
    assert!(visits.bought > 0 && visits.browsed > 0, "{visits:?}");
    let audit = bank.audit();
    assert_eq!((audit.charges, audit.double_charges, audit.cents), (visits.bought, 0, visits.cents));
}

#[tokio::test]
async fn a_crowd_comes_again_until_it_is_sent_away() {
    let bank = Bank::new();
    let node = shop(&bank).await;
    let crowd: CrowdRef = node.service("crowd").expect("it is registered");
    assert_eq!(crowd.send_in(3).await, Ok(3));
    let busy = async {
        while crowd.visits().await.expect("it answers").total() < 30 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), busy).await.expect("shoppers come again and again");
    assert_eq!(crowd.send_away().await, Ok(3));
    assert_eq!(bank.audit().double_charges, 0);
    assert_eq!(crowd.address().locator().to_string(), "crowd");
}
