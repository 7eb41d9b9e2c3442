//! License codes of the kind L2: activation, heartbeat and the statistics of their use.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::reply::Reply;
use super::signature::utc;

const TIME: &str = "%Y%m%d%H%M%S";
const SUCCESS: &str = "92020000";

/// Why a call about a code fails: HTTP status and code.
type Fault = (u16, &'static str);

const UNAUTHORISED: Fault = (403, "92020001");
const INTERNAL: Fault = (500, "92020001");
const INVALID: Fault = (400, "92020002");
const ILLEGAL_STATE: Fault = (200, "92020003");
const NOT_RECEIVED: Fault = (200, "92020004");
const UNKNOWN: Fault = (200, "92020005");

/// The state of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum License {
    /// Nobody's.
    Unknown,
    /// The buyer has not taken it yet.
    NotReceived,
    /// To be activated.
    Fresh,
    /// Activated at this time, `yyyyMMddHHmmss`.
    Alive(String),
    Expired,
    Released,
    /// Another seller's.
    Unauthorised,
    /// KooGallery fails at it.
    Broken,
}

/// What is known.
#[derive(Default)]
pub struct Licenses {
    known: BTreeMap<String, License>,
}

impl Licenses {
    /// Takes a code in, or changes its state.
    pub fn put(&mut self, code: &str, license: License) {
        self.known.insert(code.to_owned(), license);
    }

    /// The state of a code.
    pub fn get(&self, code: &str) -> License {
        self.known.get(code).cloned().unwrap_or(License::Unknown)
    }

    /// `v1/license/activate`.
    pub fn activate_v1(&mut self, body: &Value, now: Timestamp) -> Reply {
        let activate = || {
            members(body, &["license", "real_effect_time"])?;
            let code = text(&body["license"], 64).ok_or(INVALID)?;
            Ok((code, self.activation(code, body, now)?))
        };
        let (code, alive) = match activate() {
            Ok(activated) => activated,
            Err(fault) => return refuse(fault),
        };
        let info = json!({
            "status": "ALIVE", "expire_time": "20300726121646", "product_id": "12345", "amount": 2,
            "order_id": "CS123",
        });
        self.put(code, alive);
        Reply::code(200, SUCCESS).with("data", json!({ "license_code_info": info.to_string() }))
    }

    /// `v2/license/activate`: all codes or none.
    pub fn activate_v2(&mut self, body: &Value, now: Timestamp) -> Reply {
        let activate = || {
            members(body, &["license_list", "real_effect_time"])?;
            let codes = list(&body["license_list"])?.iter().map(|code| text(code, 64).ok_or(INVALID));
            codes.map(|code| Ok((code?, self.activation(code?, body, now)?))).collect::<Result<Vec<_>, _>>()
        };
        match activate() {
            Ok(activated) => activated.into_iter().for_each(|(code, alive)| self.put(code, alive)),
            Err(fault) => return refuse(fault),
        }
        Reply::code(200, SUCCESS)
    }

    /// `v1/license/heartbeat`.
    pub fn heartbeat(&self, body: &Value) -> Reply {
        let look = || {
            members(body, &["license", "heartbeatInfo"])?;
            let code = text(&body["license"], 64).ok_or(INVALID)?;
            let (status, since) = match self.usable(code)? {
                License::Alive(since) => ("ALIVE", since),
                License::Expired => ("EXPIRED", "20250115083000".to_owned()),
                License::Released => ("RELEASED", "20250115083000".to_owned()),
                _ => return Err(ILLEGAL_STATE),
            };
            Ok(json!({
                "license_code": code, "status": status, "activate_time": since, "expire_time": "20300726121646",
                "product_name": "Mock product", "product_id": "12345", "member_to_come": { "any": [1] },
            }))
        };
        look().map_or_else(refuse, |data| Reply::code(200, SUCCESS).with("data", data))
    }

    /// `v2/license/software-usage-info`.
    pub fn software_usage(&self, body: &Value) -> Reply {
        self.check_software_usage(body).map_or_else(refuse, |()| Reply::code(200, SUCCESS))
    }

    fn check_software_usage(&self, body: &Value) -> Result<(), Fault> {
        members(body, &["usage_info"])?;
        for info in list(&body["usage_info"])? {
            members(info, &["license", "software_usage_Info"])?;
            for entry in list(&info["software_usage_Info"])? {
                members(entry, &["id", "active_num"])?;
                let id = text(&entry["id"], 256).is_some();
                let number = entry["active_num"].as_u64().is_some_and(|number| number <= 999_999_999);
                if entry.as_object().is_none_or(|entry| entry.len() != 1) || !(id || number) {
                    return Err(INVALID);
                }
            }
            let License::Alive(_) = self.usable(text(&info["license"], 64).ok_or(INVALID)?)? else {
                return Err(ILLEGAL_STATE);
            };
        }
        Ok(())
    }

    /// The state in which an activation leaves a code.
    fn activation(&self, code: &str, body: &Value, now: Timestamp) -> Result<License, Fault> {
        let since = match &body["real_effect_time"] {
            Value::Null => now.strftime(TIME).to_string(),
            given => given.as_str().filter(|text| utc(text, TIME, 14).is_some()).ok_or(INVALID)?.to_owned(),
        };
        // A code is activated once.
        if self.usable(code)? == License::Fresh { Ok(License::Alive(since)) } else { Err(ILLEGAL_STATE) }
    }

    fn usable(&self, code: &str) -> Result<License, Fault> {
        match self.get(code) {
            License::Unknown => Err(UNKNOWN),
            License::NotReceived => Err(NOT_RECEIVED),
            License::Unauthorised => Err(UNAUTHORISED),
            License::Broken => Err(INTERNAL),
            usable => Ok(usable),
        }
    }
}

fn refuse((status, code): Fault) -> Reply {
    Reply::code(status, code)
}

/// An object with no other members than these.
fn members(value: &Value, known: &[&str]) -> Result<(), Fault> {
    let object = value.as_object().ok_or(INVALID)?;
    if object.keys().all(|name| known.contains(&name.as_str())) { Ok(()) } else { Err(INVALID) }
}

/// One to a hundred.
fn list(value: &Value) -> Result<&[Value], Fault> {
    value.as_array().filter(|list| (1..=100).contains(&list.len())).map(Vec::as_slice).ok_or(INVALID)
}

fn text(value: &Value, longest: usize) -> Option<&str> {
    value.as_str().filter(|text| (1..=longest).contains(&text.chars().count()))
}
