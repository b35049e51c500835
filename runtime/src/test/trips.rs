//! Whether what a contract's methods take and answer survives the way to another node.

use crate::service::compact::{Compact, Doubt, Travelling};
use crate::service::contract::{Contract, Encoding, Method};
use odeon_core::Random;

/// For each sample that is made from a schema so many with other numbers and texts.
const DRAWN: usize = 16;

/// Sends samples of the arguments, answers and errors of each method there and back: by name, and, but for errors,
/// compactly where that is [`Compact::Safe`]. They are made from the schemas of their types: one for each choice and each
/// edge, and sixteen of each with other numbers and texts, from a fixed seed. Gives back what is known of each method, so
/// that a test can hold on to it: where the schema of a type says too little for samples, this is [`Compact::Unsafe`], and
/// nothing was sent.
///
/// # Panics
/// Something does not arrive as it was sent.
pub fn assert_round_trips<C: Contract>() -> Vec<(&'static str, Compact)> {
    let verdict = |(position, method): (usize, &'static Method)| {
        let named = |part: &str| format!("{} of `{}` of {}", part, method.name, C::NAME);
        let travels = C::travels(position).unwrap_or_else(|| panic!("{} are not known", named("types")));
        let compact = C::compact(position);
        let mut random = Random::seeded(position as u64);
        let mut go = |part: &str, encoding, kind: Option<Travelling>| {
            if let Some(Err(Doubt::Harmed(problem))) = kind.map(|kind| kind.examine(encoding)) {
                panic!("{} do not travel as {encoding:?}: {problem}", named(part));
            }
            if let Some(Err(problem)) = kind.map(|kind| kind.examine_drawn(encoding, DRAWN, &mut random)) {
                panic!("{} do not travel as {encoding:?}: {problem}", named(part));
            }
        };
        go("errors", Encoding::Named, travels.error);
        for encoding in [Encoding::Named, Encoding::Compact] {
            if encoding == Encoding::Named || compact == Compact::Safe {
                go("arguments", encoding, Some(travels.arguments));
                go("answers", encoding, travels.answer);
            }
        }
        (method.name, compact)
    };
    C::METHODS.iter().enumerate().map(verdict).collect()
}
