//! What KooGallery sends and what it wants to hear: signatures, calls, answers.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::hmac;
use serde::{Deserialize, Serialize};

/// A time stamp may be so far away, in milliseconds.
const WINDOW_MS: i64 = 60_000;

pub const UNKNOWN_INSTANCE: &str = r#"{"resultCode":"000003","resultMsg":"no such instance","info":[]}"#;
const BAD_PARAMETER: &str = r#"{"resultCode":"000002","resultMsg":"illegal parameter"}"#;

/// The query of the URL.
#[derive(Deserialize)]
pub struct Stamp {
    signature: Option<String>,
    timestamp: Option<String>,
    nonce: Option<String>,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    activity: String,
    business_id: Option<String>,
    order_id: Option<String>,
    order_line_id: Option<String>,
    instance_id: Option<String>,
}

/// What is to be done.
pub enum Work {
    /// A purchase; the answer is the one to give if it is the first of its identity.
    Create { order_id: String, order_line_id: String, instance_id: String, first: Answer },
    /// Access data of one instance.
    Query { instance_id: String },
    /// A call that cannot be understood.
    Refuse(&'static str),
}

/// An answer with its signature.
#[derive(Clone)]
pub struct Answer {
    pub body: String,
    pub body_sign: String,
}

/// Why a call is not let in, or not answered as it wishes.
pub enum Refusal {
    Authentication,
    Internal,
}

impl Refusal {
    pub fn body(&self) -> &'static str {
        match self {
            Self::Authentication => r#"{"resultCode":"000001","resultMsg":"authentication failed"}"#,
            Self::Internal => r#"{"resultCode":"000005","resultMsg":"internal error"}"#,
        }
    }
}

/// The access key.
#[derive(Clone)]
pub struct Key {
    text: &'static str,
    hmac: hmac::Key,
}

impl Key {
    pub fn new(text: &'static str) -> Self {
        Self { text, hmac: hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()) }
    }

    /// The time of day in milliseconds and the nonce of a genuine call.
    pub fn verify<'s>(&self, stamp: &'s Stamp, body: &[u8]) -> Result<(i64, &'s str), Refusal> {
        let Stamp { signature: Some(signature), timestamp: Some(timestamp), nonce: Some(nonce) } = stamp else {
            return Err(Refusal::Authentication);
        };
        let now = now_ms();
        let sent: i64 = timestamp.parse().map_err(|_| Refusal::Authentication)?;
        if now.abs_diff(sent) > WINDOW_MS.unsigned_abs() {
            return Err(Refusal::Authentication);
        }
        let body_hash = HEXLOWER.encode(hmac::sign(&self.hmac, body).as_ref());
        let canonical = [self.text, nonce, timestamp, &body_hash].concat();
        let signature = HEXLOWER_PERMISSIVE.decode(signature.as_bytes()).map_err(|_| Refusal::Authentication)?;
        // In constant time.
        hmac::verify(&self.hmac, canonical.as_bytes(), &signature).map_err(|_| Refusal::Authentication)?;
        Ok((now, nonce))
    }

    pub fn signed(&self, body: String) -> Answer {
        let signature = BASE64.encode(hmac::sign(&self.hmac, body.as_bytes()).as_ref());
        Answer { body, body_sign: format!(r#"sign_type="HMAC-SHA256", signature="{signature}""#) }
    }
}

/// What a body asks for.
pub fn read(key: &Key, body: &[u8]) -> Work {
    let refuse = || Work::Refuse(BAD_PARAMETER);
    let Ok(call) = serde_json::from_slice::<Call>(body) else { return refuse() };
    match (call.activity.as_str(), call.business_id, call.order_id, call.order_line_id, call.instance_id) {
        ("newInstance", Some(instance_id), Some(order_id), Some(order_line_id), _) => {
            let first = key.signed(created(&instance_id));
            Work::Create { order_id, order_line_id, instance_id, first }
        }
        ("queryInstance", _, _, _, Some(instance_id)) => Work::Query { instance_id },
        _ => refuse(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created<'a> {
    result_code: &'static str,
    result_msg: &'static str,
    instance_id: &'a str,
}

pub fn created(instance_id: &str) -> String {
    json(&Created { result_code: "000000", result_msg: "success", instance_id })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    result_code: &'static str,
    result_msg: &'static str,
    info: [InstanceInfo<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceInfo<'a> {
    instance_id: &'a str,
    app_info: AppInfo<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppInfo<'a> {
    front_end_url: &'a str,
    admin_url: &'a str,
}

pub fn found(instance_id: &str) -> String {
    let front_end_url = format!("https://app.example.com/{instance_id}");
    let app_info = AppInfo { front_end_url: &front_end_url, admin_url: "https://app.example.com/admin" };
    json(&Found { result_code: "000000", result_msg: "success", info: [InstanceInfo { instance_id, app_info }] })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text and nothing else")
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292,000,000")
}
