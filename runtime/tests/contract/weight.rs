//! What messages count against the byte bound of a mailbox.

use super::api::{Card, LedgerMessage, LedgerRef, card};
use odeon::prelude::*;
use odeon::service::contract::{Contract, Encoding, method_named};
use odeon::service::message::{Access, Message};
use odeon::service::reply::{RawReply, Reply};
use std::collections::BTreeMap;

fn decoded(method: &str, body: &'static str) -> LedgerMessage {
    let position = method_named::<LedgerRef>(method).expect("a method");
    let (reply, _) = RawReply::channel(Encoding::Json);
    let message = LedgerRef::decode(position, body.as_bytes(), Encoding::Json, reply);
    message.unwrap_or_else(|(refusal, _)| panic!("{refusal}"))
}

#[test]
fn a_message_from_inside_weighs_its_size_and_what_its_arguments_say() {
    let note = LedgerMessage::Note { text: "x".repeat(1000) };
    assert_eq!(note.weight(), size_of::<LedgerMessage>() + 1000);
    let pay = LedgerMessage::Pay { card: card(), amount: 1, tip: 1, __reply: Reply::nobody() };
    assert_eq!(pay.weight(), size_of::<LedgerMessage>(), "`Card` does not say what it weighs");
}

#[test]
fn a_message_knows_its_method_and_its_access() {
    let note = decoded("note", r#"{"text": ""}"#);
    assert_eq!((LedgerRef::METHODS[note.method()].name, note.access()), ("note", Access::Exclusive));
    let nothing = decoded("nothing", "");
    assert_eq!((LedgerRef::METHODS[nothing.method()].name, nothing.access()), ("nothing", Access::Shared));
}

/// The author's own types, of all forms.
#[derive(Weigh)]
struct Order<'a, T: Ord, const N: usize> {
    customer: String,
    items: Vec<Item>,
    #[allow(dead_code)]
    card: Card,
    r#type: T,
    codes: [T; N],
    language: &'a str,
}

#[derive(Weigh)]
enum Item {
    Nothing,
    Priced(u64, String),
    Bundle { name: Box<str>, of: Vec<Item> },
}

#[derive(Weigh)]
struct Unit;

#[derive(Weigh)]
struct Targets(Vec<LedgerRef>);

#[derive(Weigh)]
struct Wrapped(BTreeMap<u8, Item>);

#[derive(Weigh)]
enum Uninhabited {}

#[test]
fn a_type_that_derives_it_weighs_what_its_fields_do() {
    assert_eq!(Unit.heap() + Item::Nothing.heap() + None::<Uninhabited>.heap(), 0);
    assert_eq!(Item::Priced(7, "four".into()).heap(), 4);
    let bundle =
        || Item::Bundle { name: "four".into(), of: vec![Item::Nothing, Item::Priced(1, "x".into())] };
    let heavy = 4 + 2 * size_of::<Item>() + 1;
    assert_eq!(bundle().heap(), heavy);
    assert_eq!(Wrapped(BTreeMap::from([(1, bundle())])).heap(), size_of::<(u8, Item)>() + heavy);
    assert_eq!(Targets(vec![]).heap(), 0);
    let order = Order {
        customer: "Ada".into(),
        items: vec![bundle()],
        card: card(),
        r#type: String::from("xy"),
        codes: ["a".into(), "b".into()],
        language: &String::from("en"),
    };
    assert_eq!(order.heap(), 3 + size_of::<Item>() + heavy + 2 + 2, "`Card` does not say what it weighs");
}
