//! Usage of on-demand instances: what arrived, how often, and what of it is billed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::reply::Reply;
use super::signature::{usage_signature, utc};
use super::wire::Request;
use super::{Call, Route};
use crate::harness::KEY;

/// As the usage page has it; other pages say 100.
const MOST_RECORDS: usize = 1000;

/// An older begin is refused.
const OLDEST: SignedDuration = SignedDuration::from_hours(21 * 24);

/// How far `ts` may be from the clock. No page says; a stamp of another day is a mistake in any case.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// What KooGallery knows of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// Its usage counts within these bounds, where there are any.
    OnDemand { opened: Option<Timestamp>, closed: Option<Timestamp> },
    /// A package, from which an on-demand instance's usage may be deducted.
    Package,
    /// Not paid per use.
    Period,
    /// Its records fail with this code (`006`, `009`, `013`).
    Refused(&'static str),
}

impl Instance {
    /// On demand at all times.
    pub const ON_DEMAND: Self = Self::OnDemand { opened: None, closed: None };
}

/// A record as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `None` in the old form.
    pub metering_sn: Option<String>,
    /// All its members.
    pub record: Value,
    /// How often it arrived, in calls whose reply was lost too.
    pub arrivals: usize,
    /// Whether it is billed.
    pub taken: bool,
    /// The codes with which it failed, each time it did.
    pub codes: Vec<&'static str>,
}

/// A record that fails in the call at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// Its place in the call.
    pub index: usize,
    pub record: Value,
    pub code: &'static str,
}

/// Makes the `data` of a reply that tells of failed records.
pub type TellFailed = dyn Fn(&[Failed]) -> Value + Send + Sync;

/// How usage is judged where the documents leave it open.
#[derive(Clone)]
pub struct Judgement {
    /// A bad record fails the whole call with MKT.9001, 9002 or 9004.
    pub fails_whole_call: bool,
    /// A bad record keeps the good ones of its call from being taken.
    pub all_or_nothing: bool,
    /// The code for a record that is taken already and arrives again as it was; `None` is success.
    pub repeat: Option<&'static str>,
    /// The shape in which failed records are told.
    pub data: Arc<TellFailed>,
}

impl Default for Judgement {
    fn default() -> Self {
        let data = |failed: &[Failed]| {
            let entry = |failed: &Failed| {
                json!({
                    "metering_sn": failed.record["metering_sn"], "instance_id": failed.record["instance_id"],
                    "error_code": failed.code, "error_msg": "Failed",
                })
            };
            failed.iter().map(entry).collect()
        };
        Self { fails_whole_call: false, all_or_nothing: false, repeat: None, data: Arc::new(data) }
    }
}

/// What is known and what came.
pub struct Usage {
    /// With which pushes are signed.
    pub access_key: String,
    instances: BTreeMap<String, Instance>,
    pub judgement: Judgement,
    pub records: Vec<Record>,
    /// The places of records by what makes each the same again.
    places: HashMap<String, usize>,
    /// What is billed already: instance, begin and end.
    billed: HashSet<String>,
}

impl Default for Usage {
    fn default() -> Self {
        let (instances, judgement, records) = Default::default();
        let (places, billed) = Default::default();
        Self { access_key: KEY.to_owned(), instances, judgement, records, places, billed }
    }
}

impl Usage {
    /// Takes an instance in, or changes it.
    pub fn put_instance(&mut self, instance_id: &str, instance: Instance) {
        self.instances.insert(instance_id.to_owned(), instance);
    }

    /// The sum of the records taken, in ten-thousandths.
    pub fn billed(&self, instance_id: &str) -> i64 {
        let of_instance = |record: &&Record| record.taken && record.record["instance_id"] == instance_id;
        let taken = self.records.iter().filter(of_instance);
        taken.map(|record| ten_thousandths(&record.record["usage_value"]).unwrap()).sum()
    }

