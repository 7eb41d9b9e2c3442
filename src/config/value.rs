//! Single TOML values into the types the program uses: each function takes the value as written and returns what it
//! means, or a [`Mismatch`] that says what was found and what is expected. Pure.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::units::{DurationText, SizeText, parse_duration, parse_size};

/// A value that cannot be used: what stands there and what may stand there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) found: String,
    pub(super) expected: String,
}

impl Mismatch {
    pub(super) fn new(value: &DeValue<'_>, expected: impl Into<String>) -> Self {
        Self { found: describe(value), expected: expected.into() }
    }
}

pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Mismatch> {
    value.as_str().ok_or_else(|| Mismatch::new(value, "a text in quotes"))
}

/// A text of 1 to `longest` characters, without control characters and without blanks around it.
pub(super) fn short_text(longest: usize) -> impl Fn(&DeValue<'_>) -> Result<String, Mismatch> {
    move |value| {
        let good = |text: &&str| {
            (1..=longest).contains(&text.chars().count()) && text.trim() == *text && !text.contains(char::is_control)
        };
        value.as_str().filter(good).map(String::from).ok_or_else(|| {
            Mismatch::new(value, format!("a text of 1 to {longest} characters, without blanks around it"))
        })
    }
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Mismatch> {
    value.as_bool().ok_or_else(|| Mismatch::new(value, "true or false"))
}

pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Result<T, Mismatch>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        plain_integer(value)
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| Mismatch::new(value, format!("a whole number from {} to {}", range.start(), range.end())))
    }
}

pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Result<Duration, Mismatch> {
    move |value| {
        value.as_str().and_then(parse_duration).filter(|duration| range.contains(duration)).ok_or_else(|| {
            let (from, to) = (DurationText(*range.start()), DurationText(*range.end()));
            Mismatch::new(value, format!("a duration from \"{from}\" to \"{to}\" (units ms, s, m, h, d)"))
        })
    }
}

/// A size in bytes: a text with a unit, or a plain integer.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, Mismatch> {
    move |value| {
        let bytes = match value {
            DeValue::String(text) => parse_size(text),
            other => plain_integer(other).and_then(|number| u64::try_from(number).ok()),
        };
        bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| {
            let (from, to) = (SizeText(*range.start()), SizeText(*range.end()));
            Mismatch::new(value, format!("a size from \"{from}\" to \"{to}\" (units B, KiB, MiB, GiB)"))
        })
    }
}

/// One of a few words, each with its meaning.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, Mismatch> {
    move |value| {
        let meaning = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        meaning
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| Mismatch::new(value, any_of(words.iter().map(|(word, _)| *word))))
    }
}

/// Words in quotes as a choice: `"a", "b" or "c"`.
pub(super) fn any_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.map(|word| format!("\"{word}\"")).collect();
    match words.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

/// A list with at least one element, each read by `element`; the first element that cannot be read is the mismatch.
pub(super) fn list<T>(
    element: impl Fn(&DeValue<'_>) -> Result<T, Mismatch>,
) -> impl Fn(&DeValue<'_>) -> Result<Vec<T>, Mismatch> {
    move |value| match value.as_array() {
        Some(array) if !array.is_empty() => array.iter().map(|item| element(item.get_ref())).collect(),
        _ => Err(Mismatch::new(value, "a list with at least one element in [ ]")),
    }
}

/// What stands there, for a message: never more than 60 characters of it, and one line.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    const SHOWN: usize = 60;
    match value {
        DeValue::String(text) if text.chars().count() <= SHOWN => format!("{text:?}"),
        DeValue::String(text) => format!("{:?}…", text.chars().take(SHOWN).collect::<String>()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        other => kind(other).to_owned(),
    }
}

/// The type of what stands there, for messages about values that must not be shown.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(array) if array.is_empty() => "an empty list",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn plain_integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
