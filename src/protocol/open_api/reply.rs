//! Reading a reply of the open API: three envelopes, codes with and without prefix, and what to do about a refusal
//! (spec 5-open-api §1, §2, §4–§7).

use std::fmt;

use serde_json::{Map, Value};

use crate::excerpt::excerpt;

/// So much of a text of KooGallery's is kept for the operator, in characters.
const SHOWN: usize = 200;

/// A code as KooGallery prints it, without blanks: `MKT.0000`, `92020001`, `APIGW.0301`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// Reads a code; one page prints `MKT. 0250`.
    pub fn new(text: &str) -> Self {
        Self(text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).take(32).collect())
    }

    /// As printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the prefix `MKT.` or `CBC.`, which stand for the same.
    pub fn number(&self) -> &str {
        self.0.strip_prefix("MKT.").or_else(|| self.0.strip_prefix("CBC.")).unwrap_or(&self.0)
    }

    /// The number of a code of the gateway, whichever way its prefix is spelled.
    fn of_gateway(&self) -> Option<&str> {
        self.0.strip_prefix("APIGW.").or_else(|| self.0.strip_prefix("APIG."))
    }

    fn is_success(&self) -> bool {
        matches!(self.number(), "0000" | "92020000")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// KooGallery did not do what it was asked. Its texts are shortened and made harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {status}{}{}{}", told(" ", code.as_ref().map(Code::as_str), ""), told(": ", Some(message.as_str()), ""),
    told(" [request ", request_id.as_deref(), "]"))]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Its code; `None`: the body names none, as the page of a proxy does.
    pub code: Option<Code>,
    /// Its message, or the beginning of the body.
    pub message: String,
    /// The gateway's id of the request, for Huawei's support.
    pub request_id: Option<String>,
    /// The member `data` as it came: which of several records failed.
    pub data: Option<Value>,
}

/// A part of a sentence, where there is something to tell.
fn told(before: &str, part: Option<&str>, after: &str) -> String {
    part.filter(|part| !part.is_empty()).map(|part| format!("{before}{part}{after}")).unwrap_or_default()
}

/// What a refusal asks of the client (spec 5-open-api §2, §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The AK/SK signature did not hold. More than five in a row lock the key for five minutes.
    Signature,
    /// Too many calls: later, and fewer.
    Throttled,
    /// KooGallery's own trouble: later.
    Temporary,
    /// The same call will be refused again.
    Permanent,
}

impl Refusal {
    /// What to do about it.
    pub fn standing(&self) -> Standing {
        let code = self.code.as_ref();
        let gateway = code.and_then(Code::of_gateway);
        let number = code.map(Code::number);
        match (self.status, gateway, number) {
            (_, Some("0301" | "0303"), _) => Standing::Signature,
            (429, ..) | (_, Some("0308"), _) | (_, _, Some("0250")) => Standing::Throttled,
            (502..=504, ..) | (_, _, Some("0999" | "91381036")) => Standing::Temporary,
            // One number for two things: unauthorised, and an internal error (an older print has that with 200).
            (403, _, Some("92020001")) => Standing::Permanent,
            (_, _, Some("92020001")) => Standing::Temporary,
            // Whatever the gateway calls it, it may count against the key.
            (401, _, number) if !number.is_some_and(is_known) => Standing::Signature,
            // A page of a proxy or a firewall, say: KooGallery names a code with all it refuses for good.
            (_, _, None) => Standing::Temporary,
            // Success with a status that denies it; and trouble that names nothing known.
            (_, _, Some("0000" | "92020000")) => Standing::Temporary,
            (500.., None, Some(number)) if !is_known(number) => Standing::Temporary,
            _ => Standing::Permanent,
        }
    }

    /// Whether what lies behind the gateway refused it: the gateway had let the call through.
    pub fn is_beyond_gateway(&self) -> bool {
        let names_own_code = self.code.as_ref().is_some_and(|code| code.of_gateway().is_none());
        names_own_code && self.standing() != Standing::Signature
    }

    /// Whether its code is this one, prefix or not.
    pub fn is(&self, number: &str) -> bool {
        self.code.as_ref().is_some_and(|code| code.number() == number)
    }
}

