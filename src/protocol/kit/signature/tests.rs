//! The vectors of the kit's V2 authentication, and what a changed request does.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::*;
use crate::protocol::canonical_json::{self, Nulls};
use crate::protocol::signature::{sign_v2, verify_v2};
use crate::secret::Secret;

#[derive(Deserialize)]
struct Vector {
    name: String,
    valid: bool,
    reason: Option<String>,
    inputs: Inputs,
    intermediate: Intermediate,
    expected: Expected,
    received: String,
}
#[derive(Deserialize)]
struct Inputs {
    access_key: String,
    timestamp: String,
    nonce: String,
    body: String,
    now_ms: i64,
}
#[derive(Deserialize)]
struct Intermediate {
    candidate: String,
    payload: String,
    canonical: String,
}
#[derive(Deserialize)]
struct Expected {
    x_sign: String,
}

const NOW_MS: i64 = 1_680_508_066_618;
const NOW: &str = "1680508066618";

fn key(secret: &str) -> AccessKey {
    AccessKey::new(secret.to_owned(), Secret::new(secret.to_owned()))
}

/// Verifies with these values of `x-timestamp`, `x-nonce` and `x-sign`, empty ones absent: the key's label and the
/// nonce.
fn verdict_at(
    keys: &[AccessKey],
    headers: [&str; 3],
    body: &[u8],
    now_ms: i64,
) -> Result<(String, Option<String>), SignatureRefusal> {
    let [timestamp, nonce, signature] = headers;
    let header = |name: &str| {
        let value = match name {
            X_TIMESTAMP => timestamp,
            X_NONCE => nonce,
            X_SIGN => signature,
            other => panic!("{other} was asked for"),
        };
        (!value.is_empty()).then_some(value)
    };
    // What stands in the query plays no part here.
    let query = "timestamp=1&nonce=n&signature=s";
    let received = Received { query, header: &header, body };
    verify(keys, &received, now_ms, &SignatureRules::default()).map(|(key, nonce)| (key.id().to_owned(), nonce))
}

fn verdict(keys: &[AccessKey], headers: [&str; 3], body: &[u8]) -> Result<(String, Option<String>), SignatureRefusal> {
    verdict_at(keys, headers, body, NOW_MS)
}

#[test]
fn every_vector_is_signed_and_judged_as_it_says() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../../tests/vectors/kit_sign.json")).unwrap();
    assert_eq!(vectors.len(), 16);
    for vector in vectors {
        let Vector { name, inputs, intermediate, .. } = &vector;
        let key = key(&inputs.access_key);
        let (body, payload) = (inputs.body.as_bytes(), intermediate.payload.as_bytes());
        let candidate = match intermediate.candidate.as_str() {
            "raw" => Some(inputs.body.clone()),
            "sorted" => canonical_json::render(body, Nulls::Drop),
            "sorted-with-nulls" => canonical_json::render(body, Nulls::Keep),
            other => panic!("unknown candidate {other}"),
        };
        assert_eq!(candidate.as_ref(), Some(&intermediate.payload), "{name}");
        let canonical = format!("{}{}{}{}", inputs.access_key, inputs.nonce, inputs.timestamp, intermediate.payload);
        assert_eq!(canonical, intermediate.canonical, "{name}");
        assert_eq!(sign(&key, &inputs.timestamp, &inputs.nonce, payload), vector.expected.x_sign, "{name}");

        let headers = [inputs.timestamp.as_str(), &inputs.nonce, &vector.received];
        let expected = match vector.reason.as_deref() {
            None => Ok((inputs.access_key.clone(), Some(inputs.nonce.clone()))),
            Some("x-nonce missing") => Err(SignatureRefusal::MissingNonce),
            Some("stale timestamp") => Err(SignatureRefusal::Stale { difference_ms: 60_001 }),
            Some(_) => Err(SignatureRefusal::NoKeyMatches),
        };
        assert_eq!(expected.is_ok(), vector.valid, "{name}");
        assert_eq!(verdict_at(&[key], headers, body, inputs.now_ms), expected, "{name}");
    }
}

