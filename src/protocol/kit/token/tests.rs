//! The vectors of the kit's V1 authentication, its candidates, and what a changed body does.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::*;
use crate::secret::Secret;

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
    access_key: String,
    body: String,
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
}

/// 2022-07-26 10:52:23.104 in Beijing.
const NOW_MS: i64 = 1_658_803_943_104;

fn key(secret: &str) -> AccessKey {
    AccessKey::new(secret.to_owned(), Secret::new(secret.to_owned()))
}

/// The verdict with default rules: the matching key's label.
fn verdict(keys: &[AccessKey], header: Option<&str>, body: &[u8]) -> Result<String, SignatureRefusal> {
    verify(keys, header, body, NOW_MS, &AuthTokenRules::default()).map(|key| key.id().to_owned())
}

/// The token over exactly this text.
fn token_over(key: &AccessKey, text: &str) -> String {
    auth_token::token_of(key, "t", text)
}

#[test]
fn every_vector_is_signed_and_judged_as_it_says() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/vectors/auth_token.json")).unwrap();
    // The others are those of the V1 basic interfaces.
    let vectors: Vec<_> = vectors.into_iter().filter(|vector| vector["inputs"]["variant"] == "json").collect();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let vector: Vector = serde_json::from_value(vector).unwrap();
        let Vector { name, inputs, intermediate, expected, .. } = &vector;
        let key = key(&inputs.access_key);
        let members = Members::parse(inputs.body.as_bytes()).unwrap();
        let values = signed_values(&members);
        let parameters = sorted(&values);
        let text = match intermediate.candidate.as_str() {
            // Where nothing is blank the two are one text.
            "no-blank" => parameters.text(Candidate::NO_BLANK).or_else(|| parameters.text(Candidate::ALL)),
            "all" => parameters.text(Candidate::ALL),
            other => panic!("unknown candidate {other}"),
        };
        assert_eq!(text.as_ref(), Some(&intermediate.string_to_sign), "{name}");
        let time_stamp = parameters.value(TIME_STAMP).unwrap();
        assert_eq!(format!("{}{time_stamp}", inputs.access_key), intermediate.hmac_key, "{name}");
        assert_eq!(auth_token::token_of(&key, time_stamp, &text.unwrap()), expected.auth_token, "{name}");
        if intermediate.candidate == "no-blank" {
            assert_eq!(sign(&key, inputs.body.as_bytes()).as_ref(), Some(&expected.auth_token), "{name}");
        }

        let verdict = verdict(&[key], Some(&vector.received), inputs.body.as_bytes());
        let expected = if vector.valid { Ok(inputs.access_key.clone()) } else { Err(SignatureRefusal::NoKeyMatches) };
        assert_eq!(verdict, expected, "{name}");
    }
}

#[test]
fn the_steps_are_taken_in_their_order() {
    let keys = [key("k")];
    let body = br#"{"a":1,"timeStamp":"20220726105123104"}"#;
    let token = sign(&keys[0], body).unwrap();
    let check = |header: Option<&str>, body: &str, expected: SignatureRefusal, code: &str| {
        let rules = AuthTokenRules { max_age_ms: Some(60_000) };
        let verdict = verify(&keys, header, body.as_bytes(), NOW_MS, &rules);
        assert_eq!(verdict.err(), Some(expected.clone()), "{header:?} {body}");
        assert_eq!(expected.result_code().as_str(), code, "{expected}");
    };
    use SignatureRefusal as Refusal;
    for header in [None, Some(""), Some(" "), Some("\"\""), Some(" \" \" ")] {
        check(header, "", Refusal::MissingAuthToken, "000001");
    }
    for body in ["", "[]", "no JSON", "{\"timeStamp\":\"\\ud800\"}", "{\"a\":1", "{}x"] {
        check(Some("x"), body, Refusal::UnsignableBody, "000002");
    }
    for body in ["{}", "{\"timeStamp\":\"\"}", "{\"timeStamp\":null}", "{\"timeStamp\":\"1\",\"timeStamp\":null}"] {
        check(Some("x"), body, Refusal::MissingTimeStamp, "000002");
    }
    check(Some("x"), "{\"timeStamp\":\"yesterday\"}", Refusal::IllFormedTimeStamp, "000002");
    let old = "{\"timeStamp\":\"20220726105123103\"}";
    check(Some("x"), old, Refusal::Stale { difference_ms: 60_001 }, "000002");
    let fresh = "{\"timeStamp\":\"20220726105123104\"}";
    check(Some("x"), fresh, Refusal::IllFormedAuthToken, "000001");
    check(Some(&token), fresh, Refusal::NoKeyMatches, "000001");
    assert_eq!(verdict(&keys, Some(&token), body), Ok("k".to_owned()));
    assert_eq!(verdict(&[], Some(&token), body), Err(Refusal::NoKeyMatches));
}

#[test]
fn one_pair_of_quotation_marks_and_white_space_around_the_token_do_not_count() {
    let keys = [key("k")];
    let body = br#"{"timeStamp":"t"}"#;
    let token = sign(&keys[0], body).unwrap();
    for header in [format!(" {token}\t"), format!("\"{token}\""), format!(" \" {token} \" ")] {
        assert!(verdict(&keys, Some(&header), body).is_ok(), "{header}");
    }
    for header in [format!("\"\"{token}\"\""), format!("\"{token}"), format!("{token}\""), format!("'{token}'")] {
        assert_eq!(verdict(&keys, Some(&header), body), Err(SignatureRefusal::IllFormedAuthToken), "{header}");
    }
}

