//! The calls of KooGallery, well signed, with any content: a signature says who wrote something, not that it makes sense.

use jiff::Timestamp;
use jiff::tz::Offset;
use koogate::protocol::auth_token::{self, AuthTokenRules};
use koogate::protocol::basic_v1::BASIC_V1;
use koogate::protocol::basic_v2::BASIC_V2;
use koogate::protocol::call::Outcome;
use koogate::protocol::canonical_json::{Nulls, render};
use koogate::protocol::field_cipher::{self, EncryptType, Iv};
use koogate::protocol::key::AccessKey;
use koogate::protocol::kit::{self, KIT_V1, KIT_V2, X_NONCE, X_SIGN, X_TIMESTAMP};
use koogate::protocol::license::LICENSE;
use koogate::protocol::license_code::LICENSE_CODE;
use koogate::protocol::license_online::LICENSE_ONLINE;
use koogate::protocol::query::Query;
use koogate::protocol::reply_checks::{Severity, check_body};
use koogate::protocol::result_code::ResultCode;
use koogate::protocol::signature::{SignatureRules, sign_v2};
use koogate::protocol::{Family, Keyring, Received, Rules, extend_params, verify};
use koogate::secret::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{split, text};

/// 2023-04-03T07:47:46.618Z.
const NOW_MS: i64 = 1_680_508_066_618;

fn key() -> AccessKey {
    AccessKey::new("fuzz".to_owned(), Secret::new("11111111-2222-3333-4444-555555555555".to_owned()))
}

fn keyring() -> Keyring {
    Keyring::new(vec![key()], vec![key()], vec![key()])
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW_MS).unwrap()
}

fn rules() -> Rules {
    Rules {
        signature: SignatureRules::default(),
        body_sign_v2: true,
        auth_token: AuthTokenRules::default(),
        v1_expire_time_offset: Offset::UTC,
        request_encrypt_type: EncryptType::Aes256,
        ignores_bad_extend_params: false,
        adopts_unknown_codes: true,
    }
}

/// Reads a verified call twice to the same end, and writes a reply that KooGallery would take. False when it does not
/// verify.
fn is_read<'h>(family: &dyn Family, query: &str, header: impl Fn(&str) -> Option<&'h str>, body: &[u8]) -> bool {
    let (keyring, rules) = (keyring(), rules());
    let received = Received { query, header: &|name| header(name), body };
    let Ok(verified) = verify(family, &received, &keyring, now(), &rules) else { return false };
    let call = family.read(&verified, &rules);
    assert_eq!(call, family.read(&verified, &rules), "read twice");
    let content = family.content(received.query, received.body);
    let outcome = match &call {
        Ok(_) => {
            assert!(content.is_some(), "a call without content has no repeat");
            Outcome::refusal(ResultCode::UNKNOWN_INSTANCE, "no such instance")
        }
        Err(bad) => {
            assert!(!bad.reason.is_empty());
            Outcome::refusal(ResultCode::PARAMETER, bad.reason.clone())
        }
    };
    let reply = family.reply(call.as_ref().ok(), &outcome, &|_, _| panic!("nothing to encrypt in a refusal"));
    assert!(reply.is_ascii(), "{}", String::from_utf8_lossy(&reply));
    let shape = family.reply_shape(call.as_ref().ok());
    let failed: Vec<_> =
        check_body(&shape, &reply).into_iter().filter(|finding| finding.severity == Severity::Fail).collect();
    assert!(failed.is_empty(), "{failed:?} in {}", String::from_utf8_lossy(&reply));
    true
}

/// V2, L2 and LO: a body under a signature in the query. Another body under the same signature is the same JSON.
pub fn post(data: &[u8]) {
    let (body, other) = split(data, 0);
    let stamp = NOW_MS.to_string();
    let query = format!("signature={}&timestamp={stamp}&nonce=n", sign_v2(&key(), &stamp, "n", body));
    for family in [&BASIC_V2, &LICENSE_CODE, &LICENSE_ONLINE] {
        assert!(is_read(family, &query, |_| None, body), "well signed");
    }
    if other != body && is_read(&BASIC_V2, &query, |_| None, other) {
        // Canonical JSON is signed in place of another spelling of it.
        let forms = [Nulls::Drop, Nulls::Keep].map(|nulls| render(other, nulls));
        assert!(forms.iter().flatten().any(|form| form.as_bytes() == body), "another body under the same signature");
    }
}

/// V1 and L1: everything in the query, under a token.
pub fn get(data: &[u8]) {
    let Some(Ok(query)) = text(data).map(Query::parse) else { return };
    let mut pairs: Vec<(&str, &str)> = query.pairs().filter(|(name, _)| *name != "authToken").collect();
    if !pairs.iter().any(|(name, value)| *name == "timeStamp" && !value.is_empty()) {
        pairs.retain(|(name, _)| *name != "timeStamp");
        pairs.push(("timeStamp", "20230403074746618"));
    }
    let Some(token) = auth_token::sign(&key(), &pairs) else { return };
    pairs.push(("authToken", &token));
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let encoded = encoded.join("&");
    for family in [&BASIC_V1, &LICENSE] {
        assert!(is_read(family, &encoded, |_| None, b""), "well signed");
        // Any text at all, unsigned.
        let _ = family.content(text(data).unwrap_or_default(), b"");
    }
}

/// The kit: a body under a token (V1) or a signature (V2) in headers.
pub fn kit(body: &[u8]) {
    if let Some(token) = kit::sign_v1(&key(), body) {
        let header = |name: &str| name.eq_ignore_ascii_case("authToken").then_some(token.as_str());
        for family in &KIT_V1 {
            assert!(is_read(family, "", header, body), "well signed");
        }
    }
    let stamp = NOW_MS.to_string();
    let signature = kit::sign_v2(&key(), &stamp, "n", body);
    let header = |name: &str| match name {
        _ if name.eq_ignore_ascii_case(X_SIGN) => Some(signature.as_str()),
        _ if name.eq_ignore_ascii_case(X_TIMESTAMP) => Some(stamp.as_str()),
        _ if name.eq_ignore_ascii_case(X_NONCE) => Some("n"),
        _ => None,
    };
    for family in &KIT_V2 {
        assert!(is_read(family, "", header, body), "well signed");
    }
}

/// Extension parameters: what is rendered is read.
pub fn extend_params(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = extend_params::parse(text);
    let pairs: Vec<(&str, &str)> = text.lines().map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    let read = extend_params::parse(&extend_params::render(&pairs)).unwrap();
    for (name, value) in &read {
        let last = pairs.iter().rev().find(|(candidate, _)| candidate == name).unwrap();
        assert_eq!(last.1, value);
    }
    assert!(pairs.iter().all(|(name, _)| read.contains_key(*name)));
}

/// Encrypted members: what is encrypted is decrypted, and nothing else shows.
pub fn field_cipher(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let key = key();
    for first in [EncryptType::Aes256, EncryptType::Aes128] {
        let field = field_cipher::encrypt(&key, first, Iv::parse("Abcdefgh12345678").unwrap(), text);
        assert_eq!(field_cipher::decrypt_exactly(&key, first, &field).unwrap().expose(), text);
        // A blank for each plus, as a careless caller sends it.
        let careless = field.replace('+', " ");
        assert_eq!(field_cipher::decrypt_exactly(&key, first, &careless).unwrap().expose(), text);
        if let Err(fault) = field_cipher::decrypt(&key, first, text) {
            assert!(fault.to_string().is_ascii());
        }
        // Garbage behind a sound initialisation vector.
        let _ = field_cipher::decrypt(&key, first, &format!("Abcdefgh12345678{text}"));
    }
}
