//! The two signatures of calls to KooGallery, as KooGallery checks them: SDK-HMAC-SHA256 with AK and SK, and the usage
//! signature with the access key. Its own implementation: nothing here comes from the code under test.

use data_encoding::{BASE64, HEXLOWER};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};

const ALGORITHM: &str = "SDK-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// How far the clocks may be apart.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// Everything but `A–Z a–z 0–9 - _ . ~` is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Headers that the caller makes himself: those that are there must be signed.
const CALLERS_OWN: [&str; 7] =
    ["content-type", "nonce", "signature", "ts", "x-sdk-content-sha256", "x-security-token", "x-stage"];

/// A pair of AK and SK.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The parts of a request that a signature covers; header names in any case, the path as on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Decoded.
    pub query: &'a [(String, String)],
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// What the gateway takes for the hash of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// What X-Sdk-Content-Sha256 says, if it is there: what Huawei's signers of today expect.
    Declared,
    /// Nothing but `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// The hash of the body, whatever a header says: what older gateways expect.
    BodyHash,
}

/// Whether a request is signed right at this time; the error says what is wrong.
pub fn verify(key: &KeyPair, request: Signable<'_>, payload: Payload, now: Timestamp) -> Result<(), String> {
    let authorization = request.header("authorization")?;
    let parts = authorization
        .strip_prefix("SDK-HMAC-SHA256 Access=")
        .and_then(|rest| rest.split_once(", SignedHeaders="))
        .and_then(|(access, rest)| Some((access, rest.split_once(", Signature=")?)));
    let Some((access, (list, signature))) = parts else { return Err(format!("Authorization is {authorization:?}")) };
    if access != key.access_key_id {
        return Err(format!("unknown access key {access:?}"));
    }
    let signed: Vec<_> = list.split(';').collect();
    if !signed.is_sorted_by(|one, next| one < next) || list != list.to_ascii_lowercase() {
        return Err(format!("signed headers {list:?} are not sorted, each once and in lower case"));
    }
    let there = CALLERS_OWN.into_iter().filter(|name| request.header(name).is_ok());
    if let Some(missing) = ["host", "x-sdk-date"].into_iter().chain(there).find(|name| !signed.contains(name)) {
        return Err(format!("{missing} is not signed"));
    }
    let date = request.header("x-sdk-date")?;
    let stamp = utc(date, "%Y%m%dT%H%M%SZ", 16).ok_or_else(|| format!("X-Sdk-Date is {date:?}"))?;
    if now.duration_since(stamp).abs() > TOLERANCE {
        return Err(format!("X-Sdk-Date {date} is too far from {now}"));
    }
    let expected = sign(key, request, &signed, &request.payload_hash(payload)?)?;
    if signature == expected { Ok(()) } else { Err(format!("signature is {signature}, not {expected}")) }
}

/// The Authorization header for a request whose other headers are all there; it signs every header it is given.
pub fn authorization(key: &KeyPair, request: Signable<'_>) -> String {
    let mut names: Vec<_> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| !name.contains('_'));
    names.sort();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let payload = request.header("x-sdk-content-sha256").map_or_else(|_| sha256_hex(request.body), str::to_owned);
    let signature = sign(key, request, &names, &payload).unwrap();
    format!("{ALGORITHM} Access={}, SignedHeaders={}, Signature={signature}", key.access_key_id, names.join(";"))
}

/// The usage signature over the exact body.
pub fn usage_signature(access_key: &str, ts: &str, nonce: &str, body: &[u8]) -> String {
    let text = [format!("ts={ts}&nonce={nonce}&body=").as_bytes(), body].concat();
    BASE64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, access_key.as_bytes()), &text).as_ref())
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// A UTC time in exactly this form and length.
pub fn utc(text: &str, form: &str, length: usize) -> Option<Timestamp> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z'));
    let time = plain.then(|| DateTime::strptime(form, text).ok())??;
    Offset::UTC.to_timestamp(time).ok()
}

fn sign(key: &KeyPair, request: Signable<'_>, signed: &[&str], payload: &str) -> Result<String, String> {
    let canonical = request.canonical(signed, payload)?;
    let hash = sha256_hex(canonical.as_bytes());
    let text = format!("{ALGORITHM}\n{}\n{hash}", request.header("x-sdk-date")?.trim());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.secret_access_key.as_bytes());
    Ok(HEXLOWER.encode(hmac::sign(&key, text.as_bytes()).as_ref()))
}

