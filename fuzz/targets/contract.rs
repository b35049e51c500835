//! Arguments of a contract's methods, references among them, and answers: what `#[odeon::contract]` generates to read
//! and write them. The first byte chooses the method, the second the encoding.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use odeon::Never;
use odeon::prelude::*;
use odeon::service::contract::{Contract, Encoding};
use odeon::service::message::Message;
use odeon::service::reply::{RawOutcome, RawReply};
use std::collections::BTreeMap;

/// Contains itself in each way that an enum can.
#[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema, Weigh)]
enum Tree {
    Leaf,
    Branch(Box<Tree>),
    Branches(Vec<Tree>),
    Pair(Box<Tree>, Option<Box<Tree>>),
    Named { left: Box<Tree>, right: BTreeMap<String, Tree> },
}

#[odeon::contract(name = "forest", version = "1.0")]
trait Forest {
    async fn nothing(&self, cx: &Cx);
    async fn plant(&mut self, cx: &Cx, tree: Tree, #[serde(default)] times: u8) -> Result<Tree, Never>;
    #[cast]
    async fn tell(&mut self, cx: &Cx, neighbour: Option<ForestRef>, r#type: String, table: Vec<(i128, f64)>);
    #[read]
    async fn find(&self, cx: &Cx, key: char, within: Duration, same: [bool; 3]) -> Option<ForestRef>;
}

/// What was read can be written, and is read again; and any bytes are an answer or none.
fn again(message: ForestMessage, encoding: Encoding) {
    let (position, mut body) = (message.method(), Vec::new());
    let encoded = message.encode(encoding, &mut body).expect("it was read in this encoding");
    let body = Bytes::from(body);
    let (reply, _answer) = RawReply::channel(encoded.encoding);
    let message = ForestRef::decode(position, &body, encoded.encoding, reply).map_err(|(refusal, _)| refusal);
    assert_eq!(message.expect("it was written by us").method(), position);
    if let Some(awaiting) = encoded.awaiting {
        awaiting.settle(RawOutcome::Answered(body), encoded.encoding);
    }
}

fuzz_target!(|data: &[u8]| {
    let [method, encoding, body @ ..] = data else { return };
    let position = usize::from(*method) % (ForestRef::METHODS.len() + 1);
    let encoding = [Encoding::Json, Encoding::Named, Encoding::Compact][usize::from(encoding % 3)];
    let (reply, _answer) = RawReply::channel(encoding);
    match ForestRef::decode(position, body, encoding, reply) {
        Ok(message) => {
            assert_eq!(message.method(), position);
            assert!(message.weight() >= size_of_val(&message));
            again(message, encoding);
        }
        Err((Refusal::Undecodable { problem, .. }, _)) => assert!(!problem.is_empty()),
        Err((Refusal::UnknownMethod { .. }, _)) => assert_eq!(position, ForestRef::METHODS.len()),
        Err((other, _)) => panic!("an unexpected refusal: {other}"),
    }
});
