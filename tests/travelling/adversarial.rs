//! Types with everything that serde offers and that has taken a list of fields for something else: which of them
//! travel compactly, and that all arrive as they were sent.

use bytes::Bytes;
use odeon::Cx;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

macro_rules! travellers {
    ($($(#[$attribute:meta])* $keyword:ident $name:ident $body:tt $(;)?)*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
            $(#[$attribute])*
            pub(crate) $keyword $name $body
        )*
    };
}

travellers! {
    struct Point { x: u8, y: u8 }
    struct Size { width: u8, height: u8 }
    struct Empty {}
    #[serde(transparent)]
    struct Thin { point: Point }
    enum Plain { Unit, One(Point), Two(u8, Size), Named { point: Point, size: Option<Size> } }
    #[serde(tag = "kind", rename_all = "kebab-case")]
    enum Internal { Unit, Wrapped(Point), Named { x: u8, y: u8 } }
    #[serde(tag = "kind", content = "content")]
    enum Adjacent { One(Point), Two(u8, u8) }
    #[serde(tag = "kind", content = "content")]
    enum AdjacentNamed { One(Point), Named { x: u8, y: u8 } }
    #[serde(tag = "kind", content = "content")]
    enum AdjacentUnit { Unit, One(Point) }
    /// Compactly a list of two for each.
    #[serde(untagged)]
    enum Untagged { Point(Point), Size(Size) }
    #[serde(untagged)]
    enum UntaggedNamed { Point { x: u8, y: u8 }, Size { width: u8, height: u8 } }
    #[serde(untagged)]
    enum UntaggedLeaves { Number(i64), Text(String), Truth(bool), Many(Vec<u8>) }
    struct Flat { a: u8, #[serde(flatten)] point: Point, #[serde(flatten)] rest: BTreeMap<String, u8> }
    struct FlatNested { a: u8, #[serde(flatten)] inner: Inner }
    struct Inner { point: Point }
    struct FlatEnum { a: u8, #[serde(flatten)] plain: Plain }
    struct Defaults { #[serde(default)] a: Option<u8>, #[serde(default)] b: Option<u8>, #[serde(default)] c: u8 }
    struct Sparse {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        b: Option<u8>,
    }
    struct WriteOnly { #[serde(default, skip_serializing)] a: Option<u8>, #[serde(default)] b: Option<u8> }
    struct ReadOnly { #[serde(skip_deserializing)] a: u8, b: u8 }
    struct Crossed {
        #[serde(default, skip_serializing)] a: u8,
        #[serde(skip_deserializing)] b: u8,
    }
    struct Skipped { a: u8, #[serde(skip)] #[schemars(skip)] b: u8, c: u8 }
    struct Aliased { #[serde(alias = "first")] a: u8, #[serde(alias = "second", rename = "zweites")] b: u8 }
    struct Hexed { #[serde(with = "hex")] #[schemars(with = "String")] a: u64, b: Option<u64> }
    struct Wide { a: u128, b: i128, c: Option<i128> }
    struct Floats { a: f32, b: f64 }
    struct Binary { a: Bytes, b: Vec<u8>, c: Vec<Vec<u8>>, d: [u8; 3] }
    enum Tree { Leaf(char), Branch(Box<Tree>, Option<Box<Tree>>), Table(BTreeMap<String, Tree>) }
    struct Tables { a: BTreeMap<u32, Point>, b: HashMap<String, Point>, c: BTreeSet<i8>, d: BTreeMap<Key, u8> }
    #[derive(Eq, PartialOrd, Ord)]
    #[serde(rename_all = "kebab-case")]
    enum Key { First, Second }
    struct Double { a: Option<Option<u8>>, b: (), c: Result<Point, String>, d: Duration }
    struct OneOrMany { #[serde(deserialize_with = "one_or_many")] #[schemars(with = "Vec<Point>")] a: Vec<Point> }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tuple(pub(crate) u8, pub(crate) Option<Point>);

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Point>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(Point),
        Many(Vec<Point>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(point) => vec![point],
        Either::Many(points) => points,
    })
}

macro_rules! echoes {
    ($($method:ident: $kind:ty,)*) => {
        #[odeon::contract(name = "adversary", version = "1.0")]
        pub(crate) trait Adversary {
            $(async fn $method(&self, cx: &Cx, value: $kind) -> $kind;)*
            #[cast]
            async fn tell(&self, cx: &Cx, first: Point, #[serde(skip_serializing_if = "Option::is_none")] second: Option<u8>);
            async fn ask(&self, cx: &Cx) -> bool;
            #[cast]
            async fn nudge(&self, cx: &Cx);
        }
    };
}

echoes! {
    empty: Empty,
    thin: Thin,
    unit: Unit,
    tuple: Tuple,
    plain: Plain,
    internal: Internal,
    adjacent: Adjacent,
    adjacent_unit: AdjacentUnit,
    adjacent_named: AdjacentNamed,
    untagged: Untagged,
    untagged_named: UntaggedNamed,
    untagged_leaves: UntaggedLeaves,
    flat: Flat,
    flat_nested: FlatNested,
    flat_enum: FlatEnum,
    defaults: Defaults,
    sparse: Sparse,
    write_only: WriteOnly,
    read_only: ReadOnly,
    crossed: Crossed,
    skipped: Skipped,
    aliased: Aliased,
    hexed: Hexed,
    wide: Wide,
    floats: Floats,
    binary: Binary,
    tree: Tree,
    tables: Tables,
    double: Double,
    one_or_many: OneOrMany,
    pairs: BTreeMap<(u8, u8), Point>,
    anything: serde_json::Value,
}

pub(crate) fn point(x: u8, y: u8) -> Point {
    Point { x, y }
}

pub(crate) fn size(width: u8, height: u8) -> Size {
    Size { width, height }
}

pub(crate) fn thin(x: u8) -> Thin {
    Thin { point: point(x, 0) }
}

pub(crate) fn plains() -> Vec<Plain> {
    let named = |size| Plain::Named { point: point(1, 2), size };
    vec![
        Plain::Unit,
        Plain::One(point(1, 2)),
        Plain::Two(3, size(4, 5)),
        named(None),
        named(Some(size(6, 7))),
    ]
}

pub(crate) fn leaves() -> Vec<UntaggedLeaves> {
    let text = UntaggedLeaves::Text("7".into());
    vec![UntaggedLeaves::Number(-7), text, UntaggedLeaves::Truth(true), UntaggedLeaves::Many(vec![0, 255])]
}

pub(crate) fn flat(rest: &[(&str, u8)]) -> Flat {
    Flat { a: 1, point: point(2, 3), rest: rest.iter().map(|(key, value)| ((*key).into(), *value)).collect() }
}

pub(crate) fn flat_nested() -> FlatNested {
    FlatNested { a: 1, inner: Inner { point: point(2, 3) } }
}

pub(crate) fn flat_enum(plain: Plain) -> FlatEnum {
    FlatEnum { a: 1, plain }
}

pub(crate) fn defaults(a: Option<u8>, b: Option<u8>) -> Defaults {
    Defaults { a, b, c: 3 }
}

pub(crate) fn sparse(a: Option<u8>, b: Option<u8>) -> Sparse {
    Sparse { a, b }
}

pub(crate) fn write_only(b: Option<u8>) -> WriteOnly {
    WriteOnly { a: None, b }
}

/// What [`write_only`] is taken for.
pub(crate) fn wrongly_read(a: u8) -> WriteOnly {
    WriteOnly { a: Some(a), b: None }
}

pub(crate) fn read_only(b: u8) -> ReadOnly {
    ReadOnly { a: 0, b }
}

pub(crate) fn skipped() -> Skipped {
    Skipped { a: 1, b: 0, c: 2 }
}

pub(crate) fn aliased() -> Aliased {
    Aliased { a: 1, b: 2 }
}

pub(crate) fn hexed(a: u64) -> Hexed {
    Hexed { a, b: Some(a) }
}

pub(crate) fn wide(a: u128, b: i128) -> Wide {
    Wide { a, b, c: Some(b) }
}

pub(crate) fn floats(a: f32, b: f64) -> Floats {
    Floats { a, b }
}

pub(crate) fn binary(len: usize) -> Binary {
    let bytes: Vec<_> = (0..=255).cycle().take(len).collect();
    Binary { a: bytes.clone().into(), b: bytes.clone(), c: vec![bytes, vec![]], d: [1, 2, 255] }
}

pub(crate) fn tree(levels: usize) -> Tree {
    (0..levels).fold(Tree::Leaf('ü'), |below, level| match level % 2 {
        0 => Tree::Branch(Box::new(below), Some(Box::new(Tree::Leaf('x')))),
        _ => Tree::Table(BTreeMap::from([("below".into(), below)])),
    })
}

pub(crate) fn tables(len: u8) -> Tables {
    Tables {
        a: (0..len).map(|n| (u32::from(n) * 1_000, point(n, 0))).collect(),
        // one at the most: its order is shown
        b: (0..len.min(1)).map(|n| (n.to_string(), point(0, n))).collect(),
        c: (0..len).map(|n| n.cast_signed()).collect(),
        d: BTreeMap::from([(Key::First, len), (Key::Second, 0)]),
    }
}

pub(crate) fn double(c: Result<Point, String>) -> Double {
    Double { a: Some(Some(1)), b: (), c, d: Duration::new(1, 999_999_999) }
}

pub(crate) fn double_inner(a: Option<Option<u8>>) -> Double {
    Double { a, ..double(Err(String::new())) }
}

pub(crate) fn one_or_many_of(len: u8) -> OneOrMany {
    OneOrMany { a: (0..len).map(|n| point(n, n)).collect() }
}
