//! The variables by which a person steers simulation tests from outside.

use std::ops::Range;
use thiserror::Error;

/// What the environment asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// `ODEON_SEED=22`: this seed alone, with its log.
    pub(super) seed: Option<u64>,
    /// `ODEON_SEEDS=1000` or `ODEON_SEEDS=5..10`: these seeds instead of the test's own number.
    pub(super) seeds: Option<Range<u64>>,
    /// `ODEON_JOBS=4`: how many seeds run at once.
    pub(super) jobs: Option<usize>,
    /// `ODEON_TWICE=1`: run each seed in two processes and compare.
    pub(super) twice: bool,
}

/// A variable with a value that says nothing.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{variable}={value}: expected {expected}")]
pub struct WishError {
    variable: &'static str,
    value: String,
    expected: &'static str,
}

impl Wishes {
    pub(super) fn from_environment() -> Result<Wishes, WishError> {
        Wishes::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Wishes, WishError> {
        fn parse<T>(
            variable: &'static str,
            value: Option<String>,
            expected: &'static str,
            parse: impl Fn(&str) -> Option<T>,
        ) -> Result<Option<T>, WishError> {
            let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
            match parse(value.trim()) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(WishError { variable, value, expected }),
            }
        }
        let of = |variable: &str| lookup(variable);
        Ok(Wishes {
            seed: parse("ODEON_SEED", of("ODEON_SEED"), "one seed, such as 22", |text| text.parse().ok())?,
            seeds: parse(
                "ODEON_SEEDS",
                of("ODEON_SEEDS"),
                "a number of seeds such as 1000, or a range such as 5..10 (without 10)",
                parse_seeds,
            )?,
            jobs: parse("ODEON_JOBS", of("ODEON_JOBS"), "a number of jobs from 1", |text| {
                text.parse().ok().filter(|&jobs| jobs > 0)
            })?,
            twice: parse("ODEON_TWICE", of("ODEON_TWICE"), "0 or 1", |text| match text {
                "0" => Some(false),
                "1" => Some(true),
                _ => None,
            })?
            .unwrap_or(false),
        })
    }
}

/// `1000` is the first thousand seeds, `5..10` the five from 5.
pub fn parse_seeds(text: &str) -> Option<Range<u64>> {
    let range = match text.split_once("..") {
        Some((from, to)) => from.parse().ok()?..to.parse().ok()?,
        None => 0..text.parse().ok()?,
    };
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(pairs: &[(&str, &str)]) -> Result<Wishes, String> {
        Wishes::from_lookup(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_environment_wishes_nothing() {
        assert_eq!(wishes(&[]), Ok(Wishes::default()));
        assert_eq!(wishes(&[("ODEON_SEED", "")]), Ok(Wishes::default()));
    }

    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!(parse_seeds("3"), Some(0..3));
        assert_eq!(parse_seeds("5..10"), Some(5..10));
        for wrong in ["", "0", "5..5", "9..1", "a..b", "1..2..3", "-1"] {
            assert_eq!(parse_seeds(wrong), None, "{wrong}");
        }
        assert_eq!(wishes(&[("ODEON_SEEDS", "7")]).map(|wishes| wishes.seeds), Ok(Some(0..7)));
    }

    #[test]
    fn a_wrong_value_names_the_variable_and_what_was_expected() {
        let message = wishes(&[("ODEON_JOBS", "none")]).expect_err("none is no number");
        assert_eq!(message, "ODEON_JOBS=none: expected a number of jobs from 1");
        assert!(wishes(&[("ODEON_TWICE", "yes")]).is_err() && wishes(&[("ODEON_SEED", "x")]).is_err());
    }
}
