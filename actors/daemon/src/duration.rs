//! Times as people write them: `250ms`, `2s`, `1.5s`, `3m`, `1h`.

use odeon_actors::gateway::request::WITHIN_MAX;
use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// It is none.
    #[error("{0:?} is no time: expected a number with a unit, such as 250ms, 2s, 3m or 1h")]
    NoTime(String),
    /// It is one, but nobody waits for so long.
    #[error("{0:?} is too long: {HOURS_MAX}h at the most")]
    TooLong(String),
}

/// Longest time that can be said: a year. More is a slip.
const HOURS_MAX: u32 = 366 * 24;

/// Reads a time.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError::NoTime(text.into());
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let digits_only = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds = number.parse::<f64>().ok().filter(|_| digits_only).ok_or_else(wrong)? * scale;
    if seconds > f64::from(HOURS_MAX) * 3600.0 {
        return Err(DurationError::TooLong(text.into()));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Reads how long a call may take, as a node takes it.
///
/// # Errors
/// It is no time, or none that a node takes.
pub(crate) fn within(text: &str) -> Result<Duration, String> {
    let time = parse(text).map_err(|e| e.to_string())?;
    match (Duration::from_millis(1)..=WITHIN_MAX).contains(&time) {
        true => Ok(time),
        false => Err(format!("a call may take 1ms to {}", exact(WITHIN_MAX))),
    }
}

/// Writes a time in the largest unit that keeps it readable: `1.24ms`.
pub(crate) fn show(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "m"),
        s => (s / 3600.0, "h"),
    };
    let decimals = match number {
        n if n >= 100.0 || n == n.trunc() => 0,
        n if n >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}{unit}")
}

/// Writes a time as it can be read again, to the microsecond: in the largest unit in which it is a whole number.
pub(crate) fn exact(time: Duration) -> String {
    let micros = time.as_micros();
    let units = [(3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")];
    let fitting = units.iter().find(|(scale, _)| micros.is_multiple_of(*scale));
    match (micros, fitting) {
        (0, _) => "0s".into(),
        (_, Some((scale, unit))) => format!("{}{unit}", micros / scale),
        (_, None) => format!("{micros}us"),
    }
}

/// For `#[serde(deserialize_with)]` on an optional time.
pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse(&text).map_err(de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("3m"), Ok(Duration::from_secs(180)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "5", "s", "-1s", "1e9s", "2 s", "2sec", "NaNs"] {
            assert_eq!(parse(wrong), Err(DurationError::NoTime(wrong.into())));
        }
        let too_long = parse("9000h").expect_err("it is more than a year");
        assert_eq!(too_long.to_string(), "\"9000h\" is too long: 8784h at the most");
    }

    #[test]
    fn a_time_is_written_as_it_can_be_read_again() {
        for text in ["0s", "85us", "1240us", "301s", "12345ms", "90m", "24h"] {
            assert_eq!(exact(parse(text).expect("a time")), text);
        }
        assert_eq!(exact(Duration::from_secs(300)), "5m");
    }

    #[test]
    fn a_call_takes_what_a_node_allows() {
        assert_eq!(within("300s"), Ok(WITHIN_MAX));
        for wrong in ["0s", "1us", "301s", "1h", "5"] {
            assert!(within(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_shown_in_the_unit_that_fits_it() {
        assert_eq!(show(Duration::from_micros(85)), "85us");
        assert_eq!(show(Duration::from_micros(1240)), "1.24ms");
        assert_eq!(show(Duration::from_millis(12_300)), "12.3s");
        assert_eq!(show(Duration::from_secs(600)), "10m");
        assert_eq!(show(Duration::ZERO), "0us");
    }
}
