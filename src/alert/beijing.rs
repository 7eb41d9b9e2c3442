//! Half days and months in Beijing time, which has had no summer time since 1991: KooGallery's test calls come in the
//! morning and in the afternoon, and its limit of failed orders is one of a month.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::Offset;

const OFFSET: Offset = Offset::constant(8);
const OFFSET_MS: i64 = 8 * 3_600_000;
const HALF_DAY_MS: i64 = 12 * 3_600_000;

/// Which half day an instant belongs to, counted from 1970-01-01 00:00 in Beijing; even ones are mornings.
pub fn half_day(at: Timestamp) -> i64 {
    (at.as_millisecond() + OFFSET_MS).div_euclid(HALF_DAY_MS)
}

/// When a half day begins.
pub fn begin_of(half_day: i64) -> Timestamp {
    let millis = half_day.saturating_mul(HALF_DAY_MS).saturating_sub(OFFSET_MS);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN)
}

/// The calendar day of a half day, and whether it is its afternoon.
pub fn day_of(half_day: i64) -> (Date, bool) {
    (OFFSET.to_datetime(begin_of(half_day)).date(), half_day.rem_euclid(2) == 1)
}

/// The month of an instant: its name, `2026-11`, and when it began.
pub fn month(at: Timestamp) -> (String, Timestamp) {
    let day = OFFSET.to_datetime(at).date();
    let first = date(day.year(), day.month(), 1).at(0, 0, 0, 0);
    (format!("{:04}-{:02}", day.year(), day.month()), OFFSET.to_timestamp(first).unwrap_or(Timestamp::MIN))
}

/// For people: `2026-11-26 14:05` in Beijing.
pub fn written(at: Timestamp) -> String {
    OFFSET.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn half_days_and_months_change_at_beijings_noon_and_midnight() {
        let (before, after) = (half_day(at("2026-11-26T03:59:59.999Z")), half_day(at("2026-11-26T04:00:00Z")));
        assert_eq!(after, before + 1);
        assert_eq!((day_of(before), day_of(after)), ((date(2026, 11, 26), false), (date(2026, 11, 26), true)));
        assert_eq!(day_of(half_day(at("2026-11-26T16:00:00Z"))), (date(2026, 11, 27), false));
        assert_eq!(begin_of(after), at("2026-11-26T04:00:00Z"));
        assert_eq!(month(at("2026-11-30T15:59:59Z")), ("2026-11".to_owned(), at("2026-10-31T16:00:00Z")));
        assert_eq!(month(at("2026-11-30T16:00:00Z")).0, "2026-12");
        assert_eq!(written(at("2026-11-26T06:05:59Z")), "2026-11-26 14:05");
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_half_day_and_month(ms in 0_i64..4_000_000_000_000) {
            let at = Timestamp::from_millisecond(ms).unwrap();
            let half = half_day(at);
            prop_assert!(begin_of(half) <= at && at < begin_of(half + 1));
            prop_assert!(month(at).1 <= at);
        }
    }
}
