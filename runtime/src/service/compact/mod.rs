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
use trial::Trial;

use super::contract::{Contract, Encoding};
use super::guard::guarded;
use odeon_core::Random;
use parking_lot::Mutex;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Whether a method's arguments and answers may be [`Encoding::Compact`] between nodes of the same artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compact {
    /// All samples arrived as they were sent, and each struct was read as the one that was written.
    Safe,
    /// They go by name. Why, for people: the argument or answer, and the type or field.
    Unsafe(String),
}

/// The types that travel for one method.
#[derive(Clone, Copy, Debug)]
pub struct Travels {
    /// The struct of the arguments.
    pub arguments: Travelling,
    /// What it answers; none for a cast.
    pub answer: Option<Travelling>,
    /// Its own error, which always goes by name; none if it cannot fail by itself.
    pub error: Option<Travelling>,
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

    /// Sends samples of the type there and back.
    ///
    /// # Errors
    /// What happened to one on its way; or why there are no samples of it, or of a part of it.
    pub(crate) fn examine(&self, encoding: Encoding) -> Result<(), Doubt> {
        let samples = samples::of((self.schema)().as_value()).map_err(Doubt::Untried)?;
        let mut problem = None;
        let (mut wanted, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for sample in samples {
            wanted.extend(sample.choices.iter().cloned());
            let tried = guarded(|| Ok((self.trial)(&sample.value, encoding)));
            match tried.unwrap_or_else(Trial::NoSample) {
                Trial::Arrived => seen.extend(sample.choices),
                Trial::NoSample(why) => {
                    problem.get_or_insert(why);
                }
                Trial::Harmed(why) => {
                    return Err(Doubt::Harmed(format!("{why}, as in {}", shown(&sample.value))));
                }
            }
        }
        let why = problem.unwrap_or_default();
        match wanted.difference(&seen).next() {
            Some(choice) => Err(Doubt::Untried(format!("no sample of `{choice}` can be read: {why}"))),
            None if seen.is_empty() => Err(Doubt::Untried("there are no values of it".into())),
            None => Ok(()),
        }
    }

    /// Sends so many samples there and back for each of the others, with numbers and texts drawn by chance. Gives back
    /// how many the type could read.
    ///
    /// # Errors
    /// What happened to one on its way.
    pub(crate) fn examine_drawn(
        &self,
        encoding: Encoding,
        rounds: usize,
        random: &mut Random,
    ) -> Result<usize, String> {
        let mut arrived = 0;
        for sample in samples::of((self.schema)().as_value()).unwrap_or_default() {
            for _ in 0..rounds {
                let value = samples::drawn::of(&sample.value, random);
                match guarded(|| Ok((self.trial)(&value, encoding))).unwrap_or_else(Trial::NoSample) {
                    Trial::Arrived => arrived += 1,
                    Trial::NoSample(_) => {}
                    Trial::Harmed(why) => return Err(format!("{why}, as in {}", shown(&value))),
                }
            }
        }
        Ok(arrived)
    }
}

/// Why it is not certain that a type travels well. For people.
#[derive(Debug)]
pub(crate) enum Doubt {
    /// It cannot be tried out.
    Untried(String),
    /// It does not.
    Harmed(String),
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
    let Some(Travels { arguments, answer, .. }) = travels else {
        return Compact::Unsafe("nothing is known of its types".into());
    };
    let parts = [("the arguments", Some(arguments)), ("the answer", answer)];
    for (part, travelling) in parts.into_iter().filter_map(|(part, kind)| Some((part, kind?))) {
        if let Err(Doubt::Untried(reason) | Doubt::Harmed(reason)) = travelling.examine(Encoding::Compact) {
            return Compact::Unsafe(format!("{part}: {reason}"));
        }
    }
    Compact::Safe
}

/// What is known of each contract that this node speaks to others.
#[derive(Debug, Default)]
pub struct Compacts(Mutex<BTreeMap<TypeId, Arc<Compactness>>>);

impl Compacts {
    /// Of one contract; all who ask get the same.
    pub fn of<C: Contract>(&self) -> Arc<Compactness> {
        let mut known = self.0.lock();
        known.entry(TypeId::of::<C>()).or_insert_with(|| Arc::new(Compactness::new::<C>())).clone()
    }
}

/// What is known of each method of a contract, found out when it is first asked for.
#[derive(Debug)]
pub struct Compactness {
    contract: &'static str,
    of: fn(usize) -> Compact,
    verdicts: Box<[OnceLock<Compact>]>,
}

impl Compactness {
    /// Nothing found out yet.
    fn new<C: Contract>() -> Self {
        let verdicts = C::METHODS.iter().map(|_| OnceLock::new()).collect();
        Self { contract: C::NAME, of: C::compact, verdicts }
    }

    /// Of the method at a position of [`Contract::METHODS`]. The first time takes a millisecond or so.
    ///
    /// # Panics
    /// The contract has no method there.
    pub fn method(&self, method: usize) -> &Compact {
        self.verdicts[method].get_or_init(|| {
            let verdict = (self.of)(method);
            if let Compact::Unsafe(reason) = &verdict {
                tracing::debug!(contract = self.contract, method, %reason, "a method's messages travel by name");
            }
            verdict
        })
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
