//! The AK/SK signature SDK-HMAC-SHA256 by which the open API knows the seller's account (spec 5-open-api §3; Huawei Cloud
//! "AK/SK signing and authentication", the form without key derivation).
//!
//! What is signed is what is sent: the caller sends the headers it handed in and those it gets back, and no other body.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};

use crate::secret::Secret;

/// Everything but letters, digits and `-_.~` is encoded (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The header that stands for the body in its place.
const CONTENT_SHA256: &str = "X-Sdk-Content-Sha256";

/// What official signers put there for bodies that are no JSON.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The access key of the seller's Huawei Cloud account; not the access key of the callbacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// AK.
    pub access_key_id: String,
    /// SK.
    pub secret_access_key: Secret<String>,
}

/// A request that is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// In capitals.
    pub method: &'a str,
    /// With its port where that is not the scheme's own.
    pub host: &'a str,
    /// As it stands in the request, from the first slash.
    pub path: &'a str,
    /// Decoded names and values.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers that are sent, besides those that the signature adds.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body's exact bytes.
    pub body: &'a [u8],
}

/// The headers that sign a request at `now`: `Authorization`, and of `Host`, `X-Sdk-Date` and `X-Sdk-Content-Sha256` those
/// that it needs and does not have.
pub fn sign(credentials: &Credentials, request: &Unsigned<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
    let has = |name: &str| request.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    let mut added = Vec::new();
    if !has("X-Sdk-Date") {
        added.push(("X-Sdk-Date", now.strftime("%Y%m%dT%H%M%SZ").to_string()));
    }
    let content_type = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
    let is_json = |value: &str| value.starts_with("application/json") || value.starts_with("application/bson");
    if content_type.is_some_and(|(_, value)| !is_json(value)) && !has(CONTENT_SHA256) {
        added.push((CONTENT_SHA256, UNSIGNED_PAYLOAD.to_owned()));
    }
    if !has("Host") {
        added.push(("Host", request.host.to_owned()));
    }
    let all = request.headers.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str())));
    let headers = Headers::of(all);
    let signed_headers = headers.names();
    let date = headers.value("x-sdk-date").unwrap_or_default();
    let text = string_to_sign(date, &canonical_request(request, &headers));
    let key = hmac::Key::new(hmac::HMAC_SHA256, credentials.secret_access_key.expose().as_bytes());
    let signature = HEXLOWER.encode(hmac::sign(&key, text.as_bytes()).as_ref());
    let access_key_id = &credentials.access_key_id;
    let authorization =
        format!("SDK-HMAC-SHA256 Access={access_key_id}, SignedHeaders={signed_headers}, Signature={signature}");
    added.push(("Authorization", authorization));
    added
}

/// The signed headers: names in lower case, sorted; names with an underscore are left out, as gateways drop them.
struct Headers(Vec<(String, String)>);

impl Headers {
    fn of<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Self {
        let signed = headers.filter(|(name, _)| !name.contains('_'));
        let mut signed: Vec<_> = signed.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        signed.sort();
        Self(signed)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.join(";")
    }

