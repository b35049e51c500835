//! Reads encoded arguments and answers into the types of a contract; that is their validation. Errors name the field.

use super::contract::Encoding;
use super::guard::guarded;
use super::messagepack;
use odeon_core::Refusal;
use serde::de::DeserializeOwned;

/// Reads arguments: an object with their names, or, compactly, a list of them in order. An empty body is one without
/// any.
///
/// # Errors
/// [`Refusal::Undecodable`] with the path of the field and what was expected there.
pub fn arguments<T: DeserializeOwned>(body: &[u8], encoding: Encoding) -> Result<T, Refusal> {
    let body: &[u8] = match (body.is_empty(), encoding) {
        (false, _) => body,
        (true, Encoding::Json) => b"{}",
        (true, Encoding::Named) => &[0x80],
        (true, Encoding::Compact) => &[0x90],
    };
    if let Some(expected) = missed(body, encoding) {
        return Err(undecodable(String::new(), expected.into()));
    }
    // a panic has no path
    guarded(|| Ok(read(body, encoding))).unwrap_or_else(|problem| Err(undecodable(String::new(), problem)))
}

/// Reads an answer or an error, which may come from another node. Named and compact ones are read alike: what cannot
/// be compact is named in the answer to a compact call too. Without the path of what is wrong: that would be another
/// reader for each type, and whoever reads an answer cannot mend it.
///
/// # Errors
/// [`Refusal::Undecodable`] with what was expected.
pub(super) fn answer<T: DeserializeOwned>(body: &[u8], encoding: Encoding) -> Result<T, Refusal> {
    let read = guarded(|| match encoding {
        Encoding::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
        Encoding::Named | Encoding::Compact => {
            messagepack::check(body)?;
            T::deserialize(&mut rmp_serde::Deserializer::from_read_ref(body))
                .map_err(|error| error.to_string())
        }
    });
    read.map_err(|problem| undecodable(String::new(), problem))
}

fn read<T: DeserializeOwned>(body: &[u8], encoding: Encoding) -> Result<T, Refusal> {
    match encoding {
        Encoding::Json => json(body),
        Encoding::Named | Encoding::Compact => packed(body),
    }
}

/// What arguments in this encoding begin with, if these do not. serde would take a list for a struct: by position, so
/// that arguments which changed places are taken for each other.
fn missed(body: &[u8], encoding: Encoding) -> Option<&'static str> {
    let fits = match encoding {
        Encoding::Json => body.trim_ascii_start().first() == Some(&b'{'),
        Encoding::Named => matches!(body.first(), Some(0x80..=0x8f | 0xde | 0xdf)),
        Encoding::Compact => matches!(body.first(), Some(0x90..=0x9f | 0xdc | 0xdd)),
    };
    match encoding {
        _ if fits => None,
        Encoding::Json | Encoding::Named => Some("expected an object with the arguments by name"),
        Encoding::Compact => Some("expected a list of the arguments in order"),
    }
}

/// Plainly first: keeping the path of each field would cost every good request more than its reading. Only one that
/// is refused is read again, for the path.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).or_else(|_| json_with_path(body))
}

fn json_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|e| undecodable(e.path().to_string(), e.inner().to_string()))?;
    reader.end().map_err(|e| undecodable(String::new(), e.to_string()))?;
    Ok(value)
}

/// As [`json`], but looked over first: its reader overflows the stack where values nest without end.
fn packed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    messagepack::check(body).map_err(|problem| undecodable(String::new(), problem))?;
    T::deserialize(&mut rmp_serde::Deserializer::from_read_ref(body)).or_else(|_| packed_with_path(body))
}

fn packed_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(body);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|e| undecodable(e.path().to_string(), e.inner().to_string()))
}

fn undecodable(path: String, problem: String) -> Refusal {
    let path = if path == "." { String::new() } else { path };
    Refusal::Undecodable { path: shortened(path), problem: shortened(problem) }
}

/// Longest text about arguments, in bytes: what was wrong may be as long as a body.
const SAID_MAX: usize = 500;