/// Codes that come with HTTP 500 and are the caller's fault all the same.
fn is_known(number: &str) -> bool {
    matches!(number, "0100" | "0101" | "0102" | "0150" | "0151" | "0154" | "0199" | "94060999")
        || (number.len() == 4 && number.starts_with("900"))
        || (number.len() == 8 && (number.starts_with("9202") || number.starts_with("9138")))
}

/// What a reply comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It was done; the reply's members.
    Done(Map<String, Value>),
    /// It was not.
    Refused(Refusal),
    /// HTTP says success, and the body is none of the known envelopes: whether it was done is not known.
    Unreadable {
        /// The beginning of the body.
        shown: String,
    },
}

/// Reads a reply by its status and body.
pub fn read(status: u16, body: &[u8]) -> Reply {
    let members = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let text = |name: &str| match members.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let code = text("resultCode")
        .or_else(|| text("error_code"))
        .map(|code| Code::new(&code))
        .filter(|code| !code.0.is_empty());
    let success = (200..300).contains(&status);
    if success && code.as_ref().is_some_and(Code::is_success) {
        return Reply::Done(members);
    }
    if success && code.is_none() {
        return Reply::Unreadable { shown: beginning(body, &members) };
    }
    let message = text("resultMsg").or_else(|| text("error_msg"));
    let message = message.map_or_else(|| beginning(body, &members), |text| excerpt(text.as_bytes(), &[], SHOWN));
    let request_id = text("request_id").map(|id| excerpt(id.as_bytes(), &[], 64));
    let data = members.get("data").filter(|data| !data.is_null()).cloned();
    Reply::Refused(Refusal { status, code, message, request_id, data })
}

