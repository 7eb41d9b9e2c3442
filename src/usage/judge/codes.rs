//! Finds the codes of single records in the `data` of an answer, whose shape is not documented (spec 5-open-api §6.3).
//!
//! A code counts for a record only where the data ties the two together: an object that names the record (by
//! `metering_sn`, or by instance and begin) and holds a code, a member named by a `metering_sn` or by a code, or a list
//! with one code for each record of the batch. Of a batch of one, any code is that record's. A number is a code only where
//! something says so: a count or an index must not read as 005, which would mean that the record has arrived.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::usage::batch::{Record, time};

/// The record codes that are documented. Others of three digits are taken where a member says that it is a code.
const KNOWN: [&str; 12] = ["001", "002", "003", "004", "005", "006", "007", "009", "010", "011", "012", "013"];

/// Members of a record, whose values are no codes.
const OF_A_RECORD: [&str; 8] =
    ["usagevalue", "instanceid", "productid", "meteringsn", "begintime", "endtime", "recordtime", "relatepkginstance"];

/// The code of each record of the batch, where one is found in the raw data.
pub(super) fn find(batch: &[Record], data: &str) -> Vec<Option<String>> {
    let mut finder = Finder {
        by_sn: batch.iter().enumerate().map(|(place, record)| (record.metering_sn.as_str(), place)).collect(),
        by_window: HashMap::new(),
        found: vec![None; batch.len()],
    };
    for (place, record) in batch.iter().enumerate() {
        finder.by_window.entry((&record.instance_id, time(record.window.begin))).or_default().push(place);
    }
    let Ok(mut data) = serde_json::from_str::<Value>(data) else { return finder.found };
    // A JSON text inside of the JSON, as KooGallery writes elsewhere (license_code_info).
    if let Value::String(text) = &data
        && let Ok(inner) = serde_json::from_str(text)
    {
        data = inner;
    }
    finder.walk(batch, &data);
    if finder.found.iter().all(Option::is_none) {
        finder.walk_parallel(batch.len(), &data, false);
    }
    if let [None] = finder.found[..] {
        finder.found = vec![any_code(&data)];
    }
    finder.found
}

struct Finder<'b> {
    by_sn: HashMap<&'b str, usize>,
    by_window: HashMap<(&'b str, String), Vec<usize>>,
    found: Vec<Option<String>>,
}

impl Finder<'_> {
    /// Looks for whatever ties a record to a code. (The reader has bounded how deep the data goes.)
    fn walk(&mut self, batch: &[Record], value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(batch, item)),
            Value::Object(object) => {
                if let Some((place, code)) = self.tied(batch, object) {
                    self.note(place, code);
                }
                for (name, value) in object {
                    if let (Some(&place), Some(code)) = (self.by_sn.get(name.as_str()), code_within(value, true)) {
                        self.note(place, code);
                    }
                    if KNOWN.contains(&name.as_str()) {
                        self.note_all(batch, value, name);
                    }
                    self.walk(batch, value);
                }
            }
            _ => {}
        }
    }

    /// Lists beside the batch: one code, or one object with a code, for each record. `is_called_code`: the member says that
    /// it holds codes.
    fn walk_parallel(&mut self, records: usize, value: &Value, is_called_code: bool) {
        match value {
            Value::Array(items) => {
                let codes: Vec<_> = items.iter().map(|item| code_within(item, is_called_code)).collect();
                if items.len() == records && codes.iter().any(Option::is_some) {
                    for (place, code) in codes.into_iter().enumerate() {
                        code.into_iter().for_each(|code| self.note(place, code));
                    }
                } else {
                    items.iter().for_each(|item| self.walk_parallel(records, item, is_called_code));
                }
            }
            Value::Object(object) => {
                object.iter().for_each(|(name, value)| self.walk_parallel(records, value, is_code_name(name)));
            }
            _ => {}
        }
    }

    /// `{"013": ["sn", {"metering_sn": "sn"}]}`.
    fn note_all(&mut self, batch: &[Record], value: &Value, code: &str) {
        let items = if let Value::Array(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
        for item in items {
            let place = match item {
                Value::String(sn) => self.by_sn.get(sn.as_str()).copied(),
                Value::Object(object) => self.named(batch, object),
                _ => None,
            };
            place.into_iter().for_each(|place| self.note(place, code.to_owned()));
        }
    }

    fn note(&mut self, place: usize, code: String) {
        // The first counts; a success code is no finding.
        if let Some(found @ None) = self.found.get_mut(place)
            && code != "000"
        {
            *found = Some(code);
        }
    }

    /// The record that an object names and the code that goes with it. `{"record": {…}, "error": {…}}` ties the two,
    /// too, where there is only one of each.
    fn tied(&self, batch: &[Record], object: &Map<String, Value>) -> Option<(usize, String)> {
        if let Some(place) = self.named(batch, object) {
            let deeper = || object.values().filter(|value| !value.is_string()).find_map(any_code);
            return Some((place, code_in(object).or_else(deeper)?));
        }
        let inner = || object.values().filter_map(Value::as_object);
        let place = only(inner().filter_map(|inner| self.named(batch, inner)))?;
        Some((place, code_in(object).or_else(|| only(inner().filter_map(code_in)))?))
    }

    fn named(&self, batch: &[Record], object: &Map<String, Value>) -> Option<usize> {
        let texts = || object.values().filter_map(Value::as_str);
        if let Some(place) = texts().find_map(|text| self.by_sn.get(text)) {
            return Some(*place);
        }
        let text =
            |wanted: &str| object.iter().find(|(name, _)| plain(name) == wanted).and_then(|(_, value)| value.as_str());
        let begin = text("begintime")?;
        let places = self.by_window.get(&(text("instanceid")?, begin.to_owned()))?;
        let ends_then = |place: &&usize| text("endtime").is_none_or(|end| time(batch[**place].window.end) == end);
        places.iter().find(ends_then).copied()
    }
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

/// A member that says that it is a code, or else one that holds a documented one.
fn code_in(object: &Map<String, Value>) -> Option<String> {
    let others = || object.iter().filter(|(name, _)| !OF_A_RECORD.contains(&plain(name).as_str()));
    let says_so = others().filter(|(name, _)| is_code_name(name)).find_map(|(_, value)| code(value));
    says_so.or_else(|| others().find_map(|(_, value)| known_text(value)))
}

/// The code that a value is, as a number only where `is_called_code`; or that an object holds.
fn code_within(value: &Value, is_called_code: bool) -> Option<String> {
    match value {
        Value::Object(object) => code_in(object),
        Value::Number(_) if !is_called_code => None,
        other => code(other),
    }
}

/// A documented code as a text.
fn known_text(value: &Value) -> Option<String> {
    code(value).filter(|code| value.is_string() && KNOWN.contains(&code.as_str()))
}

fn is_code_name(name: &str) -> bool {
    plain(name).contains("code")
}

/// A documented code anywhere, or one where a member says so.
fn any_code(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => items.iter().find_map(any_code),
        Value::Object(object) => code_in(object).or_else(|| object.values().find_map(any_code)),
        other => known_text(other),
    }
}

/// Three digits, as a text or as a number that has lost its zeros.
fn code(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let bare = super::bare(text);
            (bare.len() == 3 && bare.bytes().all(|byte| byte.is_ascii_digit())).then_some(bare)
        }
        Value::Number(number) => number.as_u64().filter(|code| *code < 1000).map(|code| format!("{code:03}")),
        _ => None,
    }
}

/// A member's name without case and separators: `metering_sn` and `meteringSn` are one.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}
