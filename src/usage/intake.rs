//! Reports as the local API takes them: `{"records":[{…}, …]}`, or one alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{RawReport, Report, UsageFault};

/// Reports in one request.
pub const MOST: usize = 1000;

/// A body that holds no reports.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeFault {
    /// Not JSON, or not of this form.
    #[error("the body must be {{\"records\":[…]}} or one record, a JSON object: {0}")]
    Form(String),
    /// Nothing in it.
    #[error("records is empty")]
    Empty,
    /// Too much at once.
    #[error("there are {0} records; at most {MOST} are taken at once")]
    TooMany(usize),
}

/// What a body holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Intake {
    /// One report alone.
    One(Result<Report, UsageFault>),
    /// A list, in its order; what is wrong with one says nothing about the others.
    Many(Vec<Result<Report, UsageFault>>),
}

/// Reads a body.
///
/// # Errors
/// When it is no list of reports and no report.
pub fn read(body: &[u8]) -> Result<Intake, IntakeFault> {
    let form = |error: &dyn std::fmt::Display| IntakeFault::Form(error.to_string());
    let text = std::str::from_utf8(body).map_err(|error| form(&error))?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| form(&error))?;
    if !members.contains_key("records") {
        return Ok(Intake::One(report(text)));
    }
    if members.len() > 1 {
        return Err(form(&"no other member stands beside records"));
    }
    // From the text: a map has forgotten all but the last of two lists.
    let Body { records } = serde_json::from_str(text).map_err(|error| form(&error))?;
    match records.len() {
        0 => Err(IntakeFault::Empty),
        many if many > MOST => Err(IntakeFault::TooMany(many)),
        _ => Ok(Intake::Many(records.into_iter().map(|record| report(record.get())).collect())),
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<'a> {
    #[serde(default)]
    instance_id: String,
    #[serde(default)]
    begin_time: String,
    #[serde(default)]
    end_time: String,
    /// As it was written: a float would not be what was meant.
    #[serde(borrow)]
    usage_value: Option<&'a RawValue>,
    relate_pkg_instance: Option<String>,
}

fn report(text: &str) -> Result<Report, UsageFault> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| UsageFault::Malformed(error.to_string()))?;
    let literal = wire.usage_value.map_or("", RawValue::get);
    let usage_value = serde_json::from_str::<String>(literal).unwrap_or_else(|_| literal.to_owned());
    Report::read(&RawReport {
        instance_id: &wire.instance_id,
        begin_time: &wire.begin_time,
        end_time: &wire.end_time,
        usage_value: &usage_value,
        relate_pkg_instance: wire.relate_pkg_instance.as_deref().unwrap_or_default(),
    })
}