/// The beginning of a body that says nothing else. Of JSON the names of its members alone: the values may be a buyer's.
fn beginning(body: &[u8], members: &Map<String, Value>) -> String {
    let text = String::from_utf8_lossy(body);
    let first = text.chars().find(|c| !c.is_whitespace() && *c != '\u{feff}');
    if !matches!(first, Some('{' | '[' | '"')) {
        return excerpt(body, &[], SHOWN);
    }
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    match names.as_slice() {
        [] => "JSON that is cut off, or no object with members".to_owned(),
        names => excerpt(format!("JSON with the members {}", names.join(", ")).as_bytes(), &[], SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        match read(status, body.as_bytes()) {
            Reply::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_envelopes_are_read_and_unknown_members_are_left_alone() {
        for body in [
            r#"{"resultCode":"MKT.0000","resultMsg":"Success","orderInfo":{}}"#,
            r#"{"error_code":"CBC.0000","error_msg":"ok","new":[1]}"#,
            r#"{"error_code":92020000}"#,
            r#"{"error_code":"MKT. 0000"}"#,
        ] {
            assert!(matches!(read(200, body.as_bytes()), Reply::Done(_)), "{body}");
        }
        let gateway = r#"{"error_msg":"Incorrect IAM\nauthentication","error_code":"APIGW.0301","request_id":"r-1"}"#;
        let refusal = refusal(401, gateway);
        assert_eq!(refusal.to_string(), "HTTP 401 APIGW.0301: Incorrect IAM authentication [request r-1]");
    }

    #[test]
    fn success_takes_both_the_status_and_a_code() {
        assert!(matches!(read(200, b"<html>hello"), Reply::Unreadable { shown } if shown == "<html>hello"));
        assert!(matches!(read(204, b""), Reply::Unreadable { .. }));
        assert!(matches!(read(200, b"{}"), Reply::Unreadable { .. }));
        assert_eq!(refusal(500, r#"{"error_code":"MKT.0000"}"#).standing(), Standing::Temporary);
    }

    #[test]
    fn every_documented_code_has_its_standing() {
        use Standing::{Permanent, Signature, Temporary, Throttled};
        for (status, code, expected) in [
            (401, "APIGW.0301", Signature),
            (401, "APIG.0301", Signature),
            (401, "APIGW.0303", Signature),
            (403, "APIGW.0302", Permanent),
            (404, "APIGW.0101", Permanent),
            (400, "APIGW.0201", Permanent),
            (413, "APIGW.0201", Permanent),
            (502, "APIGW.0201", Temporary),
            (504, "APIGW.0201", Temporary),
            (429, "APIGW.0308", Throttled),
            (429, "", Throttled),
            (406, "MKT.0250", Throttled),
            (406, "MKT. 0250", Throttled),
            (500, "MKT.0999", Temporary),
            (500, "CBC.0999", Temporary),
            (500, "MKT.0100", Permanent),
            (400, "MKT.0101", Permanent),
            (400, "MKT.0102", Permanent),
            (401, "MKT.0150", Permanent),
            (401, "MKT.0154", Permanent),
            (500, "MKT.9001", Permanent),
            (500, "MKT.9004", Permanent),
            (500, "94060999", Permanent),
            (500, "SOMETHING.NEW", Temporary),
            (403, "92020001", Permanent),
            (500, "92020001", Temporary),
            (200, "92020001", Temporary),
            (400, "92020002", Permanent),
            (200, "92020003", Permanent),
            (200, "92020005", Permanent),
            (403, "CBC.0150", Permanent),
            (200, "91381033", Permanent),
            (200, "91381036", Temporary),
        ] {
            let body = serde_json::json!({ "error_code": code, "error_msg": "m" }).to_string();
            assert_eq!(refusal(status, &body).standing(), expected, "{status} {code}");
        }
        for (status, expected) in [(503, Temporary), (500, Temporary), (401, Signature)] {
            assert_eq!(refusal(status, "<html>proxy</html>").standing(), expected, "{status}");
        }
    }

    #[test]
    fn what_names_no_code_is_not_koogallerys_last_word() {
        for status in [400, 403, 404, 407, 413, 418] {
            let page = refusal(status, "<html>proxy</html>");
            assert_eq!((page.standing(), page.is_beyond_gateway()), (Standing::Temporary, false), "{status}");
        }
    }

    #[test]
    fn an_unauthorised_call_counts_against_the_key_unless_the_code_is_known_for_something_else() {
        for code in ["APIGW.0305", "APIGW.0307", "IAM.0011", "SOMETHING.NEW"] {
            let refused = refusal(401, &format!(r#"{{"error_code":"{code}"}}"#));
            assert_eq!((refused.standing(), refused.is_beyond_gateway()), (Standing::Signature, false), "{code}");
        }
        let nested = refusal(401, r#"{"error":{"code":"APIGW.0301"}}"#);
        assert_eq!(nested.standing(), Standing::Signature);
    }

    #[test]
    fn of_json_that_is_not_understood_no_value_is_shown() {
        let order = r#""orderInfo":{"buyerInfo":{"mobilePhone":"13800138000"}}"#;
        for (status, body) in [
            (200, format!("{{{order}}}")),
            (200, format!("{{{order}")),
            (200, format!("\u{feff} [{{{order}}}]")),
            (500, format!(r#"{{"resultCode":"MKT.0999",{order}}}"#)),
            (500, format!("{{{order}}}")),
        ] {
            let shown = match read(status, body.as_bytes()) {
                Reply::Refused(refusal) => refusal.to_string(),
                Reply::Unreadable { shown } => shown,
                Reply::Done(_) => panic!("{body}"),
            };
            assert!(!shown.contains("138001"), "{shown}");
        }
        let Reply::Unreadable { shown } = read(200, format!("{{{order}}}").as_bytes()) else { panic!() };
        assert!(shown.contains("orderInfo"), "{shown}");
    }

    #[test]
    fn prefixes_make_no_difference() {
        for code in ["MKT.0150", "CBC.0150", "0150", "MKT. 0150"] {
            assert!(refusal(403, &format!(r#"{{"error_code":"{code}"}}"#)).is("0150"), "{code}");
        }
    }

    #[test]
    fn texts_of_others_are_shortened_and_made_harmless() {
        let long = "x".repeat(500);
        let refused = refusal(400, &format!("{{\"error_code\":\"A\\u001b[2J\",\"error_msg\":\"\\u001b[31m{long}\"}}"));
        assert!(!refused.to_string().contains('\u{1b}') && refused.to_string().len() < 300, "{refused}");
    }
}