#[test]
fn a_signature_of_the_kit_is_none_of_the_basic_interfaces_and_the_reverse() {
    let keys = [key("k")];
    let body = b"{}";
    let basic = sign_v2(&keys[0], NOW, "n", body);
    assert_eq!(verdict(&keys, [NOW, "n", &basic], body), Err(SignatureRefusal::NoKeyMatches));
    let kit = sign(&keys[0], NOW, "n", body);
    let parameters = SignatureParameters { timestamp: Some(NOW), nonce: Some("n"), signature: Some(&kit) };
    assert!(verify_v2(&keys, &parameters, body, NOW_MS, &SignatureRules::default()).is_err());
    assert!(verdict(&keys, [NOW, "n", &kit], body).is_ok());
}

#[test]
fn each_missing_header_has_its_code() {
    let keys = [key("k")];
    let good = sign(&keys[0], NOW, "n", b"{}");
    let check = |headers: [&str; 3], expected: SignatureRefusal, code: &str| {
        assert_eq!(verdict(&keys, headers, b"{}"), Err(expected.clone()), "{headers:?}");
        assert_eq!(expected.result_code().as_str(), code, "{expected}");
    };
    use SignatureRefusal as Refusal;
    check(["", "n", &good], Refusal::MissingTimestamp, "000002");
    check([" ", "n", &good], Refusal::MissingTimestamp, "000002");
    check([NOW, "", &good], Refusal::MissingNonce, "000002");
    check(["now", "n", &good], Refusal::IllFormedTimestamp, "000002");
    check(["1680508006617", "n", ""], Refusal::Stale { difference_ms: 60_001 }, "000002");
    check([NOW, "n", ""], Refusal::MissingSignature, "000001");
    check([NOW, "n", "x"], Refusal::IllFormedSignature, "000001");
    check([NOW, "m", &good], Refusal::NoKeyMatches, "000001");
    let expected = Ok(("k".to_owned(), Some("n".to_owned())));
    assert_eq!(verdict(&keys, [NOW, " n\t", &good.to_uppercase()], b"{}"), expected);
}

/// One way to change a genuine request.
#[derive(Debug, Clone)]
enum Change {
    Member(String, Value),
    Remove(prop::sample::Index),
    Nonce(String),
    Timestamp(u32),
    Key(String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        ("[a-d]|\\PC{1,3}", any::<i8>().prop_map(Value::from)).prop_map(|(name, value)| Change::Member(name, value)),
        any::<prop::sample::Index>().prop_map(Change::Remove),
        "[a-z]{1,6}".prop_map(Change::Nonce),
        (0_u32..60_000).prop_map(Change::Timestamp),
        "[a-z]{1,6}".prop_map(Change::Key),
    ]
}

proptest! {
    #[test]
    fn any_change_of_a_request_is_noticed(
        members in proptest::collection::btree_map("[a-d]|\\PC{1,3}", any::<i8>(), 1..6), change in change()
    ) {
        let members: Map<String, Value> = members.into_iter().map(|(name, value)| (name, json!(value))).collect();
        let (mut changed, mut timestamp) = (members.clone(), NOW.to_owned());
        let (mut nonce, mut secret) = ("n".to_owned(), "k".to_owned());
        match change {
            Change::Member(name, value) => drop(changed.insert(name, value)),
            Change::Remove(at) => drop(changed.remove(members.keys().nth(at.index(members.len())).unwrap())),
            Change::Nonce(text) => nonce = text,
            Change::Timestamp(ms) => timestamp = (NOW_MS - i64::from(ms)).to_string(),
            Change::Key(text) => secret = text,
        }
        let same = changed == members && nonce == "n" && timestamp == NOW && secret == "k";
        let signature = sign(&key("k"), NOW, "n", &serde_json::to_vec(&members).unwrap());
        let body = serde_json::to_vec(&changed).unwrap();
        prop_assert_eq!(verdict(&[key(&secret)], [&timestamp, &nonce, &signature], &body).is_ok(), same);
    }
}
