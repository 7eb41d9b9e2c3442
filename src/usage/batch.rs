//! Records that are due, as the body of the call that pushes them (spec 5-open-api §6.1, §6.2).

use jiff::Timestamp;
use serde::Serialize;

use super::{Quantity, Window};

/// Records in one call. One page allows 1000, others say 100 (spec README U34).
pub const BATCH: usize = 100;

/// Which interface takes the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `…/v1/isv/usage-data` of the open API: signed bodies, a `metering_sn` in each record.
    New,
    /// `/rest/marketplace/v1/isv/usage-data`: a `product_id` instead.
    Old,
}

/// A record that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its row.
    pub row: i64,
    /// Its id on the wire, the same in every attempt.
    pub metering_sn: String,
    /// The on-demand instance.
    pub instance_id: String,
    /// Its product, where known; the old interface wants it.
    pub product_id: Option<String>,
    /// When it was used.
    pub window: Window,
    /// When it was reported.
    pub record_time: Timestamp,
    /// How much.
    pub value: Quantity,
    /// The package instance to deduct it from.
    pub package: Option<String>,
    /// Attempts to send it, the one that it was taken for included. (One that the process did not live to make counts.)
    pub sent: i64,
}

#[derive(Serialize)]
struct Body<'a> {
    usage_records: Vec<Wire<'a>>,
}

/// The members stand in their natural order, in which the body is signed.
#[derive(Serialize)]
struct Wire<'a> {
    begin_time: String,
    end_time: String,
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metering_sn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<&'a str>,
    record_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relate_pkg_instance: Option<&'a str>,
    /// A JSON string: a number could lose its decimals on the way.
    usage_value: String,
}

/// The body of a call with these records, at most [`BATCH`]: compact, members sorted at every level, to be sent exactly
/// as it is signed. Where the old interface gets a record whose product is not known, it gets it without, and refuses it.
pub fn body(records: &[Record], form: Form) -> String {
    let usage_records = records
        .iter()
        .map(|record| Wire {
            begin_time: time(record.window.begin),
            end_time: time(record.window.end),
            instance_id: &record.instance_id,
            metering_sn: (form == Form::New).then_some(record.metering_sn.as_str()),
            product_id: record.product_id.as_deref().filter(|_| form == Form::Old),
            record_time: time(record.record_time),
            relate_pkg_instance: record.package.as_deref(),
            usage_value: record.value.to_string(),
        })
        .collect();
    // Plain structs of texts always have a JSON form; KooGallery refuses an empty body as a whole.
    serde_json::to_string(&Body { usage_records }).unwrap_or_default()
}

/// `yyyyMMdd'T'HHmmss'Z'`, UTC.
pub fn time(instant: Timestamp) -> String {
    instant.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The two parts of a batch that was refused as a whole; the second is empty where there is one record.
pub fn halves<T>(batch: &[T]) -> (&[T], &[T]) {
    batch.split_at(batch.len().div_ceil(2))
}
