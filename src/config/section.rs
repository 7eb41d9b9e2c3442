//! Reading a TOML document table by table, collecting every fault on the way instead of stopping at the first.
//!
//! A [`Section`] is asked for keys by name. What it was never asked for is unknown, and is reported when the section
//! ends, so that the readers are the only list of keys there is. What the values mean is not known here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::config::error::{ConfigError, ConfigWarning, Problem};
use crate::config::shown::{Origin, Setting, Shown, Value, quoted, rendered};
use crate::config::value::{Mismatch, kind, one_of};

/// What a configuration depends on besides its text.
pub(super) struct Surroundings {
    /// The configuration file, as the user named it; for messages.
    pub(super) file: String,
    /// The folder that relative paths start from.
    pub(super) base_dir: PathBuf,
    /// Looks up an environment variable. Handed in, because a test cannot set one without `unsafe`.
    pub(super) environment: fn(&str) -> Option<OsString>,
}

/// What reading leaves behind besides the values.
pub(super) struct Log<'t> {
    pub(super) surroundings: &'t Surroundings,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigWarning>,
    /// Whether a secret stands in the configuration file itself.
    pub(super) holds_secrets: bool,
    /// Every value that was asked for.
    pub(super) settings: Vec<Setting>,
    text: &'t str,
}

impl<'t> Log<'t> {
    pub(super) fn new(text: &'t str, surroundings: &'t Surroundings) -> Self {
        Self {
            surroundings,
            errors: Vec::new(),
            warnings: Vec::new(),
            holds_secrets: false,
            settings: Vec::new(),
            text,
        }
    }

    /// The line, counted from 1, of a byte offset.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// A table of the document, or the absence of one: then every key has its default, and those without one are missing.
pub(super) struct Section<'l, 't> {
    pub(super) log: &'l mut Log<'t>,
    table: Option<&'t DeTable<'t>>,
    path: String,
    line: Option<usize>,
    known: Vec<&'static str>,
}

/// A key that is there, with its value.
pub(super) struct Entry<'t> {
    pub(super) line: usize,
    pub(super) value: &'t DeValue<'t>,
}

impl<'l, 't> Section<'l, 't> {
    /// Reads the whole document with `read`, then reports what was not asked for.
    pub(super) fn root<T>(
        log: &'l mut Log<'t>,
        table: &'t DeTable<'t>,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        Section::read_with(log, Some(table), String::new(), None, read)
    }

