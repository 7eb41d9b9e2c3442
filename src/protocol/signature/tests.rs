//! The vectors of the V2 signature, and the order of the steps.

use serde::Deserialize;

use super::*;
use crate::protocol::canonical_json;
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
    payload: String,
    body_hash: String,
    canonical: String,
}
#[derive(Deserialize)]
struct Expected {
    signature: String,
}

const NOW_MS: i64 = 1_680_508_066_618;
const NOW: &str = "1680508066618";
const BODY: &[u8] = br#"{"b":1,"a":null}"#;

fn key(secret: &str) -> AccessKey {
    AccessKey::new(secret.to_owned(), Secret::new(secret.to_owned()))
}

fn parameters<'a>(timestamp: &'a str, nonce: &'a str, signature: &'a str) -> SignatureParameters<'a> {
    SignatureParameters { timestamp: Some(timestamp), nonce: Some(nonce), signature: Some(signature) }
}

/// The verdict over [`BODY`] at [`NOW_MS`] with default rules: the matching key's label.
fn verdict(keys: &[AccessKey], parameters: &SignatureParameters<'_>) -> Result<String, SignatureRefusal> {
    verify_v2(keys, parameters, BODY, NOW_MS, &SignatureRules::default()).map(|key| key.id().to_owned())
}

#[test]
fn every_vector_is_signed_and_judged_as_it_says() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/signature_v2.json")).unwrap();
    assert!(vectors.len() >= 24);
    for vector in vectors {
        let Vector { name, inputs, intermediate, .. } = &vector;
        let key = key(&inputs.access_key);
        let payload = intermediate.payload.as_bytes();
        let body_hash = HEXLOWER.encode(&key.sign(payload));
        assert_eq!(body_hash, intermediate.body_hash, "{name}");
        let canonical = format!("{}{}{}{body_hash}", inputs.access_key, inputs.nonce, inputs.timestamp);
        assert_eq!(canonical, intermediate.canonical, "{name}");
        assert_eq!(sign_v2(&key, &inputs.timestamp, &inputs.nonce, payload), vector.expected.signature, "{name}");

        let parameters = parameters(&inputs.timestamp, &inputs.nonce, &vector.received);
        let keys = [key];
        let rules = SignatureRules::default();
        let verdict = verify_v2(&keys, &parameters, inputs.body.as_bytes(), inputs.now_ms, &rules);
        assert_eq!(verdict.is_ok(), vector.valid, "{name}: {verdict:?}");
        assert_eq!(verdict.err(), vector.reason.as_deref().map(refusal_of), "{name}");
    }
}

/// What the reason of an invalid vector is called here.
fn refusal_of(reason: &str) -> SignatureRefusal {
    match reason {
        "nonce missing" => SignatureRefusal::MissingNonce,
        "stale timestamp" => SignatureRefusal::Stale { difference_ms: 60_001 },
        "timestamp in the future" => SignatureRefusal::Future { difference_ms: 60_001 },
        _ => SignatureRefusal::NoKeyMatches,
    }
}

#[test]
fn the_worked_example_of_the_specification_verifies() {
    let key = key("11111111-2222-3333-4444-555555555555");
    let body = br#"{"activity":"newInstance","businessId":"87b94795-0603-4e24-8ae5-69420d60e3c8","orderId":"CS2211181819B4LVS","orderLineId":"CS2211181819B4LVS-000001","testFlag":"0"}"#;
    let nonce = "50D83FDECAED6CCD8EF597F2A577950527928BA287D04E6036E92B2806FD17DA";
    let parameters = parameters(NOW, nonce, "88F988E56C3D783B17DF5D50195A70FF8428A03283606A72E972768792D0B8AC");
    assert!(verify_v2(&[key], &parameters, body, NOW_MS, &SignatureRules::default()).is_ok());
}

#[test]
fn the_steps_are_taken_in_their_order() {
    let keys = [key("k")];
    let good = sign_v2(&keys[0], NOW, "n", BODY);
    let check = |parameters: SignatureParameters<'_>, expected: SignatureRefusal, code: &str| {
        assert_eq!(verdict(&keys, &parameters), Err(expected.clone()), "{parameters:?}");
        assert_eq!(expected.result_code().as_str(), code, "{expected}");
    };
    use SignatureRefusal as Refusal;
    check(SignatureParameters::default(), Refusal::MissingTimestamp, "000002");
    check(parameters("", "", ""), Refusal::MissingTimestamp, "000002");
    check(parameters("1x", "", ""), Refusal::MissingNonce, "000002");
    check(parameters("1x", "n", ""), Refusal::IllFormedTimestamp, "000002");
    check(parameters("-1680508066618", "n", &good), Refusal::IllFormedTimestamp, "000002");
    check(parameters("1680508006617", "n", ""), Refusal::Stale { difference_ms: 60_001 }, "000002");
    check(parameters("1680508126619", "n", ""), Refusal::Future { difference_ms: 60_001 }, "000002");
    // The window includes its ends.
    for fresh in [NOW, "1680508006618", "1680508126618"] {
        check(parameters(fresh, "n", ""), Refusal::MissingSignature, "000001");
    }
    check(parameters(NOW, "n", &good[..63]), Refusal::IllFormedSignature, "000001");
    check(parameters(NOW, "n", &good.replace(|_: char| true, "g")), Refusal::IllFormedSignature, "000001");
    check(parameters(NOW, "m", &good), Refusal::NoKeyMatches, "000001");
    assert_eq!(verdict(&keys, &parameters(NOW, "n", &good)), Ok("k".to_owned()));
    assert_eq!(verdict(&[], &parameters(NOW, "n", &good)), Err(Refusal::NoKeyMatches));
}

