//! What others answer: the merchant's application, KooGallery's open API, and the sellers that `simulate` plays to.

use koogate::fulfilment::answer::Answer;
use koogate::fulfilment::event::EventName;
use koogate::fulfilment::webhook::WebhookSecret;
use koogate::login::reply as login;
use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::protocol::open_api::license::CodeInfo;
use koogate::protocol::open_api::order::Order;
use koogate::protocol::open_api::reply::{self, Reply};
use koogate::protocol::reply_checks::{BodySign, ReplyShape, Severity, check_credentials, check_reply};
use koogate::secret::Secret;

use super::{split, text};

/// An answer to an event, or a fault that says why; the same for the same bytes, with or without a mark in front.
pub fn hook_answer(data: &[u8]) {
    for event in EventName::ALL {
        let answer = Answer::parse(event, data);
        assert_eq!(answer, Answer::parse(event, data), "parsed twice");
        if let Some(text) = text(data).filter(|text| !text.starts_with('\u{feff}')) {
            assert_eq!(answer, Answer::parse(event, format!("\u{feff} {text}\r\n").as_bytes()), "with a mark in front");
        }
        if let Err(fault) = answer {
            let shown = fault.to_string();
            assert!(!shown.is_empty() && shown.len() < 2000, "{} bytes of fault", shown.len());
        }
    }
    let Some(text) = text(data) else { return };
    if let Ok(secret) = WebhookSecret::parse(text) {
        assert!(!format!("{secret:?}").contains(text.trim()));
        assert_ne!(secret.sign("id", 1, b"body"), secret.sign("id", 2, b"body"));
    }
}

/// A reply of the open API and what is read out of it.
pub fn open_api(data: &[u8]) {
    for status in [200, 400, 404, 429, 500, 503] {
        match reply::read(status, data) {
            Reply::Done(members) => {
                let order = Order::read(members.get("order_info"), "CS1");
                if let Ok(order) = &order {
                    let _ = (Order::line(order, None), Order::line(order, Some("CS1-000001")));
                }
                let _ = (CodeInfo::of_activation(&members), CodeInfo::of_heartbeat(&members));
                let _ = CodeInfo::of_heartbeats(&members);
            }
            Reply::Refused(refusal) => {
                let _ = (refusal.standing(), refusal.is_beyond_gateway());
            }
            Reply::Unreadable { shown } => {
                assert!(shown.len() < 2000 && !shown.chars().any(char::is_control), "{shown:?}");
            }
        }
        let private = ["canary-0123456789abcdef"];
        if let Err(fault) = login::tokens(status, data, &private) {
            assert!(!fault.to_string().contains(private[0]), "{fault}");
        }
        let _ = login::user(status, data, "tenant", &private);
    }
}

/// A seller's reply: the first line is a header's value, the rest the body.
pub fn replies(data: &[u8]) {
    let key = AccessKey::new("fuzz".to_owned(), Secret::new("11111111-2222-3333-4444-555555555555".to_owned()));
    let (header, body) = split(data, b'\n');
    let header = String::from_utf8_lossy(header).into_owned();
    let signed = body_sign::header_value(&key, body);
    for shape in [
        ReplyShape::Plain,
        ReplyShape::NewInstance,
        ReplyShape::QueryInstance,
        ReplyShape::GetLicense,
        ReplyShape::GetLicenseAsync,
    ] {
        for value in [&header, &signed] {
            let headers =
                [("Content-Type".to_owned(), "application/json".to_owned()), ("Body-Sign".to_owned(), value.clone())];
            let findings = check_reply((&shape, BodySign::Mandatory), 200, &headers, body, &key);
            let is_sound = findings.iter().all(|finding| finding.severity != Severity::Fail);
            // Who cannot sign is never taken for the seller.
            assert!(!is_sound || body_sign::verify_header(&key, "Body-Sign", value, body).is_ok());
        }
    }
    assert!(body_sign::verify_header(&key, "Body-Sign", &signed, body).is_ok());
    let _ = check_credentials(body, &key);
}
