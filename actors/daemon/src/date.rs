//! The time of day, for what holds until a date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// Now.
#[expect(clippy::disallowed_methods, reason = "certificates hold until a date, and no node runs here")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// As RFC 3339 writes it in UTC, `2031-05-06T07:08:09Z`. Times before 1970 are shown as its beginning.
pub(crate) fn show(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / DAY);
    let rest = seconds % DAY;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Whole days from one time to a later one; negative when it is earlier.
pub(crate) fn days_between(from: SystemTime, to: SystemTime) -> i64 {
    let days = |span: Duration| i64::try_from(span.as_secs() / DAY).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(ahead) => days(ahead),
        Err(behind) => -days(behind.duration()) - 1,
    }
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level
/// date algorithms": years begin in March, so that the leap day is their last).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_with_its_date() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_893_456_000, "2030-01-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(show(UNIX_EPOCH + Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn what_is_over_has_negative_days_left() {
        let at = |days: u64, seconds: u64| UNIX_EPOCH + Duration::from_secs(days * DAY + seconds);
        assert_eq!(days_between(at(10, 0), at(12, 0)), 2);
        assert_eq!(days_between(at(10, 0), at(10, 5)), 0);
        assert_eq!(days_between(at(10, 5), at(10, 0)), -1);
        assert_eq!(days_between(at(12, 5), at(10, 0)), -3);
    }
}
