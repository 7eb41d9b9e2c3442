//! Every value in effect and where it comes from, for `koogate config show`. Secrets are never in here: what might hold one is
//! masked where it is noted.
//!
//! [`super::section::Section`] notes what it is asked for, so that no key can be forgotten. Pure.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::units::DurationText;

/// A key of the configuration with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path: `server.listen`, `product[0].url`, `keys.basic[1]`.
    pub key: String,
    /// What it is.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// A value as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// As TOML has it.
    Text(String),
    /// It is there, and nobody sees it.
    Secret,
    /// There is none.
    Nothing,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything else.
    Default,
    /// This line of the configuration file, counted from 1.
    Line(usize),
    /// The environment variable of this name, which that line names.
    Environment(String, usize),
    /// This file, which that line names.
    File(PathBuf, usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Secret => f.write_str("***"),
            Self::Nothing => f.write_str("–"),
        }
    }
}

/// A default as TOML has it.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown_as_it_is {
    ($($type:ty),*) => {
        $(impl Shown for $type {
            fn shown(&self) -> String {
                self.to_string()
            }
        })*
    };
}
shown_as_it_is!(bool, u16, u32, u64, usize, i64);

impl Shown for String {
    fn shown(&self) -> String {
        quoted(self)
    }
}

impl Shown for Vec<String> {
    fn shown(&self) -> String {
        format!("[{}]", self.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    }
}

impl Shown for SocketAddr {
    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        quoted(&DurationText(*self).to_string())
    }
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value as it was written, but for what may be a secret: what stands behind the `?` of an address, and what a program is
/// given under a telling name.
pub(super) fn rendered(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(&masked(text)),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(list) => {
            let mut is_next_secret = false;
            let items = list.iter().map(|item| {
                let hides = std::mem::take(&mut is_next_secret);
                let text = item.get_ref().as_str().unwrap_or_default();
                is_next_secret = !hides && text.starts_with('-') && !text.contains('=') && is_telling(text);
                if hides { quoted("***") } else { rendered(item.get_ref()) }
            });
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        DeValue::Table(table) => {
            let entries =
                table.iter().map(|(name, value)| format!("{} = {}", name.get_ref(), rendered(value.get_ref())));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn masked(text: &str) -> String {
    if let Some((address, query)) = text.split_once('?').filter(|_| text.contains("://"))
        && !query.is_empty()
    {
        // KooGallery's own login page has placeholders there, and they are no secret.
        return if query.contains("{appId}") { text.to_owned() } else { format!("{address}?***") };
    }
    match text.split_once('=') {
        Some((name, value)) if is_telling(name) && !value.is_empty() => format!("{name}=***"),
        _ => text.to_owned(),
    }
}

/// Whether a name is one that secrets have.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "auth", "credential"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn shown(text: &str) -> String {
        let text = format!("a = {text}");
        let table = DeTable::parse(&text).unwrap();
        rendered(table.get_ref().get("a").unwrap().get_ref())
    }

    #[test]
    fn values_are_shown_as_they_are_written_but_for_what_may_be_a_secret() {
        for (written, expected) in [
            ("4096", "4096"),
            ("true", "true"),
            ("\"a \\\"b\\\"\"", "\"a \\\"b\\\"\""),
            ("\"http://app/hook\"", "\"http://app/hook\""),
            ("\"http://app/hook?key=1234\"", "\"http://app/hook?***\""),
            ("[\"/opt/a\", \"--token=1234\", \"-v\"]", "[\"/opt/a\", \"--token=***\", \"-v\"]"),
            ("[\"/opt/a\", \"--password\", \"1234\", \"b\"]", "[\"/opt/a\", \"--password\", \"***\", \"b\"]"),
            ("{ b = 1 }", "{ b = 1 }"),
        ] {
            assert_eq!(shown(written), expected);
        }
    }

    #[test]
    fn defaults_are_shown_as_they_would_be_written() {
        assert_eq!(Duration::from_secs(4).shown(), "\"4s\"");
        assert_eq!(SocketAddr::from(([127, 0, 0, 1], 80)).shown(), "\"127.0.0.1:80\"");
        assert_eq!(256_usize.shown(), "256");
        assert_eq!(vec!["a".to_owned(), "b".to_owned()].shown(), "[\"a\", \"b\"]");
    }
}
