//! The calls for authorisation codes (L2): activate, heartbeat, software usage (spec 5-open-api §5).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::protocol::time;

/// Activates one code.
pub const ACTIVATE_PATH: &str = "/api/mkp-openapi-public/global/v1/license/activate";
/// Activates up to [`MOST`] codes.
pub const ACTIVATE_LIST_PATH: &str = "/api/mkp-openapi-public/global/v2/license/activate";
/// Asks for the state of one code.
pub const HEARTBEAT_PATH: &str = "/api/mkp-openapi-public/global/v1/license/heartbeat";
/// Asks for the state of up to [`MOST`] codes; no document tells its members, they are taken by analogy.
pub const HEARTBEAT_LIST_PATH: &str = "/api/mkp-openapi-public/global/v2/license/heartbeat";
/// Tells who uses the software.
pub const SOFTWARE_USAGE_PATH: &str = "/api/mkp-openapi-public/global/v2/license/software-usage-info";

/// So many codes go into one call, and so many entries to one code.
pub const MOST: usize = 100;

/// Longest code, in characters.
pub const LONGEST_CODE: usize = 64;

/// Longest id of a client of the software, in characters.
pub const LONGEST_CLIENT_ID: usize = 256;

/// A code that was activated already.
pub const ILLEGAL_STATE: &str = "92020003";
/// The buyer has not received the code yet.
pub const NOT_RECEIVED: &str = "92020004";
/// No such code.
pub const UNKNOWN_CODE: &str = "92020005";

/// What KooGallery says of a code. That of a heartbeat is binding, that of an activation an estimate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeInfo {
    /// `ALIVE`, `EXPIRED`, `RELEASED`, or what else was said.
    pub status: Option<String>,
    /// When it was activated.
    pub activate_time: Option<Timestamp>,
    /// When it ends.
    pub expire_time: Option<Timestamp>,
    /// The product's name.
    pub product_name: Option<String>,
    /// The product.
    pub product_id: Option<String>,
    /// The order that bought it.
    pub order_id: Option<String>,
    /// How many were bought.
    pub amount: Option<u64>,
}

/// One use of the software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoftwareUsage {
    /// A client by its id.
    Id(String),
    /// Today's total of active clients; at most 9 digits.
    ActiveNum(u32),
}

/// The body of an activation. `real_effect_time` is the real start of the service, not before the order.
pub fn activate(code: &str, real_effect_time: Option<Timestamp>) -> String {
    with_time(json!({ "license": code }), real_effect_time)
}

/// The body of an activation of several codes.
pub fn activate_list(codes: &[String], real_effect_time: Option<Timestamp>) -> String {
    with_time(json!({ "license_list": codes }), real_effect_time)
}

/// The body of a heartbeat.
pub fn heartbeat(code: &str) -> String {
    json!({ "license": code }).to_string()
}

/// The body of a heartbeat of several codes.
pub fn heartbeat_list(codes: &[String]) -> String {
    json!({ "license_list": codes }).to_string()
}

/// The body of a report of software usage, by code. The capital I is the wire's.
pub fn software_usage(usage: &[(String, Vec<SoftwareUsage>)]) -> String {
    let entry = |one: &SoftwareUsage| match one {
        SoftwareUsage::Id(id) => json!({ "id": id }),
        SoftwareUsage::ActiveNum(number) => json!({ "active_num": number }),
    };
    let of_code = |(code, entries): &(String, Vec<SoftwareUsage>)| json!({ "license": code, "software_usage_Info": entries.iter().map(entry).collect::<Vec<_>>() });
    json!({ "usage_info": usage.iter().map(of_code).collect::<Vec<_>>() }).to_string()
}

fn with_time(mut body: Value, real_effect_time: Option<Timestamp>) -> String {
    if let Some(at) = real_effect_time {
        body["real_effect_time"] = time::print_seconds(at).into();
    }
    body.to_string()
}

