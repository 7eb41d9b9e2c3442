//! How each kind of webhook wants its messages, and what its replies mean. Pure.
//!
//! | kind | documented at |
//! | --- | --- |
//! | wecom | <https://developer.work.weixin.qq.com/document/path/91770>: `markdown`, content of at most 4096 bytes, at most 20 messages a minute |
//! | dingtalk | <https://open.dingtalk.com/document/robots/custom-robot-access>: `markdown`; with 加签 `timestamp` (ms) and `sign` in the query; a keyword 自定义关键词 must stand in the text; at most 20 messages a minute |
//! | feishu | <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>: `interactive`; with 签名校验 `timestamp` (s) and `sign` in the body; at most 20 KB |
//! | generic | <https://www.standardwebhooks.com>: JSON, signed in the headers |
//!
//! The robots answer HTTP 200 whatever happened; what did stands in `errcode`, or in `code`.

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::Severity;
use super::ledger::{Due, Why};
use super::message::Message;
use crate::fulfilment::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecret};
use crate::secret::Secret;

/// What messages are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlet {
    /// A group robot of WeCom 企业微信.
    WeCom,
    /// A custom robot of DingTalk 钉钉.
    DingTalk,
    /// A custom bot of Feishu 飞书, or Lark.
    Feishu,
    /// Software of the merchant's: Standard Webhooks.
    Generic,
}

impl Outlet {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WeCom, Self::DingTalk, Self::Feishu, Self::Generic];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WeCom => "wecom",
            Self::DingTalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Generic => "generic",
        }
    }

    /// Longest text, in bytes.
    fn limit(self) -> usize {
        match self {
            Self::WeCom => 4096,
            Self::DingTalk | Self::Feishu | Self::Generic => 16_000,
        }
    }
}

/// What the merchant shares with the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// Nothing: whoever knows the address may send.
    None,
    /// The robot's secret.
    Robot(Secret<String>),
    /// The secret of Standard Webhooks.
    Standard(WebhookSecret),
}

/// An HTTP POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// What is added to the address.
    pub query: String,
    /// Headers besides the media type.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON.
    pub body: String,
}

/// The request that carries a message.
pub fn post(outlet: Outlet, signing: &Signing, message: &Message, due: &[Due], now: Timestamp) -> Post {
    let plain = |body: Value| Post { query: String::new(), headers: Vec::new(), body: body.to_string() };
    match outlet {
        Outlet::WeCom => {
            let content = message.text("\n", outlet.limit());
            plain(json!({ "msgtype": "markdown", "markdown": { "content": content } }))
        }
        Outlet::DingTalk => {
            // One line end is none there.
            let text = message.text("\n\n", outlet.limit());
            let body = json!({ "msgtype": "markdown", "markdown": { "title": message.title, "text": text } });
            Post { query: dingtalk_query(signing, now), ..plain(body) }
        }
        Outlet::Feishu => plain(feishu_card(signing, message, now)),
        Outlet::Generic => standard(signing, message, due, now),
    }
}

/// `timestamp` and `sign`: HMAC-SHA256 of both lines under the secret.
fn dingtalk_query(signing: &Signing, now: Timestamp) -> String {
    let Signing::Robot(secret) = signing else { return String::new() };
    let (timestamp, secret) = (now.as_millisecond(), secret.expose());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let sign = BASE64.encode(hmac::sign(&key, format!("{timestamp}\n{secret}").as_bytes()).as_ref());
    format!("timestamp={timestamp}&sign={}", utf8_percent_encode(&sign, NON_ALPHANUMERIC))
}

fn feishu_card(signing: &Signing, message: &Message, now: Timestamp) -> Value {
    let template = match message.severity {
        Some(Severity::Urgent) => "red",
        Some(Severity::Warning) => "orange",
        None => "green",
    };
    let without_title = Message { title: String::new(), ..message.clone() };
    let content = without_title.text("\n", Outlet::Feishu.limit());
    let content = content.trim_start_matches("****").trim_start();
    let mut body = json!({
        "msg_type": "interactive",
        "card": {
            "config": { "wide_screen_mode": true },
            "header": { "template": template, "title": { "tag": "plain_text", "content": message.title } },
            "elements": [{ "tag": "div", "text": { "tag": "lark_md", "content": content } }],
        },
    });
    if let Signing::Robot(secret) = signing {
        // Here both lines are the key, and nothing is signed.
        let timestamp = now.as_second();
        let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{timestamp}\n{}", secret.expose()).as_bytes());
        body["timestamp"] = timestamp.to_string().into();
        body["sign"] = BASE64.encode(hmac::sign(&key, b"").as_ref()).into();
    }
    body
}

fn standard(signing: &Signing, message: &Message, due: &[Due], now: Timestamp) -> Post {
    let alerts: Vec<Value> = due.iter().map(shown).collect();
    let data = json!({ "title": message.title, "alerts": alerts });
    let kind = if due.is_empty() { "koogate.test" } else { "koogate.alerts" };
    let body = json!({ "type": kind, "timestamp": now.to_string(), "data": data }).to_string();
    let id = id_of(due, now);
    let mut headers = vec![(ID_HEADER, id.clone()), (TIMESTAMP_HEADER, now.as_second().to_string())];
    if let Signing::Standard(secret) = signing {
        headers.push((SIGNATURE_HEADER, secret.sign(&id, now.as_second(), body.as_bytes())));
    }
    Post { query: String::new(), headers, body }
}

