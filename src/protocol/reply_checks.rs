//! What KooGallery checks of a reply (spec README §7.2, 1-basic-v2 §3, §4, §8), as findings a person can act on.
//!
//! Used twice: by the simulated KooGallery on what a seller's server answers, and by our own server on what it is about
//! to send. Whether a result code is the right one for a call is not judged here: that takes knowledge of the call.

mod credentials;
mod members;

use crate::protocol::body_sign::{self, BodySignFault};
use crate::protocol::key::AccessKey;

/// Which members a reply must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyShape {
    /// `resultCode` and `resultMsg`.
    Plain,
    /// And `instanceId`, when the instance is created or being created.
    NewInstance,
    /// And `info`, when the query succeeded.
    QueryInstance,
    /// And `instanceId` and `license`, when the licence is handed out.
    GetLicense,
    /// As [`ReplyShape::Plain`]; "processing" is a good answer besides.
    GetLicenseAsync,
}

/// Whether a reply must carry `Body-Sign`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySign {
    /// V1 and L1: without it the call counts as failed.
    Mandatory,
    /// V2's documents disagree (spec README §13, U5).
    Advised,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// KooGallery takes the reply, or the documents disagree; better mended.
    Warn,
    /// KooGallery counts the call as failed, or money or access is at risk.
    Fail,
}

/// One thing that is wrong with a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that is broken, a short fixed name such as `body-sign`.
    pub rule: &'static str,
    /// What was found and how to mend it, in a sentence or two; holds no secret.
    pub text: String,
    /// What the seller console's debugging page says of it, in its own words; `None` until somebody knows, or where the
    /// console does not look.
    pub console: Option<String>,
}

impl Finding {
    /// A finding that makes the call fail.
    pub fn fail(rule: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, rule, text: text.into(), console: None }
    }

    /// A finding that only warns.
    pub fn warn(rule: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, rule, text: text.into(), console: None }
    }
}

/// Checks a whole reply; `key` is the access key that must have signed it. `headers` are as received, spelling and all.
pub fn check_reply(
    (shape, signing): (&ReplyShape, BodySign),
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    key: &AccessKey,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check_status(status));
    findings.extend(check_content_type(headers));
    findings.extend(check_content_encoding(headers));
    findings.extend(check_body_sign(signing, headers, body, key));
    findings.append(&mut check_body(shape, body));
    findings
}

/// Checks the body alone.
pub fn check_body(shape: &ReplyShape, body: &[u8]) -> Vec<Finding> {
    members::check(*shape, body)
}

/// Checks that user name and password in a body can be decrypted, as replies of V1 have them (spec 2-basic-v1 §4).
pub fn check_credentials(body: &[u8], key: &AccessKey) -> Vec<Finding> {
    credentials::check(body, key)
}

fn check_status(status: u16) -> Option<Finding> {
    match status {
        200 => None,
        300..=399 => Some(Finding::fail(
            "redirect",
            format!(
                "HTTP status {status} redirects; KooGallery needs the answer at the production address itself: \
                 register the final URL, scheme and trailing slash included"
            ),
        )),
        _ => Some(Finding::fail(
            "http-status",
            format!(
                "HTTP status {status}; every reply must have 200, errors too: KooGallery counts any other status as \
                 failure, and says what went wrong by resultCode"
            ),
        )),
    }
}

fn check_content_type(headers: &[(String, String)]) -> Option<Finding> {
    let Some(value) = header(headers, "Content-Type") else {
        return Some(Finding::fail("content-type", "no Content-Type header; send Content-Type: application/json"));
    };
    let (media_type, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Some(Finding::fail("content-type", format!("Content-Type is {value}; it must be application/json")));
    }
    let foreign_charset = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, charset)| charset.trim().trim_matches('"'))
        .find(|charset| !charset.eq_ignore_ascii_case("utf-8") && !charset.eq_ignore_ascii_case("utf8"));
    foreign_charset.map(|charset| Finding::fail("content-type", format!("charset is {charset}; replies must be UTF-8")))
}

fn check_content_encoding(headers: &[(String, String)]) -> Option<Finding> {
    let encoding = header(headers, "Content-Encoding").filter(|value| !value.eq_ignore_ascii_case("identity"))?;
    let text = format!("the body is encoded as {encoding}; switch compression off for the production address");
    Some(Finding::fail("content-encoding", text))
}

fn check_body_sign(signing: BodySign, headers: &[(String, String)], body: &[u8], key: &AccessKey) -> Option<Finding> {
    let mut first_fault: Option<BodySignFault> = None;
    for (name, value) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(body_sign::HEADER_NAME)) {
        match body_sign::verify_header(key, name, value, body) {
            Ok(()) => return None,
            Err(fault) => {
                first_fault.get_or_insert(fault);
            }
        }
    }
    Some(match (first_fault, signing) {
        (Some(fault), _) => Finding::fail("body-sign", format!("Body-Sign: {fault}")),
        (None, BodySign::Mandatory) => {
            Finding::fail("body-sign", "no Body-Sign header: every reply of this generation must have it, errors too")
        }
        (None, BodySign::Advised) => Finding::warn(
            "body-sign",
            "no Body-Sign header: V1 needs it, the V2 documents disagree; sign every reply, errors too",
        ),
    })
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests;
