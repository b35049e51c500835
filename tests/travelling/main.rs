//! Typed messages on their way to another node and their answers on the way back: in each encoding they arrive as they
//! were sent, or it is told that they do not.

mod adversarial;

use adversarial::{self as odd, AdversaryMessage, AdversaryRef};
use odeon::Contract;
use odeon::service::compact::{Compact, Compacts};
use odeon::service::contract::{Encoding, method_named};
use odeon::service::message::Message;
use odeon::service::reply::{RawOutcome, RawReply, Reply};
use std::collections::BTreeMap;

/// What is known of a method.
fn verdict(method: &str) -> Compact {
    AdversaryRef::compact(method_named::<AdversaryRef>(method).expect("a method"))
}

/// Why a method goes by name.
fn reason(method: &str) -> String {
    match verdict(method) {
        Compact::Unsafe(reason) => reason,
        Compact::Safe => panic!("{method} is taken for safe"),
    }
}

#[test]
fn types_that_are_read_by_type_travel_compactly() {
    for method in [
        "empty", "thin", "unit", "tuple", "plain", "adjacent", "defaults", "skipped", "aliased", "hexed",
        "wide", "floats", "binary", "tree", "tables", "double", "ask", "nudge",
    ] {
        assert_eq!(verdict(method), Compact::Safe, "{method}");
    }
}

#[test]
fn types_that_could_be_mistaken_go_by_name_and_it_is_told_why() {
    for (method, part) in [
        ("internal", "is read by its form"),
        ("adjacent_unit", "`AdjacentUnit`"),
        ("adjacent_named", "`Named` is read by its form"),
        ("untagged", "is read by its form"),
        ("untagged_named", "is read by its form"),
        ("untagged_leaves", "a value is read by its form"),
        ("flat", "a value is read by its form"),
        ("flat_nested", "`Point` is read by its form"),
        ("flat_enum", "is read by its form"),
        ("sparse", "of `Sparse` is left out"),
        ("write_only", "`WriteOnly`"),
        ("read_only", "`ReadOnly`"),
        ("crossed", "`b` of `Crossed` is written, but not read under that name"),
        ("one_or_many", "is read by its form"),
        ("pairs", "no sample of"),
        ("anything", "`value` allows anything"),
        ("tell", "of `tell` is left out"),
    ] {
        let reason = reason(method);
        assert!(reason.contains(part), "{method}: {reason}");
    }
}

#[test]
fn what_goes_by_name_would_be_harmed_otherwise() {
    fn compact<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> Option<T> {
        rmp_serde::from_slice(&rmp_serde::to_vec(value).expect("it packs")).ok()
    }
    let size = odd::Untagged::Size(odd::size(1, 2));
    assert_eq!(compact(&size), Some(odd::Untagged::Point(odd::point(1, 2))), "taken for the other");
    let sparse = odd::sparse(None, Some(7));
    assert_eq!(compact(&sparse), Some(odd::sparse(Some(7), None)), "moved");
    assert_eq!(compact(&odd::write_only(Some(7))), Some(odd::wrongly_read(7)), "moved");
    assert_eq!(compact(&odd::UntaggedNamed::Point { x: 1, y: 2 }), None, "not read");
    assert_eq!(compact(&odd::AdjacentUnit::Unit), None, "not read");
}

/// What stands for the link between two nodes: the arguments go out, the answer comes back. Gives the encoding that was
/// used, the message as it arrived, and how to answer it.
fn travel(message: AdversaryMessage, wanted: Encoding) -> (Encoding, AdversaryMessage, Way) {
    let method = message.method();
    let mut buffer = b"earlier frames".to_vec();
    let encoded = message.encode(wanted, &mut buffer).expect("it can be written");
    let body = buffer.strip_prefix(b"earlier frames").expect("they are still there").to_vec();
    let (reply, answer) = RawReply::channel(encoded.encoding);
    let arrived =
        AdversaryRef::decode(method, &body, encoded.encoding, reply).map_err(|(refusal, _)| refusal);
    let way = Way { answer, awaiting: encoded.awaiting, encoding: encoded.encoding };
    (encoded.encoding, arrived.expect("it can be read"), way)
}

struct Way {
    answer: tokio::sync::oneshot::Receiver<RawOutcome>,
    awaiting: Option<Box<dyn odeon::service::encode::Awaiting>>,
    encoding: Encoding,
}

impl Way {
    fn back(mut self) {
        let outcome = self.answer.try_recv().expect("it has been answered");
        self.awaiting.expect("somebody waits").settle(outcome, self.encoding);
    }
}

