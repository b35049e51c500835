//! Which methods may travel compactly, with structs as lists of their fields, and the writer that makes sure of it.
//!
//! A reader takes such a list by position and cannot notice what it mistakes. So each type is tried out before: samples
//! of it, made from its schema, are written and read again, and each struct must be read as the struct that was
//! written. What cannot be shown to be safe goes by name.

mod read;
mod samples;
mod strict;
mod tree;
mod trial;

pub(super) use strict::write;
pub(crate) use trial::Trial;

use super::contract::{Contract, Encoding};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

/// Whether a method's arguments and answers may be [`Encoding::Compact`] between nodes of the same artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compact {
    /// All samples arrived as they were sent, and each struct was read as the one that was written.
    Safe,
    /// They go by name. Why, for people: the argument or answer, and the type or field.
    Unsafe(String),
}

/// The types that travel for one method. The errors of contracts always go by name, so they are none of them.
#[derive(Clone, Copy, Debug)]
pub struct Travels {
    /// The struct of the arguments.
    pub arguments: Travelling,
    /// What it answers; none for a cast.
    pub answer: Option<Travelling>,
}

/// A type that travels, for those who know it by nothing but its schema.
#[derive(Clone, Copy)]
pub struct Travelling {
    schema: fn() -> Schema,
    trial: fn(&Value, Encoding) -> Trial,
}

impl fmt::Debug for Travelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Travelling")
    }
}

impl Travelling {
    /// Of a type.
    pub fn of<T: Serialize + DeserializeOwned + JsonSchema>() -> Self {
        Self { schema: || SchemaGenerator::default().into_root_schema_for::<T>(), trial: trial::run::<T> }
    }

    /// Sends samples of the type there and back. Says how many have arrived as they were sent.
    ///
    /// # Errors
    /// For people: why there are no samples of it, or of a part of it; or what happened to one on its way.
    pub(crate) fn examine(&self, encoding: Encoding) -> Result<usize, String> {
        let samples = samples::of((self.schema)().as_value())?;
        let (mut arrived, mut problem) = (0, None);
        let (mut wanted, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for sample in samples {
            wanted.extend(sample.choices.iter().cloned());
            match (self.trial)(&sample.value, encoding) {
                Trial::Arrived => {
                    arrived += 1;
                    seen.extend(sample.choices);
                }
                Trial::NoSample(why) => {
                    problem.get_or_insert(why);
                }
                Trial::Harmed(why) => return Err(format!("{why}, as in {}", shown(&sample.value))),
            }
        }
        let why = problem.unwrap_or_default();
        match wanted.difference(&seen).next() {
            Some(choice) => Err(format!("no sample of `{choice}` can be read: {why}")),
            None if arrived == 0 => Err("there are no values of it".into()),
            None => Ok(arrived),
        }
    }
}

/// A sample in a reason: long ones are cut.
fn shown(sample: &Value) -> String {
    const SHOWN_MAX: usize = 120;
    let mut text = sample.to_string();
    if text.len() > SHOWN_MAX {
        text.truncate(text.floor_char_boundary(SHOWN_MAX));
        text.push('…');
    }
    text
}

/// Tries out the types of a method.
pub(super) fn of(travels: Option<Travels>) -> Compact {
    let Some(Travels { arguments, answer }) = travels else {
        return Compact::Unsafe("nothing is known of its types".into());
    };
    let parts = [("the arguments", Some(arguments)), ("the answer", answer)];
    for (part, travelling) in parts.into_iter().filter_map(|(part, kind)| Some((part, kind?))) {
        if let Err(reason) = travelling.examine(Encoding::Compact) {
            return Compact::Unsafe(format!("{part}: {reason}"));
        }
    }
    Compact::Safe
}

/// What is known of each method of a contract, found out when it is first asked for. One for each contract and node.
#[derive(Debug)]
pub struct Compactness {
    of: fn(usize) -> Compact,
    verdicts: Box<[OnceLock<Compact>]>,
}

impl Compactness {
    /// Nothing found out yet.
    pub fn new<C: Contract>() -> Self {
        Self { of: C::compact, verdicts: C::METHODS.iter().map(|_| OnceLock::new()).collect() }
    }

    /// Of the method at a position of [`Contract::METHODS`]. The first time takes a millisecond or so.
    ///
    /// # Panics
    /// The contract has no method there.
    pub fn method(&self, method: usize) -> &Compact {
        self.verdicts[method].get_or_init(|| (self.of)(method))
    }

    /// How the arguments of the method go to a node of the same artifact.
    ///
    /// # Panics
    /// The contract has no method there.
    #[inline]
    pub fn encoding(&self, method: usize) -> Encoding {
        match self.method(method) {
            Compact::Safe => Encoding::Compact,
            Compact::Unsafe(_) => Encoding::Named,
        }
    }
}
