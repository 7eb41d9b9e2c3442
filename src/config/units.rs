//! Durations and sizes as a merchant writes them: `4s`, `400d`, `10MiB`. Pure text in, value out, and back.
//!
//! Ranges live with the keys that have them; see the section readers.

use std::fmt;
use std::time::Duration;

/// Longest first, so that printing finds the largest unit that divides exactly. In milliseconds.
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Largest first, as above. In bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number and one of the units ms, s, m, h and d, such as `500ms` or `72h`.
///
/// `None` when the text has any other form, or is too long a time for 64 bits of milliseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads a whole number and one of the units B, KiB, MiB and GiB, such as `10MiB`, into bytes.
///
/// `None` when the text has any other form, or is too large for 64 bits. The decimal units (`MB`) are refused:
/// half of their readers would take them for the binary ones.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// Prints a duration so that [`parse_duration`] reads the same value, in the largest unit that divides it exactly.
///
/// Fractions of a millisecond, which no configuration can hold, are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        // 0 is divisible by every unit; "0d" would be true but odd.
        if millis == 0 { f.write_str("0s") } else { print(f, millis, &DURATION_UNITS) }
    }
}

/// Prints a number of bytes so that [`parse_size`] reads the same value, in the largest unit that divides it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeText(pub u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0B") } else { print(f, self.0, &SIZE_UNITS) }
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    // An empty number (`"s"`) fails here too.
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    match units.iter().find(|(_, factor)| value.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => write!(f, "{value}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("4s", 4_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("400d", 400 * 86_400_000),
            ("0s", 0),
            ("007s", 7_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_duration() {
        for text in [
            "",
            "4",
            "s",
            "4 s",
            " 4s",
            "4s ",
            "-4s",
            "+4s",
            "1.5h",
            "1h30m",
            "4S",
            "4sec",
            "٤s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_have_a_number_and_a_binary_unit() {
        for (text, bytes) in [("10MiB", 10 << 20), ("64KiB", 64 << 10), ("1GiB", 1 << 30), ("512B", 512), ("0B", 0)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "10", "MiB", "10MB", "10 MiB", "10mib", "1.5MiB", "-1B", "18446744073709551615KiB"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
    }

    #[test]
    fn printing_takes_the_largest_exact_unit() {
        for text in ["400d", "72h", "5m", "90s", "1500ms", "0s"] {
            let expected = if text == "72h" { "3d" } else { text };
            assert_eq!(parse_duration(text).map(|value| DurationText(value).to_string()).as_deref(), Some(expected));
        }
        assert_eq!(SizeText(10 << 20).to_string(), "10MiB");
        assert_eq!(SizeText((10 << 20) + 1).to_string(), "10485761B");
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_as_itself(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&DurationText(duration).to_string()), Some(duration));
        }

        #[test]
        fn a_printed_size_reads_as_itself(bytes in any::<u64>()) {
            prop_assert_eq!(parse_size(&SizeText(bytes).to_string()), Some(bytes));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
