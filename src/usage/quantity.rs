//! How much was used: a positive decimal number with at most four decimals, never a float.

use std::fmt;
use std::str::FromStr;

use serde_json::Number;

/// Four decimals (spec 5-open-api §6.1).
const PARTS: i64 = 10_000;

/// Digits before the point of one value. The sum of an instance is kept in 64 bits and stays below 9.2 · 10¹⁴, so that
/// more than 900 of the greatest values fit; a report beyond is refused ([`super::UsageFault::TotalTooLarge`]).
const MAX_WHOLE_DIGITS: usize = 12;

/// Nobody writes a number so long, zeros at both ends included.
const MAX_TEXT: usize = 64;

/// Digits in all of a number in the answer to `queryInstance` (Double(12,4), spec 1-basic-v2 §4.2).
const TOLD_DIGITS: u32 = 12;

/// A positive amount in ten-thousandths; its text is canonical: no needless zeros, at most 17 of the wire's 20
/// characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i64);

/// A text that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityFault {
    /// No plain decimal number.
    #[error("write it as a plain decimal number such as 99.1234: digits and at most one point, no exponent, no sign")]
    Form,
    /// Zero or less.
    #[error("it must be greater than 0; report no record for a time in which nothing was used")]
    NotPositive,
    /// Finer than KooGallery counts.
    #[error("it has more than 4 decimals; round it to 4, the way your price list says")]
    TooManyDecimals,
    /// More than can be added up.
    #[error("it has more than {MAX_WHOLE_DIGITS} digits before the point; report in the unit that KooGallery bills")]
    TooLarge,
}

impl Quantity {
    /// The amount in ten-thousandths.
    pub fn parts(self) -> i64 {
        self.0
    }
}

impl FromStr for Quantity {
    type Err = QuantityFault;

    /// Reads a text or the literal of a JSON number. Zeros that say nothing are dropped, so `1.00000` is 1.
    fn from_str(text: &str) -> Result<Self, QuantityFault> {
        if text.len() > MAX_TEXT {
            return Err(QuantityFault::Form);
        }
        let (negative, plain) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, decimals) = plain.split_once('.').unwrap_or((plain, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(decimals) {
            return Err(QuantityFault::Form);
        }
        let (whole, decimals) = (whole.trim_start_matches('0'), decimals.trim_end_matches('0'));
        if negative || (whole.is_empty() && decimals.is_empty()) {
            return Err(QuantityFault::NotPositive);
        }
        if decimals.len() > 4 {
            return Err(QuantityFault::TooManyDecimals);
        }
        if whole.len() > MAX_WHOLE_DIGITS {
            return Err(QuantityFault::TooLarge);
        }
        // At most 16 digits, which fit.
        format!("{whole}{decimals:0<4}").parse().map(Self).map_err(|_| QuantityFault::TooLarge)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self.0))
    }
}

/// Ten-thousandths, not negative, as a decimal number without needless zeros.
fn print(parts: i64) -> String {
    let (whole, rest) = (parts / PARTS, parts % PARTS);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:04}").trim_end_matches('0').to_owned() }
}

/// A running total in ten-thousandths as the JSON number of `queryInstance`: at most 12 digits, 4 of them decimals.
/// Where that is not enough the last decimals are left out, and the greatest number stands for all beyond it.
///
/// A number of at most 15 digits survives the way through an `f64`: its shortest form is itself.
pub fn told(total: i64) -> Number {
    let total = total.max(0);
    let whole = total / PARTS;
    let digits = whole.checked_ilog10().map_or(0, |log| log + 1);
    let Some(spare) = TOLD_DIGITS.checked_sub(digits) else {
        return Number::from(10_i64.pow(TOLD_DIGITS) - 1);
    };
    let grain = 10_i64.pow(4 - spare.min(4));
    let kept = total / grain * grain;
    if kept % PARTS == 0 {
        return Number::from(whole);
    }
    let float = print(kept).parse().ok().and_then(Number::from_f64);
    float.unwrap_or_else(|| Number::from(whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<&str, QuantityFault>) {
        let read = text.parse::<Quantity>().map(|quantity| quantity.to_string());
        assert_eq!(read, expected.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn amounts_are_read_and_written_without_needless_zeros() {
        for (text, expected) in [
            ("1", "1"),
            ("0.0001", "0.0001"),
            ("99.1234", "99.1234"),
            ("007.5000", "7.5"),
            ("10", "10"),
            ("1.00000", "1"),
            ("999999999999.9999", "999999999999.9999"),
        ] {
            check(text, Ok(expected));
        }
        assert_eq!("99.1234".parse::<Quantity>().map(Quantity::parts), Ok(991_234));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "1e3", "1E3", "+1", ".5", "5.", "1.2.3", " 1", "1,5", "0x1", "NaN", "一", "--1", "1 000"] {
            check(text, Err(QuantityFault::Form));
        }
        for text in ["0", "0.0000", "-1", "-0.5", "-0"] {
            check(text, Err(QuantityFault::NotPositive));
        }
        check("0.00001", Err(QuantityFault::TooManyDecimals));
        check("1000000000000", Err(QuantityFault::TooLarge));
        check(&"0".repeat(65), Err(QuantityFault::Form));
    }

    #[test]
    fn totals_are_told_with_at_most_twelve_digits() {
        for (total, expected) in [
            (0, "0"),
            (1, "0.0001"),
            (5_000, "0.5"),
            (999_999_999_999, "99999999.9999"),
            (1_234_567_891_234, "123456789.123"),
            (1_234_567_890_009, "123456789"),
            (9_999_999_999_999_999, "999999999999"),
            (i64::MAX, "999999999999"),
        ] {
            assert_eq!(told(total).to_string(), expected, "{total}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_comes_back_and_fits_its_member(parts in 1..10_i64.pow(16)) {
            let text = Quantity(parts).to_string();
            prop_assert!(text.len() <= 20, "{}", text);
            prop_assert_eq!(text.parse::<Quantity>(), Ok(Quantity(parts)));
        }

        #[test]
        fn zeros_around_an_amount_say_nothing(parts in 1..10_i64.pow(16), before in 0..9_usize, after in 0..9_usize) {
            let text = Quantity(parts).to_string();
            let point = if text.contains('.') { "" } else { "." };
            let padded = format!("{}{text}{point}{}", "0".repeat(before), "0".repeat(after + 1));
            prop_assert_eq!(padded.parse::<Quantity>(), Ok(Quantity(parts)));
        }

        #[test]
        fn any_text_is_taken_without_a_panic(text in ".{0,80}|[0-9.eE+-]{0,40}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert!(quantity.parts() > 0);
            }
        }

        #[test]
        fn a_total_of_twelve_digits_is_told_exactly(total in 0..10_i64.pow(12)) {
            prop_assert_eq!(serde_json::to_string(&told(total)).unwrap(), print(total));
        }

        #[test]
        fn a_greater_total_is_never_told_as_more_than_it_is(total in 10_i64.pow(12)..i64::MAX) {
            let text = told(total).to_string();
            prop_assert!(text.bytes().filter(u8::is_ascii_digit).count() <= 12, "{}", text);
            prop_assert!(text.parse::<Quantity>().unwrap().parts() <= total);
        }
    }
}
