//! The vectors of V1 authentication, the order of its steps, and what a changed query does.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::secret::Secret;

#[derive(Deserialize)]
struct Vector {
    name: String,
    valid: bool,
    reason: Option<String>,
    inputs: Inputs,
    intermediate: Intermediate,
    expected: Expected,
    received: Option<String>,
}
#[derive(Deserialize)]
struct Inputs {
    access_key: String,
    raw_query: String,
    params: Vec<(String, String)>,
}
#[derive(Deserialize)]
struct Intermediate {
    candidate: String,
    string_to_sign: String,
    hmac_key: String,
}
#[derive(Deserialize)]
struct Expected {
    auth_token: String,
    auth_token_urlencoded: String,
}

const NOW_MS: i64 = 1_680_508_066_618;
const TIME_STAMP_OF_NOW: &str = "20230403074746618";

fn key(secret: &str) -> AccessKey {
    AccessKey::new(secret.to_owned(), Secret::new(secret.to_owned()))
}

/// The verdict with default rules: the matching key's label.
fn verdict(keys: &[AccessKey], raw: &str) -> Result<String, SignatureRefusal> {
    verdict_within(keys, raw, None)
}

fn verdict_within(keys: &[AccessKey], raw: &str, max_age_ms: Option<i64>) -> Result<String, SignatureRefusal> {
    let query = Query::parse(raw).map_err(|_| SignatureRefusal::QueryNotUtf8)?;
    verify(keys, &query, NOW_MS, &AuthTokenRules { max_age_ms }).map(|key| key.id().to_owned())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The query string of these pairs, carefully encoded.
fn raw_query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// A genuine query string: the pairs, then their token.
fn signed_query(key: &AccessKey, pairs: &[(&str, &str)]) -> String {
    format!("{}&authToken={}", raw_query(pairs), encode(&sign(key, pairs).unwrap()))
}

fn candidate_of(name: &str) -> Candidate {
    let (repairs, drops_blank) = match name {
        "all" => (false, false),
        "no-blank" => (false, true),
        "repaired" => (true, false),
        "repaired-no-blank" => (true, true),
        other => panic!("unknown candidate {other}"),
    };
    Candidate { repairs, drops_blank }
}

#[test]
fn every_vector_is_signed_and_judged_as_it_says() {
    let vectors: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/vectors/auth_token.json")).unwrap();
    // The others are those of the kit.
    let vectors: Vec<_> = vectors.into_iter().filter(|vector| vector["inputs"]["variant"] == "query").collect();
    assert_eq!(vectors.len(), 20);
    for vector in vectors {
        let vector: Vector = serde_json::from_value(vector).unwrap();
        let Vector { name, inputs, intermediate, expected, .. } = &vector;
        let key = key(&inputs.access_key);
        let query = Query::parse(&inputs.raw_query).unwrap();
        let received: Vec<_> = query.pairs().filter(|(name, _)| *name != AUTH_TOKEN).collect();
        let pairs: Vec<_> = inputs.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(received, pairs, "{name}");
        assert_eq!(query.first(AUTH_TOKEN), vector.received.as_deref(), "{name}");

        let candidate = candidate_of(&intermediate.candidate);
        let parameters = Parameters::sort(pairs.iter().copied());
        let text = parameters.text(candidate).unwrap();
        assert_eq!(text, intermediate.string_to_sign, "{name}");
        let time_stamp = query.first(TIME_STAMP).unwrap();
        assert_eq!(format!("{}{time_stamp}", inputs.access_key), intermediate.hmac_key, "{name}");
        let token = token_of(&key, time_stamp, &text);
        assert_eq!(token, expected.auth_token, "{name}");
        assert_eq!(encode(&token), expected.auth_token_urlencoded, "{name}");
        if candidate == Candidate::ALL {
            assert_eq!(sign(&key, &pairs).unwrap(), expected.auth_token, "{name}");
        }

        let verdict = verdict(&[key], &inputs.raw_query);
        let refusal = vector.reason.as_deref().map(|reason| match reason {
            "authToken missing" => SignatureRefusal::MissingAuthToken,
            _ => SignatureRefusal::NoKeyMatches,
        });
        assert_eq!(verdict.is_ok(), vector.valid, "{name}: {verdict:?}");
        assert_eq!(verdict.err(), refusal, "{name}");
    }
}

#[test]
fn the_steps_are_taken_in_their_order() {
    let keys = [key("k")];
    let token = encode(&sign(&keys[0], &[("a", "1"), ("timeStamp", "t")]).unwrap());
    let check = |raw: &str, expected: SignatureRefusal, code: &str| {
        assert_eq!(verdict_within(&keys, raw, Some(60_000)), Err(expected.clone()), "{raw}");
        assert_eq!(expected.result_code().as_str(), code, "{expected}");
    };
    use SignatureRefusal as Refusal;
    check("a=%FF", Refusal::QueryNotUtf8, "000002");
    check("", Refusal::MissingAuthToken, "000001");
    check("authToken=&timeStamp=", Refusal::MissingAuthToken, "000001");
    check("authToken=&authToken=x", Refusal::MissingAuthToken, "000001");
    check("authToken=x", Refusal::MissingTimeStamp, "000002");
    check("authToken=x&timeStamp=", Refusal::MissingTimeStamp, "000002");
    check(&format!("a=1&timeStamp=t&authToken={token}"), Refusal::IllFormedTimeStamp, "000002");
    check("authToken=x&timeStamp=20230403074646617", Refusal::Stale { difference_ms: 60_001 }, "000002");
    check(&format!("authToken=x&timeStamp={TIME_STAMP_OF_NOW}"), Refusal::IllFormedAuthToken, "000001");
    check(&format!("authToken={token}&timeStamp={TIME_STAMP_OF_NOW}"), Refusal::NoKeyMatches, "000001");
    assert_eq!(verdict(&keys, &format!("a=1&timeStamp=t&authToken={token}")), Ok("k".to_owned()));
    assert_eq!(verdict(&[], &format!("a=1&timeStamp=t&authToken={token}")), Err(Refusal::NoKeyMatches));
}

#[test]
fn a_time_stamp_may_be_as_old_as_the_rules_say_and_lie_in_the_future() {
    let keys = [key("k")];
    let check = |time_stamp: &str, max_age_ms: Option<i64>, is_accepted: bool| {
        let raw = signed_query(&keys[0], &[("timeStamp", time_stamp)]);
        assert_eq!(verdict_within(&keys, &raw, max_age_ms).is_ok(), is_accepted, "{time_stamp} {max_age_ms:?}");
    };
    check("20230403074646618", Some(60_000), true);
    check("20230403074646617", Some(60_000), false);
    check("20230403074747", Some(60_000), true);
    check("20330403074747", Some(60_000), true);
    check(TIME_STAMP_OF_NOW, Some(0), true);
    check("19700101000000000", None, true);
    check("yesterday at noon", None, true);
    check("yesterday at noon", Some(i64::MAX), false);
}

#[test]
fn a_token_is_read_in_spite_of_lost_plus_signs_and_white_space_at_its_ends() {
    let bytes = |token: &str| tag(token).map(|bytes| BASE64.encode(&bytes));
    let genuine = "++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=";
    for received in [
        genuine,
        "  q 36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=",
        " +q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=",
        " \t  q 36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM= \r\n",
        "\u{3000}++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=\u{3000}",
    ] {
        assert_eq!(bytes(received).as_deref(), Some(genuine), "{received:?}");
    }
    for received in [
        "",
        " ",
        "q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=",
        "x++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=",
        "++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM",
        "++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VN=",
        "++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg8===",
        "++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89V==",
        "++q+36tntdWAP9jc\tjpRlDNqgGSnFc5jrfNVQsg89VM=",
        "--q-36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=",
        "云++q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89V=",
        "云+q+36tntdWAP9jcajpRlDNqgGSnFc5jrfNVQsg89VM=",
    ] {
        assert_eq!(bytes(received), None, "{received:?}");
    }
}

#[test]
fn a_token_that_begins_with_an_unencoded_plus_verifies() {
    let keys = [key("k")];
    let token = |number: u32| sign(&keys[0], &[("timeStamp", &number.to_string())]).unwrap();
    let number = (0..10_000).find(|number| token(*number).starts_with('+')).unwrap();
    let raw = format!("timeStamp={number}&authToken={}", token(number));
    assert_eq!(verdict(&keys, &raw), Ok("k".to_owned()), "{raw}");
}

#[test]
fn each_candidate_verifies_and_is_tried_only_where_it_differs() {
    let keys = [key("old"), key("new")];
    let raw = "b=&c=+&email=x+y&mobilePhone=1+2&n=x+y&timeStamp=t";
    let texts = [
        "b=&c= &email=x y&mobilePhone=1 2&n=x y&timeStamp=t",
        "email=x y&mobilePhone=1 2&n=x y&timeStamp=t",
        "b=&c= &email=x+y&mobilePhone=1+2&n=x y&timeStamp=t",
        "email=x+y&mobilePhone=1+2&n=x y&timeStamp=t",
    ];
    for text in texts {
        for key in &keys {
            let raw = format!("{raw}&authToken={}", encode(&token_of(key, "t", text)));
            assert_eq!(verdict(&keys, &raw), Ok(key.id().to_owned()), "{text}");
        }
    }
    let tried = |raw: &str| {
        let query = Query::parse(raw).unwrap();
        let parameters = Parameters::sort(query.pairs());
        Candidate::EACH.into_iter().filter_map(|candidate| parameters.text(candidate)).collect::<Vec<_>>()
    };
    assert_eq!(tried(raw), texts);
    assert_eq!(tried("a=1&b=x+y"), ["a=1&b=x y"]);
    assert_eq!(tried("a=1&b="), ["a=1&b=", "a=1"]);
    assert_eq!(tried("a=1&email=x+y"), ["a=1&email=x y", "a=1&email=x+y"]);
    // A lost + alone is a blank value before its repair and none after it.
    assert_eq!(tried("email=+&a="), ["a=&email= ", "", "a=&email=+", "email=+"]);
}

#[test]
fn names_are_sorted_by_utf16_code_units_and_the_first_of_a_name_counts() {
    let sorted = |pairs: &[(&str, &str)]| Parameters::sort(pairs.iter().copied()).text(Candidate::ALL).unwrap();
    assert_eq!(sorted(&[("\u{fffd}", "3"), ("b", "2"), ("😀", "4"), ("B", "1")]), "B=1&b=2&😀=4&\u{fffd}=3");
    assert_eq!(sorted(&[("a", "1"), ("", "0"), ("a", "2"), ("aa", "3"), ("a", "")]), "=0&a=1&aa=3");
    assert_eq!(sorted(&[("authToken", "x"), ("authtoken", "y"), ("authToken", "z")]), "authtoken=y");
    assert_eq!(sorted(&[]), "");
}

#[test]
fn only_base64_parameters_are_repaired() {
    for name in ["mobilePhone", "email", "saasExtendParams"] {
        assert_eq!(repaired(name, " a b "), "+a+b+");
        assert!(matches!(repaired(name, "a+b\t"), Cow::Borrowed("a+b\t")));
    }
    for name in ["customerName", "Email", "userName", ""] {
        assert!(matches!(repaired(name, " a b "), Cow::Borrowed(" a b ")));
    }
}

#[test]
fn nothing_is_signed_without_a_time_stamp() {
    assert_eq!(sign(&key("k"), &[("a", "1")]), None);
    assert_eq!(sign(&key("k"), &[("timeStamp", ""), ("timeStamp", "1")]), None);
    assert_eq!(
        sign(&key("k"), &[("timeStamp", "1"), ("a", "1"), ("authToken", "x")]),
        sign(&key("k"), &[("a", "1"), ("timeStamp", "1"), ("timeStamp", "2")])
    );
}

#[test]
fn thousands_of_parameters_verify_like_a_few() {
    let keys = [key("k")];
    let names: Vec<String> = (0..6000).map(|number| format!("{:x}", number * 7919 % 6007)).collect();
    let mut pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    pairs.push(("timeStamp", "t"));
    assert_eq!(verdict(&keys, &signed_query(&keys[0], &pairs)), Ok("k".to_owned()));
    let equals = format!("{}authToken={}&timeStamp=t", "=&".repeat(16_000), "A".repeat(43) + "=");
    assert_eq!(verdict(&keys, &equals), Err(SignatureRefusal::NoKeyMatches));
}

#[test]
fn no_refusal_tells_a_key() {
    let raw = format!("timeStamp=t&authToken={}", "A".repeat(43) + "=");
    let refusal = verdict(&[key("hunter2")], &raw).unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("hunter2"));
}

mod changes;