#[test]
fn members_of_every_type_are_signed_as_text() {
    let keys = [key("old"), key("new")];
    let body = r#" { "z" : true, "i": -12, "f": 1.50e3, "n": null, "l": [ 1, "a\/\u6d4b" , null ], "o": { "b" : "\n" },
        "s": "x\"\\\u00e9", "timeStamp": "t", "e": "", "w": " ", "authToken": "x", "i": 12, "\ud83d\ude00": 1 } "#;
    let text = "authToken=x&f=1.50e3&i=12&l=[1,\"a/测\",null]&o={\"b\":\"\\n\"}&s=x\"\\é&timeStamp=t&z=true&😀=1";
    let with_blanks = text.replace("&f=", "&e=&f=").replace("&z=", "&w= &z=");
    for key in &keys {
        for text in [text, &with_blanks] {
            let token = token_over(key, text);
            assert_eq!(verdict(&keys, Some(&token), body.as_bytes()), Ok(key.id().to_owned()), "{text}");
        }
        assert_eq!(sign(key, body.as_bytes()), Some(token_over(key, text)));
    }
    let with_null = token_over(&keys[0], &text.replace("&o=", "&n=null&o="));
    assert_eq!(verdict(&keys, Some(&with_null), body.as_bytes()), Err(SignatureRefusal::NoKeyMatches));
}

#[test]
fn values_are_url_decoded_when_nothing_else_fits() {
    let keys = [key("k")];
    let body = r#"{"name":"%E6%B5%8B+1","bad":"%FF+","blank":"+","timeStamp":"t","plain":"a"}"#;
    let texts = [
        "bad=%FF+&blank=+&name=%E6%B5%8B+1&plain=a&timeStamp=t",
        "bad=%FF+&blank= &name=测 1&plain=a&timeStamp=t",
        "bad=%FF+&name=测 1&plain=a&timeStamp=t",
    ];
    for text in texts {
        assert!(verdict(&keys, Some(&token_over(&keys[0], text)), body.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn nothing_is_signed_without_a_time_stamp() {
    for body in ["", "[]", "{}", "{\"timeStamp\":\"\"}"] {
        assert_eq!(sign(&key("k"), body.as_bytes()), None, "{body}");
    }
    // A number is as good as a text.
    assert_eq!(sign(&key("k"), b"{\"timeStamp\":1}"), sign(&key("k"), b"{\"timeStamp\":\"1\"}"));
}

#[test]
fn no_refusal_tells_a_key() {
    let token = "A".repeat(43) + "=";
    let refusal = verdict(&[key("hunter2")], Some(&token), b"{\"timeStamp\":\"t\"}").unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("hunter2"));
}

/// Values that nobody could leave out, decode or cut up differently.
fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[^&=%+\\s\"]{1,8}"
            .prop_filter("looks like another type", |text| text.parse::<f64>().is_err())
            .prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        proptest::collection::vec("[a-z]{0,4}", 0..3).prop_map(Value::from),
    ]
}

/// What a value is in the signed text: types do not show there.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plain_members() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("[A-Za-z]{1,4}", plain_value(), 1..8).prop_map(|members| {
        let time_stamp = (TIME_STAMP.to_owned(), json!("20220413093539534"));
        members.into_iter().chain([time_stamp]).collect()
    })
}

proptest! {
    #[test]
    fn a_genuine_body_verifies_in_any_layout(members in plain_members(), pretty in any::<bool>()) {
        let keys = [key("k")];
        let value = Value::Object(members);
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let token = sign(&keys[0], &serde_json::to_vec(&value).unwrap()).unwrap();
        prop_assert_eq!(verdict(&keys, Some(&token), &body), Ok("k".to_owned()));
    }

    #[test]
    fn any_change_of_a_member_is_noticed(
        members in plain_members(), at in any::<prop::sample::Index>(), value in plain_value(), remove in any::<bool>()
    ) {
        let keys = [key("k")];
        let token = sign(&keys[0], &serde_json::to_vec(&members).unwrap()).unwrap();
        let mut changed = members.clone();
        let name = members.keys().nth(at.index(members.len())).unwrap();
        if remove {
            changed.remove(name);
        } else {
            changed.insert(name.clone(), value);
            prop_assume!(shown(&changed[name]) != shown(&members[name]));
        }
        prop_assert!(verdict(&keys, Some(&token), &serde_json::to_vec(&changed).unwrap()).is_err());
    }

    #[test]
    fn a_member_more_is_noticed(members in plain_members(), name in "[A-Za-z]{5,6}", value in plain_value()) {
        let keys = [key("k")];
        let token = sign(&keys[0], &serde_json::to_vec(&members).unwrap()).unwrap();
        let mut changed = members;
        changed.insert(name, value);
        prop_assert!(verdict(&keys, Some(&token), &serde_json::to_vec(&changed).unwrap()).is_err());
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(header in "\\PC{0,50}", body in any::<Vec<u8>>()) {
        let _ = verdict(&[key("k")], Some(&header), &body);
    }
}
