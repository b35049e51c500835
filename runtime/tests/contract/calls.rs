//! Calls, casts and reads through a reference.

use super::api::{Book, LedgerRef, PayError, Receipt, card};
use odeon::{CallError, Contract, Cx};
use odeon_core::{Refusal, Retry};
use std::time::Duration;

#[tokio::test]
async fn a_call_ends_with_what_the_handler_returned() {
    let ledger = odeon::test::host(Book::default()).await;
    assert_eq!(ledger.add(5).await, Ok(5));
    assert_eq!(ledger.add(7).within(Duration::from_secs(3)).await, Ok(12));
    assert_eq!(ledger.nothing().await, Ok(()));
    ledger.stop().await;
}

#[tokio::test]
async fn a_handlers_own_error_arrives_as_it_was() {
    let ledger = odeon::test::host(Book::default()).await;
    let error = ledger.pay(card(), 3, 1).await.expect_err("there is no money");
    assert_eq!(error, CallError::Failed(PayError::Poor { missing: 4 }));
    assert_eq!(error.retry(), Retry::Later);
    assert_eq!(error.to_string(), "4 are missing");
    ledger.add(10).await.expect("money");
    assert_eq!(ledger.pay(card(), 3, 1).await, Ok(Receipt { total: 4 }));
}

#[tokio::test]
async fn casts_are_handled_in_order_before_a_later_call() {
    let ledger = odeon::test::host(Book::default()).await;
    ledger.note("one".into()).send().expect("room");
    ledger.note("two".into()).await.expect("room");
    assert_eq!(ledger.notes(0).await, Ok(vec!["one".into(), "two".into()]));
    assert_eq!(ledger.notes(1).await, Ok(vec!["two".into()]));
}

#[tokio::test]
async fn after_the_stop_calls_are_refused_as_not_executed() {
    let ledger = odeon::test::host(Book::default()).await;
    ledger.add(1).await.expect("it runs");
    let reference = LedgerRef::clone(&ledger);
    ledger.stop().await;
    let error = reference.add(1).await.expect_err("it has stopped");
    assert!(matches!(error, CallError::NotExecuted(Refusal::Stopped)), "{error:?}");
    assert!(reference.note("late".into()).send().is_err());
}

#[test]
fn a_contract_tells_its_name_version_and_methods() {
    assert_eq!((LedgerRef::NAME, LedgerRef::VERSION.to_string().as_str()), ("ledger", "2.7"));
    let names: Vec<_> = LedgerRef::METHODS.iter().map(|m| m.name).collect();
    assert_eq!(names, ["add", "pay", "note", "notes", "nothing"]);
    let [add, pay, note, notes, _] = LedgerRef::METHODS else { panic!("five methods") };
    assert_eq!(add.about, "Puts money in. Answers with what is there now.");
    assert_eq!(pay.arguments, ["card", "amount", "tip"]);
    assert!(note.cast && !note.read && notes.read && !notes.cast && !add.cast);
}

mod elsewhere {
    use odeon::Cx;

    #[odeon::contract(name = "echo", version = "1.0")]
    pub(crate) trait Echo {
        async fn echo(&self, cx: &Cx, text: String) -> String;
    }
}

struct Loud<T> {
    suffix: T,
}

#[odeon::service]
impl<T> elsewhere::Echo for Loud<T>
where
    T: AsRef<str> + Send + Sync + 'static,
{
    async fn echo(&self, _: &Cx, text: String) -> String {
        text + self.suffix.as_ref()
    }
}

#[tokio::test]
async fn a_generic_type_serves_a_contract_of_another_module() {
    let echo = odeon::test::host(Loud { suffix: "!" }).await;
    assert_eq!(echo.echo("hey".into()).await, Ok("hey!".into()));
}
