//! One sample of a type, sent there and back.

use super::tree::Tree;
use super::{Encoding, write};
use crate::service::{decode, encode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What became of a sample.
#[derive(Debug)]
pub(super) enum Trial {
    /// It arrived as it was sent.
    Arrived,
    /// It is none: the type does not read it, and says why.
    NoSample(String),
    /// It arrived as something else, or not at all. Why, for people.
    Harmed(String),
}

/// Reads the sample as the type, writes and reads it in the encoding, and compares.
pub(super) fn run<T: Serialize + DeserializeOwned>(sample: &Value, encoding: Encoding) -> Trial {
    match serde_json::from_slice::<T>(sample.to_string().as_bytes()) {
        Err(why) => Trial::NoSample(why.to_string()),
        Ok(value) => match there_and_back(&value, encoding) {
            Ok(()) => Trial::Arrived,
            Err(why) => Trial::Harmed(why),
        },
    }
}

fn there_and_back<T: Serialize + DeserializeOwned>(value: &T, encoding: Encoding) -> Result<(), String> {
    let sent = Tree::of(value).map_err(|e| e.to_string())?;
    let arrived = |what: T| match Tree::of(&what) {
        Ok(tree) if tree == sent => Ok(()),
        Ok(_) => Err("it arrives as something else".to_owned()),
        Err(why) => Err(why.to_string()),
    };
    let mut body = Vec::new();
    match encoding {
        Encoding::Json => serde_json::to_writer(&mut body, value).map_err(|e| e.to_string())?,
        Encoding::Named => encode::named(value, &mut body).map_err(|e| e.to_string())?,
        Encoding::Compact => {
            write(value, &mut body).map_err(|e| e.to_string())?;
            arrived(T::deserialize(&sent).map_err(|e| e.to_string())?)?;
        }
    }
    arrived(decode::answer(&body, encoding).map_err(|refusal| refusal.to_string())?)
}
