//! The wire's compact date formats: `yyyyMMddHHmmss` and `yyyyMMddHHmmssSSS` (spec README §9).
//!
//! Which member uses which zone is said by the families of calls; what is not said is UTC. Clocks are read elsewhere.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A text that is no date of the wire.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimeError {
    /// Not 14 or 17 ASCII digits.
    #[error("a time must be 14 digits (yyyyMMddHHmmss) or 17 digits (yyyyMMddHHmmssSSS)")]
    Form,
    /// The digits name a month, day, hour, minute or second that does not exist.
    #[error("the time names a date or a time of day that does not exist")]
    Range,
}

/// Reads 14 or 17 digits as UTC.
///
/// # Errors
/// As [`parse_at`].
pub fn parse(text: &str) -> Result<Timestamp, TimeError> {
    parse_at(text, Offset::UTC)
}

/// Reads 14 or 17 digits as the local time of a fixed offset (the kit's times are UTC+8).
///
/// The last hours of the year 9999, the usual way to say "never", lie beyond the greatest instant we can hold and become
/// that instant.
///
/// # Errors
/// [`TimeError`] when the form is another or the date does not exist.
pub fn parse_at(text: &str, offset: Offset) -> Result<Timestamp, TimeError> {
    if !matches!(text.len(), 14 | 17) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeError::Form);
    }
    // Parts have at most four digits, so every one fits its type; the range of each is for jiff to judge.
    let part = |from: usize, to: usize| text[from..to].parse::<i16>().map_err(|_| TimeError::Form);
    let small = |from: usize, to: usize| text[from..to].parse::<i8>().map_err(|_| TimeError::Form);
    let milliseconds = if text.len() == 17 { part(14, 17)? } else { 0 };
    let civil = DateTime::new(
        part(0, 4)?,
        small(4, 6)?,
        small(6, 8)?,
        small(8, 10)?,
        small(10, 12)?,
        small(12, 14)?,
        i32::from(milliseconds) * 1_000_000,
    )
    .map_err(|_| TimeError::Range)?;
    // Of the years that four digits can say, only the last hours of 9999 are beyond any instant.
    Ok(offset.to_timestamp(civil).unwrap_or(Timestamp::MAX))
}

/// Reads `yyyy-MM-dd HH:mm:ss` with or without a `z` behind it, or the compact forms, as UTC (spec 4-license §4.5).
///
/// # Errors
/// As [`parse_at`].
pub fn parse_spaced(text: &str) -> Result<Timestamp, TimeError> {
    let plain = text.strip_suffix(['z', 'Z']).map_or(text, str::trim_end);
    let bytes = plain.as_bytes();
    let separated = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if bytes.len() != 19 || separated.iter().any(|(at, separator)| bytes[*at] != *separator) {
        return parse(text);
    }
    parse(&plain.replace(['-', ' ', ':'], ""))
}

/// Writes `yyyyMMddHHmmss`, UTC; what is below a second is cut off.
pub fn print_seconds(instant: Timestamp) -> String {
    instant.strftime("%Y%m%d%H%M%S").to_string()
}

/// Writes `yyyyMMddHHmmssSSS`, UTC, as `statisticalTime` wants it; what is below a millisecond is cut off.
pub fn print_milliseconds(instant: Timestamp) -> String {
    instant.strftime("%Y%m%d%H%M%S%3f").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<&str, TimeError>) {
        let expected = expected.map(|rfc3339| rfc3339.parse::<Timestamp>().unwrap());
        assert_eq!(parse(text), expected, "{text}");
    }

    #[test]
    fn both_lengths_are_read_as_utc() {
        check("20221124023618", Ok("2022-11-24T02:36:18Z"));
        check("20221124023618256", Ok("2022-11-24T02:36:18.256Z"));
        check("20240229000000", Ok("2024-02-29T00:00:00Z"));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "2022112402361", "202211240236182", "2022-11-24T02:36:18Z", "+2022112402361", "２０２２1124023618"]
        {
            check(text, Err(TimeError::Form));
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in
            ["20230229000000", "20231301000000", "20230100000000", "20230101240000", "20230101006000", "20230101000060"]
        {
            check(text, Err(TimeError::Range));
        }
    }

    #[test]
    fn licence_times_have_separators_and_may_end_in_z() {
        let expected = Ok("2023-10-27T10:30:15Z".parse::<Timestamp>().unwrap());
        for text in [
            "2023-10-27 10:30:15 z",
            "2023-10-27 10:30:15z",
            "2023-10-27 10:30:15 Z",
            "2023-10-27 10:30:15",
            "20231027103015",
        ] {
            assert_eq!(parse_spaced(text), expected, "{text}");
        }
        for text in ["2023-10-27", "2023-10-27T10:30:15", "2023-10-27 10:30:15+08", "z", "", "2023:10:27 10:30:15"] {
            assert_eq!(parse_spaced(text), Err(TimeError::Form), "{text}");
        }
        assert_eq!(parse_spaced("2023-02-29 10:30:15 z"), Err(TimeError::Range));
    }

    #[test]
    fn an_offset_moves_the_instant() {
        let beijing = parse_at("20220413093539534", Offset::constant(8)).unwrap();
        assert_eq!(beijing, "2022-04-13T01:35:39.534Z".parse().unwrap());
    }

    #[test]
    fn the_end_of_the_year_9999_means_never_and_is_not_refused() {
        check("99991231235959", Ok(&Timestamp::MAX.to_string()));
        assert_eq!(parse_at("99991231235959999", Offset::constant(-8)), Ok(Timestamp::MAX));
        check("99990101000000", Ok("9999-01-01T00:00:00Z"));
        // The other end of what four digits can say is an instant, in any zone.
        assert_eq!(parse_at("00000101000000", Offset::MAX), Ok("-000001-12-30T22:00:01Z".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(milliseconds in 0_i64..253_370_764_800_000) {
            let instant = Timestamp::from_millisecond(milliseconds).unwrap();
            prop_assert_eq!(parse(&print_milliseconds(instant)), Ok(instant));
            let second = Timestamp::from_second(milliseconds / 1000).unwrap();
            prop_assert_eq!(parse(&print_seconds(instant)), Ok(second));
        }

        #[test]
        fn any_text_is_taken_without_a_panic(text in any::<String>()) {
            let _ = parse(&text);
            let _ = parse_spaced(&text);
        }

        #[test]
        fn any_digits_are_taken_without_a_panic(text in "[0-9]{14}|[0-9]{17}") {
            let _ = parse(&text);
        }
    }
}