    /// Takes a key for known, and returns it if it is there. What it holds is noted as a secret until somebody says that it is
    /// none.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<Entry<'t>> {
        let entry = self.find(key)?;
        self.note(key, Value::Secret, Origin::Line(entry.line));
        Some(entry)
    }

    /// Notes what a key has come to, in the place of what was noted of it before.
    pub(super) fn note(&mut self, key: &str, value: Value, origin: Origin) {
        let key = self.key_path(key);
        let setting = Setting { key, value, origin };
        match self.log.settings.iter_mut().find(|noted| noted.key == setting.key) {
            Some(noted) => *noted = setting,
            None => self.log.settings.push(setting),
        }
    }

    /// Notes a key that is not there, and what it is then.
    pub(super) fn note_default(&mut self, key: &str, value: Value) {
        self.note(key, value, Origin::Default);
    }

    /// Takes back what was noted of a key: its elements are noted one by one.
    pub(super) fn forget(&mut self, key: &str) {
        let path = self.key_path(key);
        self.log.settings.retain(|noted| noted.key != path);
    }

    fn find(&mut self, key: &'static str) -> Option<Entry<'t>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.table?.get_key_value(key)?;
        Some(Entry { line: self.log.line_at(name.span().start), value: value.get_ref() })
    }

    /// Whether the key is there. Does not make it known.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The value of a key that may be absent; `None` also when it was reported.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'t DeValue<'t>) -> Result<T, Mismatch>,
    ) -> Option<T> {
        let Some(entry) = self.find(key) else {
            self.note_default(key, Value::Nothing);
            return None;
        };
        self.note(key, Value::Text(rendered(entry.value)), Origin::Line(entry.line));
        match parse(entry.value) {
            Ok(value) => Some(value),
            Err(Mismatch { found, expected }) => {
                self.error(key, Problem::Unexpected { found, expected });
                None
            }
        }
    }

    /// The value of a key with a default. After a report the default stands in, so that reading can go on.
    pub(super) fn or_default<T: Shown>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&'t DeValue<'t>) -> Result<T, Mismatch>,
    ) -> T {
        let shown = default.shown();
        self.or_noted(key, default, shown, parse)
    }

    /// The same for one of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        let word = words.iter().find(|(_, meaning)| *meaning == default).map_or("", |(word, _)| word);
        self.or_noted(key, default, quoted(word), one_of(words))
    }

    /// The same where the default is noted so.
    pub(super) fn or_noted<T>(
        &mut self,
        key: &'static str,
        default: T,
        shown: String,
        parse: impl FnOnce(&'t DeValue<'t>) -> Result<T, Mismatch>,
    ) -> T {
        let is_there = self.has(key);
        let value = self.optional(key, parse);
        if !is_there {
            self.note_default(key, Value::Text(shown));
        }
        value.unwrap_or(default)
    }

    /// The value of a key that must be there; `None` when it was reported.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&'t DeValue<'t>) -> Result<T, Mismatch>,
    ) -> Option<T> {
        if !self.has(key) {
            self.error(key, Problem::Missing { expected: expected.to_owned() });
        }
        self.optional(key, parse)
    }

    /// A path, relative to the folder of the configuration file.
    pub(super) fn path(&mut self, key: &'static str, default: &Path) -> PathBuf {
        let written = self.optional(key, |value| match value.as_str() {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(Path::new(text)),
            _ => Err(Mismatch::new(value, "a path in quotes")),
        });
        let (is_there, path) = (self.has(key), self.log.surroundings.base_dir.join(written.unwrap_or(default)));
        let origin = self.line_of(key).filter(|_| is_there).map_or(Origin::Default, Origin::Line);
        self.note(key, Value::Text(quoted(&path.display().to_string())), origin);
        path
    }

    /// A table below this one; when it is absent, an empty one is read.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_, 't>) -> T) -> T {
        let entry = self.find(key);
        let line = entry.as_ref().map(|entry| entry.line);
        let table = entry.and_then(|entry| {
            entry.value.as_table().or_else(|| {
                let expected = format!("a table: [{}]", self.key_path(key));
                self.error(key, Problem::Unexpected { found: kind(entry.value).to_owned(), expected });
                None
            })
        });
        let path = self.key_path(key);
        Section::read_with(self.log, table, path, line, read)
    }

    /// A table below this one that may be left out altogether.
    pub(super) fn optional_section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> Option<T> {
        if self.find(key).is_none() {
            self.note_default(key, Value::Nothing);
            return None;
        }
        Some(self.section(key, read))
    }

    /// An array of tables below this one (`[[key]]`), each read by `read`; returned with the lines they start at.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_, 't>) -> T,
    ) -> Vec<(usize, T)> {
        let Some(entry) = self.find(key) else { return Vec::new() };
        let elements = entry.value.as_array().map(|array| &**array).unwrap_or_default();
        if elements.is_empty() || elements.iter().any(|element| !element.get_ref().is_table()) {
            let found = kind(entry.value).to_owned();
            self.error(key, Problem::Unexpected { found, expected: format!("one or more tables: [[{key}]]") });
        }
        let mut values = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if let Some(table) = element.get_ref().as_table() {
                let path = format!("{}[{index}]", self.key_path(key));
                let line = self.log.line_at(element.span().start);
                values.push((line, Section::read_with(self.log, Some(table), path, Some(line), &mut read)));
            }
        }
        values
    }

    /// Reports a problem of a key, at its line if it is there, else at the section's.
    pub(super) fn error(&mut self, key: &str, problem: Problem) {
        let (line, key) = (self.line_of(key), self.key_path(key));
        self.log.errors.push(ConfigError { line, key, problem });
    }

    /// Notes what the operator should know about a key.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        let line = self.line_of(key);
        self.warn_at(line, key, message);
    }

    /// As [`Section::warn`], for a key whose line the caller knows.
    pub(super) fn warn_at(&mut self, line: Option<usize>, key: &str, message: impl Into<String>) {
        let (file, key) = (self.log.surroundings.file.clone(), self.key_path(key));
        self.log.warnings.push(ConfigWarning { file, line, key, message: message.into() });
    }

    fn read_with<'s, T>(
        log: &'s mut Log<'t>,
        table: Option<&'t DeTable<'t>>,
        path: String,
        line: Option<usize>,
        read: impl FnOnce(&mut Section<'s, 't>) -> T,
    ) -> T {
        let mut section = Section { log, table, path, line, known: Vec::new() };
        let value = read(&mut section);
        section.report_unknown_keys();
        value
    }

    fn report_unknown_keys(&mut self) {
        for name in self.table.into_iter().flat_map(DeTable::keys) {
            let name: &str = name.get_ref();
            if !self.known.contains(&name) {
                let nearest = nearest(name, &self.known).map(String::from);
                self.error(name, Problem::UnknownKey { nearest, known: self.known.clone() });
            }
        }
    }

    /// The line of a key, or of its section.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        self.line_of(key)
    }

    fn line_of(&self, key: &str) -> Option<usize> {
        // A list element is named `key[0]`; its line is the key's.
        let name = key.split('[').next().unwrap_or(key);
        let entry = self.table.and_then(|table| table.get_key_value(key).or_else(|| table.get_key_value(name)));
        entry.map(|(name, _)| self.log.line_at(name.span().start)).or(self.line)
    }

    /// The full path of a key; names that are no bare TOML keys are quoted, so that nothing in them can fake a message.
    fn key_path(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '[' | ']');
        let key = if key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

/// The known key that the user most probably meant: at most a third of its letters are wrong.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(name, key), *key))
        .filter(|(distance, key)| *distance <= (key.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_only_when_it_is_near() {
        let known = ["listen", "base_path", "answer_within", "max_body"];
        assert_eq!(nearest("anwser_within", &known), Some("answer_within"));
        assert_eq!(nearest("answer-within", &known), Some("answer_within"));
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("max_bodies", &known), None);
        assert_eq!(nearest("certificate", &known), None);
        assert_eq!(nearest("", &["a"]), Some("a"));
        assert_eq!(nearest("x", &[]), None);
    }
}
