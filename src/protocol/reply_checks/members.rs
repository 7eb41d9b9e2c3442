//! The body of a reply: form, result members, and the lengths and types of what the interfaces return.

use serde_json::{Map, Number, Value};

use super::{Finding, ReplyShape};
use crate::protocol::time;

/// Checks a body from its bytes on. A body that cannot be read gives one finding that says why.
pub(super) fn check(shape: ReplyShape, body: &[u8]) -> Vec<Finding> {
    let object = match read(body) {
        Ok(object) => object,
        Err(finding) => return vec![finding],
    };
    let mut checker = Checker { findings: Vec::new() };
    checker.result(&object, shape);
    checker.payload(&object, shape);
    if !body.is_ascii() {
        checker.findings.push(Finding::warn(
            "ascii",
            "characters beyond ASCII stand as they are; write them as \\uXXXX, as the guide asks for memo",
        ));
    }
    checker.findings
}

fn read(body: &[u8]) -> Result<Map<String, Value>, Finding> {
    if body.is_empty() {
        return Err(Finding::fail("json", "the body is empty; it must be a JSON object"));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Finding::fail("byte-order-mark", "the body starts with a byte-order mark; send UTF-8 without it"));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Finding::fail("utf-8", format!("the body is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Finding::fail("json", "the body is JSON but no object; it must be one JSON object")),
        Err(error) => Err(Finding::fail("json", format!("the body is not valid JSON: {error}"))),
    }
}

struct Checker {
    findings: Vec<Finding>,
}

impl Checker {
    fn fail(&mut self, rule: &'static str, text: String) {
        self.findings.push(Finding::fail(rule, text));
    }

    fn result(&mut self, object: &Map<String, Value>, shape: ReplyShape) {
        match object.get("resultCode") {
            Some(Value::String(code)) if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) => {
                if code == "000004" && shape == ReplyShape::Plain {
                    self.findings.push(Finding::warn(
                        "processing",
                        "resultCode 000004 counts as failure for this call; answer 000005 until the work is done",
                    ));
                }
            }
            Some(Value::Null) | None => {
                self.fail("result-code", "resultCode is missing; every reply must have it".to_owned());
            }
            Some(other) => {
                self.fail("result-code", format!("resultCode is {}; it must be a string of six digits", brief(other)));
            }
        }
        match object.get("resultMsg") {
            Some(Value::String(message)) => {
                self.length("resultMsg", message, 255);
                if message.is_empty() {
                    self.findings.push(Finding::warn("result-msg", "resultMsg is empty; say something for people"));
                }
            }
            Some(Value::Null) | None => self.fail(
                "result-msg",
                "resultMsg is missing; the tables call it optional, but the debugger rejects replies without it"
                    .to_owned(),
            ),
            Some(other) => self.fail("result-msg", format!("resultMsg is {}; it must be a string", brief(other))),
        }
    }

    fn payload(&mut self, object: &Map<String, Value>, shape: ReplyShape) {
        let code = object.get("resultCode").and_then(Value::as_str).unwrap_or_default();
        let licensed = shape == ReplyShape::GetLicense && code == "000000";
        let created = licensed || (shape == ReplyShape::NewInstance && matches!(code, "000000" | "000004"));
        self.text("instanceId", object.get("instanceId"), 64, created);
        // The guide gives no length.
        self.text("license", object.get("license"), usize::MAX, licensed);
        self.text("encryptType", object.get("encryptType"), 3, false);
        // V1 hands out the access data here, V2 in the query.
        if let Some(app_info) = present(object, "appInfo") {
            self.app_info("appInfo", app_info);
        }
        match present(object, "info") {
            Some(Value::Array(instances)) => {
                for (position, instance) in instances.iter().enumerate() {
                    self.instance(&format!("info[{position}]"), instance);
                }
            }
            Some(other) => self.fail("type", format!("info is {}; it must be an array", brief(other))),
            None if shape == ReplyShape::QueryInstance && code == "000000" => {
                self.fail("missing", "info is missing; a successful query must return info[].instanceId".to_owned());
            }
            None => {}
        }
    }

    fn instance(&mut self, path: &str, instance: &Value) {
        let Some(instance) = self.object(path, instance) else { return };
        self.text(&format!("{path}.instanceId"), instance.get("instanceId"), 64, true);
        if let Some(app_info) = present(instance, "appInfo") {
            self.app_info(&format!("{path}.appInfo"), app_info);
        }
        match present(instance, "usageInfo") {
            Some(Value::Array(usages)) => {
                for (position, usage) in usages.iter().enumerate() {
                    self.usage(&format!("{path}.usageInfo[{position}]"), usage);
                }
            }
            Some(other) => self.fail("type", format!("{path}.usageInfo is {}; it must be an array", brief(other))),
            None => {}
        }
    }

    fn app_info(&mut self, path: &str, app_info: &Value) {
        let Some(app_info) = self.object(path, app_info) else { return };
        self.text(&format!("{path}.frontEndUrl"), app_info.get("frontEndUrl"), 512, true);
        for (name, most) in [("adminUrl", 512), ("userName", 128), ("password", 128), ("memo", 1024)] {
            self.text(&format!("{path}.{name}"), app_info.get(name), most, false);
        }
    }

    fn usage(&mut self, path: &str, usage: &Value) {
        let Some(usage) = self.object(path, usage) else { return };
        self.text(&format!("{path}.relatedInstanceId"), usage.get("relatedInstanceId"), 64, false);
        self.text(&format!("{path}.dashboardUrl"), usage.get("dashboardUrl"), 512, false);
        match usage.get("usageValue") {
            Some(Value::Number(number)) if fits_double_12_4(number) => {}
            Some(Value::Number(number)) => self.fail(
                "usage-value",
                format!("{path}.usageValue is {number}; at most 12 digits fit, 4 of them after the point"),
            ),
            Some(Value::Null) | None => self.fail("missing", format!("{path}.usageValue is missing")),
            Some(other) => {
                self.fail("usage-value", format!("{path}.usageValue is {}; it must be a JSON number", brief(other)));
            }
        }
        let when = usage.get("statisticalTime");
        self.text(&format!("{path}.statisticalTime"), when, 20, true);
        if let Some(when) = when.and_then(Value::as_str).filter(|when| !when.is_empty())
            && (when.len() != 17 || time::parse(when).is_err())
        {
            self.fail(
                "statistical-time",
                format!("{path}.statisticalTime must be 17 digits, yyyyMMddHHmmssSSS in UTC"),
            );
        }
    }

    fn object<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.fail("type", format!("{path} is {}; it must be an object", brief(value)));
        }
        object
    }

    /// A text of at most `most` characters. An optional one may be absent, null or empty.
    fn text(&mut self, path: &str, value: Option<&Value>, most: usize, mandatory: bool) {
        match value {
            Some(Value::String(text)) if !text.is_empty() => self.length(path, text, most),
            Some(Value::String(_) | Value::Null) | None => {
                if mandatory {
                    self.fail("missing", format!("{path} is missing or empty; it is mandatory here"));
                }
            }
            Some(other) => self.fail("type", format!("{path} is {}; it must be a string", brief(other))),
        }
    }

    fn length(&mut self, path: &str, text: &str, most: usize) {
        let length = text.chars().count();
        if length > most {
            self.fail("length", format!("{path} has {length} characters; at most {most} are allowed"));
        }
    }
}

fn present<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// Double(12,4): at most 12 digits in all, at most 4 of them after the point.
fn fits_double_12_4(number: &Number) -> bool {
    // Rust prints floats without an exponent and with the fewest digits that mean the same number. Every whole number of
    // 12 digits is a float; what is none has more.
    let Some(float) = number.as_f64() else { return false };
    let text = float.abs().to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.trim_start_matches('0');
    decimals.len() <= 4 && whole.len() + decimals.len() <= 12
}

/// A value's kind. The value itself may be a password in the wrong place, so only numbers and flags are shown.
fn brief(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string of another form".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
