//! Tolerant reading of a request's members: absent, `null` and `""` mean the same, numbers and numeric texts are
//! interchangeable, so are `true` and `"true"` (reading rules of the protocol, §7.3).

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value};

use crate::protocol::time;

/// A member is missing or ill-formed; the text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    /// Absent, `null` or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Present, but not of the form it must have.
    #[error("{name} {expected}")]
    IllFormed {
        /// Its name.
        name: &'static str,
        /// What it must be, as the end of a sentence.
        expected: String,
    },
}

/// The members of a request.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a>(pub &'a Map<String, Value>);

impl<'a> Members<'a> {
    /// A scalar as text; `None` when absent, `null` or empty.
    ///
    /// # Errors
    /// When the member is an object or an array.
    pub fn text(self, name: &'static str) -> Result<Option<Cow<'a, str>>, MemberFault> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then_some(Cow::Borrowed(text))),
            Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
            Some(Value::Bool(flag)) => Ok(Some(Cow::Owned(flag.to_string()))),
            Some(Value::Array(_) | Value::Object(_)) => {
                Err(MemberFault::IllFormed { name, expected: "must be a text".to_owned() })
            }
        }
    }

    /// An optional text of one's own.
    ///
    /// # Errors
    /// As [`Members::text`].
    pub fn optional(self, name: &'static str) -> Result<Option<String>, MemberFault> {
        Ok(self.text(name)?.map(Cow::into_owned))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// As [`Members::text`], and when it is absent, `null` or empty.
    pub fn required(self, name: &'static str) -> Result<String, MemberFault> {
        self.optional(name)?.ok_or(MemberFault::Missing(name))
    }

    /// A date of 14 or 17 digits in UTC that must be there.
    ///
    /// # Errors
    /// As [`Members::required`], and when it is no date.
    pub fn required_time(self, name: &'static str) -> Result<Timestamp, MemberFault> {
        self.time_at(name, Offset::UTC)?.ok_or(MemberFault::Missing(name))
    }

    /// A date of 14 or 17 digits in a zone.
    ///
    /// # Errors
    /// As [`Members::text`], and when it is no date.
    pub fn time_at(self, name: &'static str, offset: Offset) -> Result<Option<Timestamp>, MemberFault> {
        self.time_by(name, |text| time::parse_at(text, offset))
    }

    /// A date with separators, as licences have it.
    ///
    /// # Errors
    /// As [`Members::text`], and when it is no date.
    pub fn spaced_time(self, name: &'static str) -> Result<Option<Timestamp>, MemberFault> {
        self.time_by(name, time::parse_spaced)
    }

    fn time_by(
        self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<Timestamp, time::TimeError>,
    ) -> Result<Option<Timestamp>, MemberFault> {
        let parsed = self.text(name)?.map(|text| parse(&text)).transpose();
        parsed.map_err(|fault| MemberFault::IllFormed { name, expected: format!("is no date: {fault}") })
    }

    /// A whole number, not negative.
    ///
    /// # Errors
    /// As [`Members::text`], and when it is another number or none.
    pub fn whole_number<T: std::str::FromStr>(self, name: &'static str) -> Result<Option<T>, MemberFault> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.map(Some).ok_or_else(|| MemberFault::IllFormed { name, expected: "must be a whole number".to_owned() })
    }

    /// A decimal number such as `-12.780`, as its text: an amount of money must not pass through binary fractions.
    ///
    /// # Errors
    /// As [`Members::text`], and when it is no such number.
    pub fn decimal(self, name: &'static str) -> Result<Option<String>, MemberFault> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits(whole) && digits(fraction) {
            Ok(Some(text.into_owned()))
        } else {
            Err(MemberFault::IllFormed { name, expected: "must be a decimal number".to_owned() })
        }
    }

    /// Whether this is a test call: `testFlag` is `1`, as text or number; everything else is real.
    pub fn is_test(self) -> bool {
        matches!(self.text("testFlag"), Ok(Some(flag)) if flag == "1")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_flag_of_one_is_a_test() {
        for (flag, expected) in [
            (json!("1"), true),
            (json!(1), true),
            (json!("0"), false),
            (json!(0), false),
            (json!(null), false),
            (json!("true"), false),
            (json!(true), false),
            (json!(["1"]), false),
        ] {
            let map = json!({ "testFlag": flag }).as_object().unwrap().clone();
            assert_eq!(Members(&map).is_test(), expected, "{flag}");
        }
    }

    #[test]
    fn absent_null_and_empty_are_the_same_and_numbers_are_texts() {
        let map = json!({"a": null, "b": "", "c": 12, "d": true, "e": {}}).as_object().unwrap().clone();
        let members = Members(&map);
        for name in ["a", "b", "x"] {
            assert_eq!(members.optional(name), Ok(None));
            assert_eq!(members.required(name), Err(MemberFault::Missing(name)));
        }
        assert_eq!(members.required("c").as_deref(), Ok("12"));
        assert_eq!(members.required("d").as_deref(), Ok("true"));
        assert_eq!(members.required("e").unwrap_err().to_string(), "e must be a text");
    }

    #[test]
    fn dates_are_read_in_their_zone_or_named_when_they_are_none() {
        let map =
            json!({"a": "20270131000000", "b": 20270131000000_i64, "c": "", "d": "soon", "e": "2027-01-31 00:00:00 z"});
        let map = map.as_object().unwrap().clone();
        let members = Members(&map);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (utc, beijing) = (at("2027-01-31T00:00:00Z"), at("2027-01-30T16:00:00Z"));
        for name in ["a", "b"] {
            assert_eq!(members.required_time(name), Ok(utc));
            assert_eq!(members.time_at(name, Offset::constant(8)), Ok(Some(beijing)));
            assert_eq!(members.spaced_time(name), Ok(Some(utc)));
        }
        assert_eq!(members.spaced_time("e"), Ok(Some(utc)));
        assert_eq!(members.time_at("c", Offset::UTC), Ok(None));
        assert_eq!(members.spaced_time("c"), Ok(None));
        assert_eq!(members.required_time("c"), Err(MemberFault::Missing("c")));
        for name in ["d", "e"] {
            let fault = members.required_time(name).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("{name} is no date: ")), "{fault}");
        }
    }

    #[test]
    fn numbers_are_read_to_the_digit_or_refused() {
        let map = json!({"a": "10", "b": 7, "c": "-1", "d": "1e3", "e": "12.780", "f": "-0.5", "g": 12.5, "h": ".5"});
        let map = map.as_object().unwrap().clone();
        let members = Members(&map);
        assert_eq!(members.whole_number::<u64>("a"), Ok(Some(10)));
        assert_eq!(members.whole_number::<u32>("b"), Ok(Some(7)));
        assert_eq!(members.whole_number::<u32>("x"), Ok(None));
        for name in ["c", "d", "e"] {
            assert!(members.whole_number::<u64>(name).is_err(), "{name}");
        }
        assert_eq!(members.decimal("e"), Ok(Some("12.780".to_owned())));
        assert_eq!(members.decimal("f"), Ok(Some("-0.5".to_owned())));
        assert_eq!(members.decimal("g"), Ok(Some("12.5".to_owned())));
        assert!(members.decimal("h").is_err() && members.decimal("d").is_err());
    }
}