/// Sends values by a method as what is known of it says, and also where compact is insisted on: each arrives, and comes
/// back, as it was.
macro_rules! arrives {
    ($method:literal, $variant:ident, $values:expr) => {
        let known = Compacts::default().of::<AdversaryRef>();
        let method = method_named::<AdversaryRef>($method).expect("a method");
        for value in $values {
            for wanted in [known.encoding(method), Encoding::Named] {
                let (reply, mut answer) = RawReply::channel(Encoding::Named);
                let message = AdversaryMessage::$variant { value: value.clone(), __reply: Reply::raw(reply) };
                let (used, message, way) = travel(message, wanted);
                assert_eq!(used, wanted, "{value:?}");
                let AdversaryMessage::$variant { value: arrived, __reply } = message else {
                    panic!("another method arrived")
                };
                assert_eq!(format!("{arrived:?}"), format!("{value:?}"), "as {wanted:?}");
                __reply.send(Ok(arrived));
                way.back();
                let Ok(RawOutcome::Answered(body)) = answer.try_recv() else {
                    panic!("no answer: {value:?}")
                };
                let mut expected = value.clone();
                assert_eq!(
                    format!("{:?}", read_as(&mut expected, &body)),
                    format!("{value:?}"),
                    "as {wanted:?}"
                );
            }
        }
    };
}

fn read_as<'v, T: serde::de::DeserializeOwned>(into: &'v mut T, body: &[u8]) -> &'v T {
    *into = rmp_serde::from_slice(body).expect("an answer decodes");
    into
}

#[test]
fn each_value_arrives_and_comes_back_as_it_was() {
    use odd::*;
    arrives!("empty", Empty, [Empty {}]);
    arrives!("unit", Unit, [Unit]);
    arrives!("thin", Thin, [thin(3)]);
    arrives!("tuple", Tuple, [Tuple(1, None), Tuple(255, Some(point(1, 200)))]);
    arrives!("plain", Plain, plains());
    arrives!(
        "internal",
        Internal,
        [Internal::Unit, Internal::Wrapped(point(1, 2)), Internal::Named { x: 3, y: 4 }]
    );
    arrives!("adjacent", Adjacent, [Adjacent::One(point(1, 2)), Adjacent::Two(1, 2)]);
    arrives!("adjacent_unit", AdjacentUnit, [AdjacentUnit::Unit, AdjacentUnit::One(point(1, 2))]);
    arrives!(
        "adjacent_named",
        AdjacentNamed,
        [AdjacentNamed::Named { x: 3, y: 4 }, AdjacentNamed::One(point(1, 2))]
    );
    arrives!("untagged", Untagged, [Untagged::Point(point(1, 2)), Untagged::Size(size(1, 2))]);
    arrives!(
        "untagged_named",
        UntaggedNamed,
        [UntaggedNamed::Point { x: 1, y: 2 }, UntaggedNamed::Size { width: 1, height: 2 }]
    );
    arrives!("untagged_leaves", UntaggedLeaves, leaves());
    arrives!("flat", Flat, [flat(&[]), flat(&[("more", 1), ("and more", 2)])]);
    arrives!("flat_nested", FlatNested, [flat_nested()]);
    arrives!("flat_enum", FlatEnum, plains().into_iter().skip(1).map(flat_enum));
    arrives!("defaults", Defaults, [defaults(None, Some(1)), defaults(Some(1), None)]);
    arrives!("sparse", Sparse, [sparse(None, Some(1)), sparse(Some(1), None), sparse(None, None)]);
    arrives!("write_only", WriteOnly, [write_only(Some(1)), write_only(None)]);
    arrives!("read_only", ReadOnly, [read_only(1)]);
    arrives!("skipped", Skipped, [skipped()]);
    arrives!("aliased", Aliased, [aliased()]);
    arrives!("hexed", Hexed, [hexed(0), hexed(u64::MAX)]);
    arrives!("wide", Wide, [wide(0, i128::MIN), wide(u128::MAX, -1)]);
    arrives!(
        "floats",
        Floats,
        [floats(f32::NAN, f64::NEG_INFINITY), floats(0.1, 0.1), floats(f32::MAX, -0.0)]
    );
    arrives!("binary", Binary, [binary(0), binary(3), binary(300)]);
    arrives!("tree", Tree, [tree(0), tree(1), tree(30)]);
    arrives!("tables", Tables, [tables(0), tables(20)]);
    arrives!("double", Double, [double(Ok(point(1, 2))), double(Err("no".into()))]);
    arrives!("one_or_many", OneOrMany, [one_or_many_of(0), one_or_many_of(1), one_or_many_of(2)]);
    arrives!("pairs", Pairs, [BTreeMap::from([((1, 2), point(3, 4))])]);
    arrives!("anything", Anything, [serde_json::json!([1, { "a": [null, -1.5, "x"] }])]);
}

