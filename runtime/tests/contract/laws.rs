//! What holds for all arguments: they arrive as they were sent, in each encoding and by type.

use super::api::raw;
use odeon::Cx;
use odeon::service::contract::Encoding;
use odeon::service::message::Message;
use odeon::service::reply::{RawOutcome, Reply};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Shape {
    Point,
    Circle(u32),
    Box(i64, i64),
    Text { text: String, size: Option<u8> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Drawing {
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    layers: BTreeMap<String, Vec<Shape>>,
    within: Option<Box<Drawing>>,
}

type Pair = (Option<char>, bool);

#[odeon::contract(name = "gallery", version = "1.0")]
trait Gallery {
    async fn hang(
        &self,
        cx: &Cx,
        drawing: Drawing,
        pairs: Vec<Pair>,
        bytes: Vec<u8>,
        id: u64,
        shape: Result<Shape, String>,
        time: Duration,
    ) -> Everything;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Everything {
    drawing: Drawing,
    pairs: Vec<Pair>,
    bytes: Vec<u8>,
    id: u64,
    shape: Result<Shape, String>,
    time: Duration,
}

struct Wall;

#[odeon::service]
impl Gallery for Wall {
    async fn hang(
        &self,
        _: &Cx,
        drawing: Drawing,
        pairs: Vec<Pair>,
        bytes: Vec<u8>,
        id: u64,
        shape: Result<Shape, String>,
        time: Duration,
    ) -> Everything {
        Everything { drawing, pairs, bytes, id, shape, time }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Point),
        any::<u32>().prop_map(Shape::Circle),
        any::<(i64, i64)>().prop_map(|(a, b)| Shape::Box(a, b)),
        (".{0,8}", option::of(any::<u8>())).prop_map(|(text, size)| Shape::Text { text, size }),
    ]
}

fn drawing() -> impl Strategy<Value = Drawing> {
    let leaf = |within: BoxedStrategy<Option<Box<Drawing>>>| {
        // quarters: JSON does not promise the last digit of every float
        let scale = option::of(any::<i32>().prop_map(|quarters| f64::from(quarters) / 4.0));
        let layers = btree_map(".{0,6}", vec(shape(), 0..4), 0..4);
        (".{0,12}", option::of(".{0,6}"), scale, layers, within)
            .prop_map(|(title, note, scale, layers, within)| Drawing { title, note, scale, layers, within })
    };
    let inner = leaf(Just(None).boxed());
    leaf(option::of(inner.prop_map(Box::new)).boxed())
}

prop_compose! {
    fn everything()(
        drawing in drawing(),
        pairs in vec(any::<(Option<char>, bool)>(), 0..6),
        bytes in vec(any::<u8>(), 0..32),
        id in any::<u64>(),
        shape in prop_oneof![shape().prop_map(Ok), ".{0,6}".prop_map(Err)],
        time in any::<(u64, u32)>().prop_map(|(s, n)| Duration::new(s, n % 1_000_000_000)),
    ) -> Everything {
        Everything { drawing, pairs, bytes, id, shape, time }
    }
}

/// Whether nothing of it is left out.
fn whole(drawing: &Drawing) -> bool {
    let within = drawing.within.as_ref().is_none_or(|within| whole(within));
    drawing.note.is_some() && drawing.scale.is_some() && within
}

async fn arrive(sent: Everything) {
    let gallery = odeon::test::host(Wall).await;
    let Everything { drawing, pairs, bytes, id, shape, time } = sent.clone();
    assert_eq!(gallery.hang(drawing, pairs, bytes, id, shape, time).await.as_ref(), Ok(&sent), "by type");

    let body = serde_json::to_vec(&sent).expect("JSON can express it");
    let outcome = raw(gallery.node(), "gallery", "hang", Encoding::Json, body).await;
    let RawOutcome::Answered(body) = outcome else { panic!("no answer: {outcome:?}") };
    assert_eq!(serde_json::from_slice::<Everything>(&body).expect("decodes"), sent, "as JSON");

    let body = rmp_serde::to_vec_named(&sent).expect("MessagePack can express it");
    let outcome = raw(gallery.node(), "gallery", "hang", Encoding::Named, body).await;
    let RawOutcome::Answered(body) = outcome else { panic!("no answer: {outcome:?}") };
    assert_eq!(rmp_serde::from_slice::<Everything>(&body).expect("decodes"), sent, "by name");

    for wanted in [Encoding::Json, Encoding::Named, Encoding::Compact] {
        let Everything { drawing, pairs, bytes, id, shape, time } = sent.clone();
        let __reply = Reply::nobody();
        let message = GalleryMessage::Hang { drawing, pairs, bytes, id, shape, time, __reply };
        let mut body = Vec::new();
        let encoded = message.encode(wanted, &mut body).expect("it can be written");
        // a drawing without a note or scale leaves these out
        let whole = whole(&sent.drawing);
        assert_eq!(
            encoded.encoding,
            if whole || wanted != Encoding::Compact { wanted } else { Encoding::Named }
        );
        let outcome = raw(gallery.node(), "gallery", "hang", encoded.encoding, body).await;
        let RawOutcome::Answered(body) = outcome else { panic!("no answer: {outcome:?}") };
        let answer = match wanted {
            Encoding::Json => serde_json::from_slice::<Everything>(&body).expect("decodes"),
            Encoding::Named | Encoding::Compact => rmp_serde::from_slice(&body).expect("decodes"),
        };
        assert_eq!(answer, sent, "written by type, {wanted:?}");
    }
    gallery.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arguments_and_answers_arrive_as_they_were_sent(sent in everything()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(arrive(sent));
    }

    #[test]
    fn bytes_that_are_no_arguments_are_refused_without_harm(
        body in vec(any::<u8>(), 0..64),
        encoding in prop_oneof![Just(Encoding::Json), Just(Encoding::Named), Just(Encoding::Compact)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let outcome = runtime.block_on(async {
            let gallery = odeon::test::host(Wall).await;
            raw(gallery.node(), "gallery", "hang", encoding, body).await
        });
        prop_assert!(matches!(outcome, RawOutcome::NotExecuted(_)), "{:?}", outcome);
    }
}

#[test]
fn samples_of_the_contract_survive_the_way_to_another_node() {
    assert_eq!(super::api::by_name::<GalleryRef>(), ["hang"]);
}