impl Signable<'_> {
    /// The one header of this name.
    fn header(&self, wanted: &str) -> Result<&str, String> {
        let mut found = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            (None, _) => Err(format!("no {wanted}")),
            (Some(_), Some(_)) => Err(format!("{wanted} twice")),
        }
    }

    fn canonical(&self, signed: &[&str], payload: &str) -> Result<String, String> {
        let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let path = percent_decode_str(self.path).decode_utf8().map_err(|error| format!("path: {error}"))?;
        let mut path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
        if !path.ends_with('/') {
            path.push('/');
        }
        let mut query = self.query.to_vec();
        query.sort();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let mut headers = String::new();
        for name in signed {
            headers.push_str(&format!("{name}:{}\n", self.header(name)?.trim()));
        }
        let (method, query, signed) = (self.method.to_ascii_uppercase(), query.join("&"), signed.join(";"));
        Ok(format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}"))
    }

    fn payload_hash(&self, payload: Payload) -> Result<String, String> {
        let hash = sha256_hex(self.body);
        let declared = self.header("x-sdk-content-sha256").ok();
        let is_json = self.header("content-type").is_ok_and(|kind| kind.starts_with("application/json"));
        match (payload, declared) {
            (Payload::BodyHash, _) | (Payload::Declared, None) => Ok(hash),
            // A declared hash stands for a body only.
            (Payload::Declared, _) if self.body.is_empty() => Ok(hash),
            (Payload::Declared, Some(declared)) if declared == hash => Ok(hash),
            (Payload::Declared | Payload::Unsigned, Some(UNSIGNED)) if !is_json => Ok(UNSIGNED.to_owned()),
            (_, declared) => Err(format!("X-Sdk-Content-Sha256 is {declared:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    fn pairs(members: &Value) -> Vec<(String, String)> {
        let members = members.as_object().unwrap().iter();
        members.map(|(name, value)| (name.clone(), text(value).to_owned())).collect()
    }

    #[test]
    fn calls_are_judged_as_the_vectors_say() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../../vectors/aksk.json")).unwrap();
        assert!(vectors.iter().any(|vector| vector["valid"] == false));
        for vector in vectors {
            let (name, inputs) = (text(&vector["name"]), &vector["inputs"]);
            let key = KeyPair {
                access_key_id: text(&inputs["ak"]).to_owned(),
                secret_access_key: text(&inputs["sk"]).to_owned(),
            };
            let query: Vec<(String, String)> = serde_json::from_value(inputs["query"].clone()).unwrap();
            let mut headers = pairs(&inputs["headers"]);
            headers.extend(pairs(&vector["intermediate"]["headers_added_by_signer"]));
            let (method, path, body) = (text(&inputs["method"]), text(&inputs["path"]), text(&inputs["body"]));
            let unsigned = Signable { method, path, query: &query, headers: &headers, body: body.as_bytes() };
            assert_eq!(authorization(&key, unsigned), text(&vector["expected"]["authorization"]), "{name}");

            let mut received = headers.clone();
            received.push(("Authorization".to_owned(), text(&vector["received"]).to_owned()));
            let now = Timestamp::from_millisecond(inputs["now_ms"].as_i64().unwrap()).unwrap();
            let verdict = verify(&key, Signable { headers: &received, ..unsigned }, Payload::Declared, now);
            assert_eq!(verdict.is_ok(), vector["valid"].as_bool().unwrap(), "{name}: {verdict:?}");
        }
    }

    #[test]
    fn usage_signatures_are_judged_as_the_vectors_say() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../../vectors/usage_signature.json")).unwrap();
        assert!(vectors.iter().any(|vector| vector["valid"] == false));
        for vector in vectors {
            let inputs = &vector["inputs"];
            let (ts, nonce, body) = (text(&inputs["ts"]), text(&inputs["nonce"]), text(&inputs["body"]));
            let signature = usage_signature(text(&inputs["access_key"]), ts, nonce, body.as_bytes());
            assert_eq!(signature, text(&vector["expected"]["signature"]), "{}", vector["name"]);
            assert_eq!(signature == text(&vector["received"]), vector["valid"] == true, "{}", vector["name"]);
        }
    }
}