#[test]
fn an_option_within_an_option_that_is_there_but_empty_is_absent_as_in_json() {
    for encoding in [Encoding::Named, Encoding::Compact] {
        let value = odd::double_inner(Some(None));
        let (.., message, _way) =
            travel(AdversaryMessage::Double { value, __reply: Reply::nobody() }, encoding);
        let AdversaryMessage::Double { value, .. } = message else { panic!("another method arrived") };
        assert_eq!(value, odd::double_inner(None));
    }
}

#[test]
fn what_leaves_out_a_field_is_named_even_where_compact_is_insisted_on() {
    let value = odd::sparse(None, Some(1));
    let message = AdversaryMessage::Sparse { value: value.clone(), __reply: Reply::nobody() };
    let (used, message, way) = travel(message, Encoding::Compact);
    assert_eq!(used, Encoding::Named);
    let AdversaryMessage::Sparse { value: arrived, .. } = message else { panic!("another method arrived") };
    assert_eq!(arrived, value);
    drop(way);
    // and in an answer, whose reader takes both
    let (reply, mut answer) = RawReply::channel(Encoding::Compact);
    let answering = Reply::<odd::Sparse>::raw(reply);
    answering.send(Ok(value.clone()));
    let Ok(RawOutcome::Answered(body)) = answer.try_recv() else { panic!("no answer") };
    assert_eq!(rmp_serde::from_slice::<odd::Sparse>(&body).expect("it decodes"), value);
    assert_eq!(body[..], rmp_serde::to_vec_named(&value).expect("it packs"));
    // an argument that is left out is one, too
    let message = AdversaryMessage::Tell { first: odd::point(1, 2), second: None };
    assert_eq!(travel(message, Encoding::Compact).0, Encoding::Named);
    let message = AdversaryMessage::Tell { first: odd::point(1, 2), second: Some(3) };
    assert_eq!(travel(message, Encoding::Compact).0, Encoding::Compact);
}

#[test]
fn no_arguments_are_no_bytes_and_a_cast_awaits_nothing() {
    for encoding in [Encoding::Json, Encoding::Named, Encoding::Compact] {
        let mut buffer = vec![1, 2, 3];
        let encoded = AdversaryMessage::Nudge {}.encode(encoding, &mut buffer).expect("nothing to write");
        assert!(encoded.awaiting.is_none());
        assert_eq!((encoded.encoding, &buffer[..]), (encoding, &[1, 2, 3][..]));
        let (_, message, way) = travel(AdversaryMessage::Ask { __reply: Reply::nobody() }, encoding);
        let AdversaryMessage::Ask { __reply } = message else { panic!("another method arrived") };
        __reply.send(Ok(true));
        way.back();
    }
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing_behind() {
    let value = BTreeMap::from([((1, 2), odd::point(3, 4))]);
    let (reply, mut answer) = RawReply::channel(Encoding::Named);
    let message = AdversaryMessage::Pairs { value, __reply: Reply::raw(reply) };
    let mut buffer = b"earlier frames".to_vec();
    let refusal = message.encode(Encoding::Json, &mut buffer).map(|_| ()).expect_err("no key of JSON");
    assert_eq!(buffer, b"earlier frames");
    assert_eq!(refusal.name(), "unencodable");
    assert!(refusal.to_string().contains("key must be a string"), "{refusal}");
    assert_eq!(answer.try_recv(), Ok(RawOutcome::NotExecuted(refusal)));
}

/// An address is a text in JSON and bytes in MessagePack; what reads it by its form takes it for a text always.
mod peer {
    use odeon::Cx;

    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[serde(tag = "kind")]
    pub(super) enum Contact {
        Direct { address: std::net::IpAddr },
    }

    #[odeon::contract(name = "peer", version = "1.0")]
    pub(super) trait Peer {
        async fn greet(&self, cx: &Cx, contact: Contact) -> bool;
    }
}

#[test]
#[should_panic(expected = "arguments of `greet` of peer do not travel as Named")]
fn what_does_not_even_travel_by_name_is_found() {
    odeon::test::assert_round_trips::<peer::PeerRef>();
}