#[test]
fn absurd_timestamps_are_stale_or_future_and_nothing_worse() {
    let digits = "9".repeat(400);
    let future = parameters(&digits, "n", "");
    assert!(matches!(verdict(&[], &future), Err(SignatureRefusal::Future { .. })));
    let zeros = parameters("00000000000000", "n", "");
    assert_eq!(verdict(&[], &zeros), Err(SignatureRefusal::Stale { difference_ms: NOW_MS }));
    let extreme = verify_v2(&[], &parameters("1", "n", ""), BODY, i64::MIN, &SignatureRules::default());
    assert_eq!(extreme.err(), Some(SignatureRefusal::Future { difference_ms: i64::MAX }));
}

#[test]
fn future_timestamps_pass_when_the_rules_say_so() {
    let keys = [key("k")];
    let timestamp = "1680509000000";
    let signature = sign_v2(&keys[0], timestamp, "n", BODY);
    let rules = SignatureRules { reject_future: false, ..SignatureRules::default() };
    assert!(verify_v2(&keys, &parameters(timestamp, "n", &signature), BODY, NOW_MS, &rules).is_ok());
}

#[test]
fn any_of_several_keys_verifies_and_the_one_that_fits_is_returned() {
    let keys = [key("new"), key("old")];
    for key in &keys {
        let raw = sign_v2(key, NOW, "n", BODY);
        assert_eq!(verdict(&keys, &parameters(NOW, "n", &raw)), Ok(key.id().to_owned()));
        let sorted = sign_v2(key, NOW, "n", br#"{"b":1}"#);
        assert_eq!(verdict(&keys, &parameters(NOW, "n", &sorted)), Ok(key.id().to_owned()));
    }
}

#[test]
fn only_the_candidates_of_the_rules_are_tried() {
    use PayloadCandidate::{Raw, Sorted, SortedWithNulls};
    let keys = [key("k")];
    let payloads = [
        (Raw, BODY.to_vec()),
        (Sorted, canonical_json::render(BODY, Nulls::Drop).unwrap().into_bytes()),
        (SortedWithNulls, canonical_json::render(BODY, Nulls::Keep).unwrap().into_bytes()),
    ];
    for (signed, payload) in &payloads {
        let signature = sign_v2(&keys[0], NOW, "n", payload);
        for tried in [vec![], vec![Raw], vec![Sorted], vec![SortedWithNulls], vec![SortedWithNulls, Sorted, Raw]] {
            let rules = SignatureRules { candidates: tried, ..SignatureRules::default() };
            let verdict = verify_v2(&keys, &parameters(NOW, "n", &signature), BODY, NOW_MS, &rules);
            assert_eq!(verdict.is_ok(), rules.candidates.contains(signed), "{signed:?} signed, {:?}", rules.candidates);
        }
    }
    let no_nulls = br#"{"b":1,"a":2}"#;
    let signature = sign_v2(&keys[0], NOW, "n", br#"{"a":2,"b":1}"#);
    let rules = SignatureRules { candidates: vec![SortedWithNulls], ..SignatureRules::default() };
    assert!(verify_v2(&keys, &parameters(NOW, "n", &signature), no_nulls, NOW_MS, &rules).is_ok());
}

#[test]
fn a_body_that_is_no_object_has_only_its_raw_form() {
    let keys = [key("k")];
    for body in [&b"[1, 2]"[..], b"", b"\xff"] {
        let signature = sign_v2(&keys[0], NOW, "n", body);
        let rules = SignatureRules::default();
        assert!(verify_v2(&keys, &parameters(NOW, "n", &signature), body, NOW_MS, &rules).is_ok());
    }
}

#[test]
fn no_refusal_tells_a_key() {
    let keys = [key("hunter2")];
    let refusal = verdict(&keys, &parameters(NOW, "n", &"0".repeat(64))).unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("hunter2"));
}
