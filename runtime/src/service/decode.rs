//! Reads encoded arguments into the types of a contract; that is their validation. Errors name the field.

use super::contract::{Arguments, Encoding};
use super::messagepack;
use odeon_core::Refusal;
use serde::de::DeserializeOwned;

/// Reads an object of arguments. An empty body is an object without fields.
///
/// # Errors
/// [`Refusal::Undecodable`] with the path of the field and what was expected there.
pub fn arguments<T: DeserializeOwned>(arguments: &Arguments) -> Result<T, Refusal> {
    let body: &[u8] = match (arguments.body.is_empty(), arguments.encoding) {
        (false, _) => &arguments.body,
        (true, Encoding::Json) => b"{}",
        (true, Encoding::Named) => &[0x80],
    };
    if !is_object(body, arguments.encoding) {
        return Err(undecodable(String::new(), "expected an object with the arguments by name".into()));
    }
    match arguments.encoding {
        Encoding::Json => json(body),
        Encoding::Named => named(body),
    }
}

/// serde would take a list for a struct: by position, so that arguments which changed places are taken for each other.
fn is_object(body: &[u8], encoding: Encoding) -> bool {
    match encoding {
        Encoding::Json => body.trim_ascii_start().first() == Some(&b'{'),
        Encoding::Named => matches!(body.first(), Some(0x80..=0x8f | 0xde | 0xdf)),
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
fn named<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    messagepack::check(body).map_err(|problem| undecodable(String::new(), problem))?;
    T::deserialize(&mut rmp_serde::Deserializer::from_read_ref(body)).or_else(|_| named_with_path(body))
}

fn named_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
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
    use bytes::Bytes;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    struct Item {
        price: u32,
    }
    #[derive(Debug, serde::Deserialize, PartialEq)]
    struct Order {
        items: Vec<Item>,
    }

    fn read(text: &'static str) -> Result<Order, Refusal> {
        arguments(&Arguments { body: Bytes::from_static(text.as_bytes()), encoding: Encoding::Json })
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
        assert_eq!(named::<Order>(&packed), named_with_path(&packed));
        assert!(named::<Order>(&packed[..3]).is_err());
    }

    /// Of all recursive types the one whose levels neither reader need count as lists or maps.
    #[derive(Debug, serde::Deserialize)]
    enum Chain {
        End,
        #[allow(dead_code, reason = "decoding is all that is wanted of it")]
        Link(Box<Chain>),
    }

    fn chain(encoding: Encoding, links: usize) -> Result<Chain, Refusal> {
        let (link, end, close) = match encoding {
            Encoding::Json => (&b"{\"Link\":"[..], &b"\"End\""[..], &b"}"[..]),
            Encoding::Named => (&b"\x81\xa4Link"[..], &b"\xa3End"[..], &b""[..]),
        };
        let body = [link.repeat(links), end.to_vec(), close.repeat(links)].concat();
        arguments(&Arguments { body: body.into(), encoding })
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep: &'static str = Box::leak("[".repeat(100_000).into_boxed_str());
        assert!(read(deep).is_err());
        for encoding in [Encoding::Json, Encoding::Named] {
            assert!(chain(encoding, 100).is_ok(), "{encoding:?}");
            let refused = chain(encoding, 1_000_000).expect_err("it would overflow the stack");
            assert!(matches!(refused, Refusal::Undecodable { .. }), "{encoding:?}: {refused}");
        }
    }

    #[test]
    fn what_follows_named_arguments_is_refused_too() {
        let named = |body: &'static [u8]| {
            arguments::<Order>(&Arguments { body: Bytes::from_static(body), encoding: Encoding::Named })
        };
        assert_eq!(named(b"\x81\xa5items\x90"), Ok(Order { items: vec![] }));
        assert!(named(b"\x81\xa5items\x90\x00").expect_err("one more").to_string().contains("trailing"));
    }
}