fn shortened(mut text: String) -> String {
    if text.len() > SAID_MAX {
        text.truncate(text.floor_char_boundary(SAID_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    struct Item {
        price: u32,
    }
    #[derive(Debug, serde::Deserialize, PartialEq)]
    struct Order {
        items: Vec<Item>,
    }

    fn read(text: &'static str) -> Result<Order, Refusal> {
        arguments(text.as_bytes(), Encoding::Json)
    }

    #[test]
    fn an_error_names_the_field() {
        let error = read(r#"{"items":[{"price":1},{"price":"x"}]}"#).expect_err("wrong type");
        let Refusal::Undecodable { path, problem } = error else { panic!("{error:?}") };
        assert_eq!(path, "items[1].price");
        assert!(problem.contains("expected u32"), "{problem}");
    }

    #[test]
    fn what_follows_the_arguments_is_refused() {
        assert!(read(r#"{"items":[]} x"#).is_err());
        assert_eq!(read(r#"{"items":[]}"#), Ok(Order { items: vec![] }));
    }

    #[test]
    fn both_ways_of_reading_agree() {
        for text in [r#"{"items":[{"price":7}]}"#, r#"{"items":[{}]}"#, "{", "", "null", r#"{"items":[]}]"#] {
            let plain = serde_json::from_str::<Order>(text).ok();
            assert_eq!(json_with_path(text.as_bytes()).ok(), plain, "{text}");
            assert_eq!(json(text.as_bytes()).ok(), plain, "{text}");
        }
        let packed = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("items", [(); 0])]));
        let packed = packed.expect("it packs");
        assert_eq!(super::packed::<Order>(&packed), packed_with_path(&packed));
        assert!(super::packed::<Order>(&packed[..3]).is_err());
    }

    /// Of all recursive types the one whose levels neither reader need count as lists or maps.
    #[derive(Debug, serde::Deserialize)]
    enum Chain {
        End,
        #[allow(dead_code, reason = "decoding is all that is wanted of it")]
        Link(Box<Chain>),
    }

    #[derive(Debug, serde::Deserialize)]
    struct Links {
        #[allow(dead_code, reason = "decoding is all that is wanted of it")]
        chain: Chain,
    }

    const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Named, Encoding::Compact];

    fn chain(encoding: Encoding, links: usize) -> Vec<u8> {
        let (link, end) = match encoding {
            Encoding::Json => (&b"{\"Link\":"[..], &b"\"End\""[..]),
            Encoding::Named | Encoding::Compact => (&b"\x81\xa4Link"[..], &b"\xa3End"[..]),
        };
        let close = if encoding == Encoding::Json { links } else { 0 };
        [link.repeat(links), end.to_vec(), b"}".repeat(close)].concat()
    }

    fn links(encoding: Encoding, links: usize) -> Result<Links, Refusal> {
        let (head, end) = match encoding {
            Encoding::Json => (&b"{\"chain\":"[..], &b"}"[..]),
            Encoding::Named => (&b"\x81\xa5chain"[..], &b""[..]),
            Encoding::Compact => (&b"\x91"[..], &b""[..]),
        };
        let body = [head, &chain(encoding, links), end].concat();
        arguments(&body, encoding)
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep: &'static str = Box::leak("[".repeat(100_000).into_boxed_str());
        assert!(read(deep).is_err());
        for encoding in ENCODINGS {
            assert!(links(encoding, 100).is_ok(), "{encoding:?}");
            let refused = links(encoding, 1_000_000).expect_err("it would overflow the stack");
            assert!(matches!(refused, Refusal::Undecodable { .. }), "{encoding:?}: {refused}");
        }
    }

    #[test]
    fn nor_does_an_answer_from_another_node_overflow_the_stack() {
        for encoding in ENCODINGS {
            assert!(answer::<Chain>(&chain(encoding, 100), encoding).is_ok(), "{encoding:?}");
            let refused = answer::<Chain>(&chain(encoding, 1_000_000), encoding).expect_err("too deep");
            assert!(matches!(refused, Refusal::Undecodable { .. }), "{encoding:?}: {refused}");
        }
    }

    #[test]
    fn arguments_are_told_by_name_from_those_in_order() {
        let read = |body: &'static [u8], encoding| arguments::<Order>(body, encoding);
        let (by_name, in_order) = (&b"\x81\xa5items\x91\x81\xa5price\x07"[..], &b"\x91\x91\x91\x07"[..]);
        let order = || Ok(Order { items: vec![Item { price: 7 }] });
        assert_eq!(read(by_name, Encoding::Named), order());
        assert_eq!(read(in_order, Encoding::Compact), order());
        let refused = read(in_order, Encoding::Named).expect_err("no names");
        assert!(refused.to_string().contains("by name"), "{refused}");
        let refused = read(by_name, Encoding::Compact).expect_err("names");
        assert!(refused.to_string().contains("in order"), "{refused}");
        let refused = read(b"\x91\x91\x91\xa1x", Encoding::Compact).expect_err("no number");
        assert!(matches!(&refused, Refusal::Undecodable { path, .. } if path.contains("[0]")), "{refused}");
        assert!(read(b"\x92\x90\x01", Encoding::Compact).is_err(), "one more than there are");
        assert!(read(b"", Encoding::Compact).is_err(), "one is missing");
    }

    #[test]
    fn what_follows_named_arguments_is_refused_too() {
        let named = |body: &'static [u8]| arguments::<Order>(body, Encoding::Named);
        assert_eq!(named(b"\x81\xa5items\x90"), Ok(Order { items: vec![] }));
        assert!(named(b"\x81\xa5items\x90\x00").expect_err("one more").to_string().contains("trailing"));
    }
}