/// One alert, as the API shows it, too.
fn shown(due: &Due) -> Value {
    let why = match due.why {
        Why::New => "new",
        Why::Again => "again",
        Why::Over => "over",
    };
    let mut shown = view(&due.alarm);
    shown["why"] = why.into();
    shown["since"] = due.since.to_string().into();
    shown["endedAt"] = due.ended.map(|at| at.to_string()).into();
    shown["times"] = due.times.into();
    shown
}

/// What an alarm is, in both languages.
pub fn view(alarm: &super::Alarm) -> Value {
    let words = alarm.words();
    json!({
        "kind": alarm.kind().as_str(),
        "subject": alarm.subject(),
        "severity": alarm.severity().as_str(),
        "heading": words.heading,
        "what": words.what,
        "cost": words.cost,
        "mend": words.mend,
    })
}

/// The same whenever the same is told: a message that is sent again after a crash can be known by it.
fn id_of(due: &[Due], now: Timestamp) -> String {
    let mut text = if due.is_empty() { now.to_string() } else { String::new() };
    for due in due {
        text += &format!(
            "{}\n{}\n{}\n{}\n{}\n",
            due.key.0,
            due.key.1,
            due.since.as_millisecond(),
            due.told,
            due.why == Why::Over
        );
    }
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("alert_{}", HEXLOWER.encode(&digest.as_ref()[..16]))
}

/// Whether a reply means that the message was taken; else what it said.
///
/// # Errors
/// The receiver's words, not shortened and not cleaned.
pub fn taken(outlet: Outlet, status: u16, body: &[u8]) -> Result<(), String> {
    let words = || String::from_utf8_lossy(body).into_owned();
    if !(200..300).contains(&status) {
        return Err(format!("HTTP {status}: {}", words()));
    }
    let members: &[&str] = match outlet {
        Outlet::Generic => return Ok(()),
        Outlet::WeCom | Outlet::DingTalk => &["errcode"],
        // Older bots answer StatusCode.
        Outlet::Feishu => &["code", "StatusCode"],
    };
    let reply: Value = serde_json::from_slice(body).unwrap_or_default();
    match members.iter().find_map(|member| reply.get(member)).and_then(Value::as_i64) {
        Some(0) => Ok(()),
        _ => Err(words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Alarm;
    use crate::alert::message::{compose, trial};
    use crate::text::Language;

    fn now() -> Timestamp {
        Timestamp::from_second(1_599_360_473).unwrap()
    }

    #[test]
    fn the_robots_signatures_are_those_of_their_documents_examples() {
        // Made with the sample programs of the documents (Python), secret "this is secret" and "demo".
        let robot = |secret: &str| Signing::Robot(Secret::new(secret.to_owned()));
        let query = dingtalk_query(&robot("this is secret"), now());
        assert_eq!(query, DINGTALK);
        let card = feishu_card(&robot("demo"), &trial(&[Language::En]), now());
        assert_eq!((card["timestamp"].as_str(), card["sign"].as_str()), (Some("1599360473"), Some(FEISHU)));
    }

    const DINGTALK: &str = "timestamp=1599360473000&sign=hXZTWifRGHclNuZSKxoXc%2F%2Fsh51SWfVfRIhcdeKs63I%3D";
    const FEISHU: &str = "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=";

    #[test]
    fn a_robots_reply_counts_by_its_code_and_not_by_its_status() {
        let wrong = br#"{"errcode":93000,"errmsg":"invalid webhook url"}"#;
        for outlet in [Outlet::WeCom, Outlet::DingTalk] {
            assert_eq!(taken(outlet, 200, br#"{"errcode":0,"errmsg":"ok"}"#), Ok(()));
            assert_eq!(taken(outlet, 200, wrong), Err(String::from_utf8_lossy(wrong).into_owned()));
            assert!(taken(outlet, 200, b"<html>").is_err());
        }
        assert_eq!(taken(Outlet::Feishu, 200, br#"{"code":0,"data":{},"msg":"success"}"#), Ok(()));
        assert_eq!(taken(Outlet::Feishu, 200, br#"{"StatusCode":0,"StatusMessage":"success"}"#), Ok(()));
        assert!(taken(Outlet::Feishu, 200, br#"{"code":19021,"msg":"sign match fail"}"#).is_err());
        assert_eq!(taken(Outlet::Generic, 204, b""), Ok(()));
        assert_eq!(taken(Outlet::Generic, 503, b"later"), Err("HTTP 503: later".to_owned()));
    }

    #[test]
    fn the_same_message_has_the_same_id_and_another_one_another() {
        let due = |told| {
            let alarm = Alarm::StockEmpty { stock: "a".to_owned() };
            let key = (alarm.kind(), alarm.subject());
            Due { key, alarm, since: now(), times: 1, told, ended: None, why: Why::New }
        };
        let id = |told, at| {
            let due = [due(told)];
            post(Outlet::Generic, &Signing::None, &compose(&due, &[Language::En]), &due, at).headers[0].1.clone()
        };
        let later = Timestamp::from_second(1_599_370_000).unwrap();
        assert_eq!(id(0, now()), id(0, later));
        assert_ne!(id(0, now()), id(1, now()));
    }
}