    /// A push in either form.
    pub fn push(&mut self, call: &Call) -> Reply {
        let with_sn = call.route == Route::UsageData;
        if with_sn && let Err(why) = check_signature(&self.access_key, &call.request, &call.json, call.at) {
            return Reply::code(400, "MKT.0102").with("error_msg", format!("Invalid body signature: {why}").into());
        }
        let records =
            call.json.as_object().filter(|body| body.len() == 1).and_then(|body| body["usage_records"].as_array());
        let Some(records) = records.filter(|records| records.iter().all(|record| has_its_members(record, with_sn)))
        else {
            return Reply::code(400, "MKT.0101");
        };
        if records.is_empty() {
            return Reply::code(500, "MKT.9002").with("extra_info", json!({}));
        }
        if records.len() > MOST_RECORDS {
            return Reply::code(500, "MKT.9003");
        }

        let mut failed = Vec::new();
        let mut good = Vec::new();
        let mut in_this_call = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let place = self.arrive(record);
            let verdict = match in_this_call.contains(&place) {
                true => Err("005"),
                false => self.judge(record, place, with_sn, call.at),
            };
            in_this_call.push(place);
            match verdict {
                Ok(()) => good.push(place),
                Err(code) => {
                    self.records[place].codes.push(code);
                    failed.push(Failed { index, record: record.clone(), code });
                }
            }
        }
        if failed.is_empty() || !(self.judgement.fails_whole_call || self.judgement.all_or_nothing) {
            for place in good {
                self.records[place].taken = true;
                self.billed.insert(window(&self.records[place].record));
            }
        }
        match failed.first() {
            None => Reply::code(200, "MKT.0000"),
            Some(first) if self.judgement.fails_whole_call => {
                let code = match first.code {
                    "001" => "MKT.9001",
                    "007" => "MKT.9004",
                    _ => "MKT.9002",
                };
                Reply::code(500, code).with("extra_info", json!({ "instance_id": first.record["instance_id"] }))
            }
            Some(_) => Reply::code(200, "94060999").with("data", (self.judgement.data)(&failed)),
        }
    }

    /// Notes that a record is there; its place among all.
    fn arrive(&mut self, record: &Value) -> usize {
        let metering_sn = record["metering_sn"].as_str().map(str::to_owned);
        let identity = metering_sn.clone().unwrap_or_else(|| window(record));
        let place = *self.places.entry(identity).or_insert(self.records.len());
        if place == self.records.len() {
            let record = record.clone();
            self.records.push(Record { metering_sn, record, arrivals: 0, taken: false, codes: Vec::new() });
        }
        self.records[place].arrivals += 1;
        place
    }

    /// The code of a record that is bad.
    fn judge(&self, record: &Value, place: usize, with_sn: bool, now: Timestamp) -> Result<(), &'static str> {
        let sn = record["metering_sn"].as_str().is_some_and(|sn| (1..=64).contains(&sn.chars().count()));
        if with_sn && !sn {
            return Err("004");
        }
        let known = &self.records[place];
        if known.record != *record {
            return Err("005");
        }
        let time = |name: &str| record[name].as_str().and_then(|text| utc(text, "%Y%m%dT%H%M%SZ", 16)).ok_or("002");
        let (begin, end, reported) = (time("begin_time")?, time("end_time")?, time("record_time")?);
        ten_thousandths(&record["usage_value"]).ok_or("003")?;
        let instance = |name: &str| self.instances.get(record[name].as_str().unwrap_or_default());
        let (opened, closed) = match instance("instance_id").ok_or("001")? {
            Instance::OnDemand { opened, closed } => (*opened, *closed),
            Instance::Package | Instance::Period => return Err("012"),
            Instance::Refused(code) => return Err(code),
        };
        if !record["relate_pkg_instance"].is_null() && instance("relate_pkg_instance") != Some(&Instance::Package) {
            return Err("001");
        }
        if begin < now - OLDEST {
            return Err("007");
        }
        let within = opened.is_none_or(|opened| opened <= begin) && closed.is_none_or(|closed| end <= closed);
        if begin > end || end > reported || reported > now || !within {
            return Err("011");
        }
        if known.taken {
            return self.judgement.repeat.map_or(Ok(()), Err);
        }
        if self.billed.contains(&window(record)) { Err("010") } else { Ok(()) }
    }
}

/// What makes a record a duplicate of another.
fn window(record: &Value) -> String {
    ["instance_id", "begin_time", "end_time"].map(|name| record[name].to_string()).concat()
}

/// Whether a record has no member that is unknown, and those whose lack has no code of its own.
fn has_its_members(record: &Value, with_sn: bool) -> bool {
    const COMMON: [&str; 6] =
        ["instance_id", "record_time", "begin_time", "end_time", "usage_value", "relate_pkg_instance"];
    let form = if with_sn { "metering_sn" } else { "product_id" };
    let short = |name: &str| record[name].as_str().is_some_and(|text| (1..=64).contains(&text.chars().count()));
    let known = |members: &serde_json::Map<String, Value>| {
        members.keys().all(|name| name == form || COMMON.contains(&name.as_str()))
            && (with_sn || short("product_id"))
            && (!members.contains_key("relate_pkg_instance") || short("relate_pkg_instance"))
    };
    record.as_object().is_some_and(known)
}

/// A usage value above 0 with at most four decimals: a text, as the samples have it.
fn ten_thousandths(value: &Value) -> Option<i64> {
    let text = value.as_str().filter(|text| text.len() <= 20)?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits(whole) && digits(part) && part.len() <= 4 && (whole == "0" || !whole.starts_with('0'));
    let number: i64 = plain.then(|| format!("{whole}{part:0<4}").parse().ok())??;
    (number > 0).then_some(number)
}

/// The headers `signature`, `ts` and `nonce` over the exact body, which has to be in its natural order.
fn check_signature(access_key: &str, request: &Request, body: &Value, now: Timestamp) -> Result<(), String> {
    let header = |name: &str| request.header(name).ok_or_else(|| format!("no {name}"));
    let (signature, ts, nonce) = (header("signature")?, header("ts")?, header("nonce")?);
    if usage_signature(access_key, ts, nonce, &request.body) != signature {
        return Err("signature".to_owned());
    }
    let stamp = ts.parse().ok().and_then(|ts| Timestamp::from_millisecond(ts).ok());
    if stamp.is_none_or(|stamp| now.duration_since(stamp).abs() > TOLERANCE) {
        return Err(format!("ts {ts:?}"));
    }
    if nonce.is_empty() || nonce.len() > 64 {
        return Err(format!("nonce {nonce:?}"));
    }
    // serde_json's maps are sorted here.
    if body.to_string().as_bytes() != request.body {
        Err("the body is not sorted and compact".to_owned())
    } else {
        Ok(())
    }
}
