//! What messages count against the byte bound of a mailbox.

use super::api::{LedgerMessage, LedgerRef, card};
use odeon::service::contract::{Arguments, Contract, Encoding, method_named};
use odeon::service::message::{Access, Message};
use odeon::service::reply::{RawReply, Reply};

fn decoded(method: &str, body: &'static str) -> LedgerMessage {
    let arguments = Arguments { body: body.into(), encoding: Encoding::Json };
    let position = method_named::<LedgerRef>(method).expect("a method");
    let (reply, _) = RawReply::channel(Encoding::Json);
    LedgerRef::decode(position, &arguments, reply).unwrap_or_else(|(refusal, _)| panic!("{refusal}"))
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