impl CodeInfo {
    /// Reads the reply to [`activate`]: `license_code_info` is JSON within a text.
    pub fn of_activation(reply: &Map<String, Value>) -> Self {
        let info = reply.get("data").and_then(|data| data.get("license_code_info"));
        match info {
            Some(Value::String(text)) => serde_json::from_str(text).map(|info| Self::read(&info)).unwrap_or_default(),
            Some(info) => Self::read(info),
            None => Self::default(),
        }
    }

    /// Reads the reply to [`heartbeat`].
    pub fn of_heartbeat(reply: &Map<String, Value>) -> Self {
        reply.get("data").map(Self::read).unwrap_or_default()
    }

    /// Reads the reply to [`heartbeat_list`]: codes and what is said of them.
    pub fn of_heartbeats(reply: &Map<String, Value>) -> Vec<(String, Self)> {
        let list = reply.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let code = |info: &Value| ["license_code", "license"].into_iter().find_map(|name| text(info, name));
        list.iter().filter_map(|info| Some((code(info)?, Self::read(info)))).collect()
    }

    fn read(info: &Value) -> Self {
        let instant = |name| text(info, name).and_then(|text| time::parse(&text).ok());
        Self {
            status: text(info, "status"),
            activate_time: instant("activate_time"),
            expire_time: instant("expire_time"),
            product_name: text(info, "product_name"),
            product_id: text(info, "product_id"),
            order_id: text(info, "order_id"),
            amount: text(info, "amount").and_then(|amount| amount.parse().ok()),
        }
    }
}

fn text(members: &Value, name: &str) -> Option<String> {
    match members.get(name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn bodies_have_the_wires_members() {
        let at = "2026-01-15T08:30:00Z".parse().unwrap();
        assert_eq!(activate("PL1", None), r#"{"license":"PL1"}"#);
        assert_eq!(activate("PL1", Some(at)), r#"{"license":"PL1","real_effect_time":"20260115083000"}"#);
        assert_eq!(activate_list(&["PL1".to_owned()], None), r#"{"license_list":["PL1"]}"#);
        let usage = [("PL1".to_owned(), vec![SoftwareUsage::Id("测试".to_owned()), SoftwareUsage::ActiveNum(7)])];
        let body = r#"{"usage_info":[{"license":"PL1","software_usage_Info":[{"id":"测试"},{"active_num":7}]}]}"#;
        assert_eq!(software_usage(&usage), body);
    }

    #[test]
    fn an_activation_tells_the_code_in_a_text_of_json() {
        let reply = members(
            r#"{"error_code":"92020000","data":{"license_code_info":"{\"status\":\"ALIVE\",\"expire_time\":\"20230726121646\",\"product_id\":\"12345\",\"amount\":2,\"order_id\":\"CS123\"}"}}"#,
        );
        let info = CodeInfo::of_activation(&reply);
        assert_eq!(info.expire_time, Some("2023-07-26T12:16:46Z".parse().unwrap()));
        assert_eq!((info.order_id.as_deref(), info.amount), (Some("CS123"), Some(2)));
        for odd in [r#"{"data":{"license_code_info":"{"}}"#, r#"{"data":[]}"#, "{}"] {
            assert_eq!(CodeInfo::of_activation(&members(odd)), CodeInfo::default(), "{odd}");
        }
    }

    #[test]
    fn heartbeats_are_read_one_by_one_and_as_lists() {
        let one = r#"{"license_code":"PL1","status":"EXPIRED","expire_time":"20230726121646","more":[1]}"#;
        let info = CodeInfo::of_heartbeat(&members(&format!(r#"{{"data":{one}}}"#)));
        assert_eq!(info.status.as_deref(), Some("EXPIRED"));
        assert_eq!(CodeInfo::of_heartbeats(&members(&format!(r#"{{"data":[{one},7]}}"#))), [("PL1".to_owned(), info)]);
    }
}
