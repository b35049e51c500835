//! Arguments in all encodings, into types with everything that serde offers. The first byte chooses the encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use odeon::core::Refusal;
use odeon::service::contract::Encoding;
use odeon::service::decode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code, reason = "decoding is all that is wanted of the fields")]
struct Rich {
    name: String,
    #[serde(default)]
    number: Option<i128>,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    table: BTreeMap<String, Item>,
    #[serde(default)]
    bytes: Vec<u8>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(dead_code, reason = "decoding is all that is wanted of the fields")]
enum Item {
    Plain { price: u32, weight: f64 },
    Nested { inner: Box<Item> },
    Unit,
}

/// Whether the bytes are one value and nothing else, as the library that reads them sees it.
fn is_one_value(encoding: Encoding, body: &[u8]) -> bool {
    match encoding {
        Encoding::Json => serde_json::from_slice::<IgnoredAny>(body).is_ok(),
        Encoding::Named | Encoding::Compact => {
            let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(body));
            IgnoredAny::deserialize(&mut reader).is_ok() && reader.position() == body.len() as u64
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let encoding = [Encoding::Json, Encoding::Named, Encoding::Compact][usize::from(first % 3)];
    match decode::arguments::<Rich>(body, encoding) {
        Ok(_) => {}
        Err(Refusal::Undecodable { problem, .. }) => {
            assert!(!problem.is_empty() && problem.len() < 1_000, "{problem}");
            let no_value = problem.contains("trailing bytes") || problem.contains("in the midst");
            assert!(!(no_value && is_one_value(encoding, body)), "{problem}");
        }
        Err(other) => panic!("an unexpected refusal: {other}"),
    }
});