    fn value(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

fn string_to_sign(date: &str, canonical_request: &str) -> String {
    format!("SDK-HMAC-SHA256\n{date}\n{}", sha256_hex(canonical_request.as_bytes()))
}

fn canonical_request(request: &Unsigned<'_>, headers: &Headers) -> String {
    let mut text = format!("{}\n{}\n{}\n", request.method, canonical_uri(request.path), canonical_query(request.query));
    for (name, value) in &headers.0 {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name}:{value}");
    }
    let payload = match headers.value("x-sdk-content-sha256") {
        Some(given) if !request.body.is_empty() => given.to_owned(),
        _ => sha256_hex(request.body),
    };
    let _ = write!(text, "\n{}\n{payload}", headers.names());
    text
}

/// Decoded, each part encoded again, a slash behind it.
fn canonical_uri(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let parts: Vec<String> = decoded.split('/').map(encoded).collect();
    let mut uri = parts.join("/");
    if !uri.ends_with('/') {
        uri.push('/');
    }
    uri
}

fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut sorted = query.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> =
        sorted.into_iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// Percent-encoded as the signature wants it; fit for a request's path and query too.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        valid: bool,
        inputs: Inputs,
        intermediate: Intermediate,
        expected: Expected,
        received: String,
    }

    #[derive(Deserialize)]
    struct Inputs {
        ak: String,
        sk: String,
        method: String,
        host: String,
        path: String,
        query: Vec<(String, String)>,
        headers: BTreeMap<String, String>,
        body: String,
        now_ms: i64,
    }

    #[derive(Deserialize)]
    struct Intermediate {
        headers_added_by_signer: BTreeMap<String, String>,
        body_sha256: String,
        canonical_query: String,
        canonical_request: String,
        string_to_sign: String,
        signed_headers: String,
    }

    #[derive(Deserialize)]
    struct Expected {
        authorization: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../../tests/vectors/aksk.json")).unwrap()
    }

    /// What every vector's request is signed with.
    fn signed(inputs: &Inputs) -> (Vec<(&'static str, String)>, String) {
        let credentials =
            Credentials { access_key_id: inputs.ak.clone(), secret_access_key: Secret::new(inputs.sk.clone()) };
        let query: Vec<_> = inputs.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers: Vec<_> = inputs.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = Unsigned {
            method: &inputs.method,
            host: &inputs.host,
            path: &inputs.path,
            query: &query,
            headers: &headers,
            body: inputs.body.as_bytes(),
        };
        let added = sign(&credentials, &request, Timestamp::from_millisecond(inputs.now_ms).unwrap());
        let all = headers.iter().copied().chain(added.iter().map(|(name, value)| (*name, value.as_str())));
        let canonical = canonical_request(&request, &Headers::of(all.filter(|(name, _)| *name != "Authorization")));
        (added, canonical)
    }

    #[test]
    fn every_vector_is_signed_as_it_says() {
        let vectors = vectors();
        assert!(vectors.len() >= 17);
        for Vector { name, valid, inputs, intermediate, expected, received } in vectors {
            let (mut added, canonical) = signed(&inputs);
            assert_eq!(sha256_hex(inputs.body.as_bytes()), intermediate.body_sha256, "{name}");
            let query: Vec<_> = inputs.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(canonical_query(&query), intermediate.canonical_query, "{name}");
            assert_eq!(canonical, intermediate.canonical_request, "{name}");
            let date = &inputs.headers["X-Sdk-Date"];
            assert_eq!(string_to_sign(date, &canonical), intermediate.string_to_sign, "{name}");
            let (_, authorization) = added.pop().unwrap();
            assert_eq!(authorization, expected.authorization, "{name}");
            assert!(authorization.contains(&format!("SignedHeaders={},", intermediate.signed_headers)), "{name}");
            assert!(!valid || authorization == received, "{name}");
            let added: BTreeMap<_, _> = added.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(added, intermediate.headers_added_by_signer, "{name}");
        }
    }

    #[test]
    fn a_request_without_a_date_gets_the_clocks() {
        let credentials =
            Credentials { access_key_id: "AK".to_owned(), secret_access_key: Secret::new("SK".to_owned()) };
        let request = Unsigned { method: "GET", host: "h", path: "/", query: &[], headers: &[], body: b"" };
        let added = sign(&credentials, &request, "2026-01-15T08:30:00.9Z".parse().unwrap());
        assert_eq!(added[0], ("X-Sdk-Date", "20260115T083000Z".to_owned()));
    }

    #[test]
    fn the_secret_shows_nowhere() {
        let (added, canonical) = signed(&vectors()[0].inputs);
        let shown = format!("{added:?}{canonical}");
        assert!(!shown.contains("not-a-real-secret"), "{shown}");
        let credentials =
            Credentials { access_key_id: "AK".to_owned(), secret_access_key: Secret::new("hunter2".to_owned()) };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    proptest! {
        /// However a path is encoded in the request, its canonical form is one and ends with a slash.
        #[test]
        fn a_path_has_one_canonical_form(parts in proptest::collection::vec("[^/%\u{0}]{0,8}", 0..5)) {
            let plain = format!("/{}", parts.join("/"));
            let encoded = format!("/{}", parts.iter().map(|part| encoded(part)).collect::<Vec<_>>().join("/"));
            prop_assert_eq!(canonical_uri(&plain), canonical_uri(&encoded));
            prop_assert!(canonical_uri(&plain).ends_with('/'));
        }
    }
}
