//! Examples of the canonical forms, the vectors, and a naive reference to compare with.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::*;

fn check(body: &str, sorted: &str, with_nulls: &str) {
    assert_eq!(render(body.as_bytes(), Nulls::Drop).as_deref(), Some(sorted), "sorted form of {body}");
    assert_eq!(render(body.as_bytes(), Nulls::Keep).as_deref(), Some(with_nulls), "form with nulls of {body}");
}

fn check_same(body: &str, expected: &str) {
    check(body, expected, expected);
}

#[test]
fn top_level_members_are_sorted_and_nested_ones_keep_their_order() {
    check_same(r#"{"b":{"z":1,"a":2},"a":[{"y":0,"x":0}],"B":0}"#, r#"{"B":0,"a":[{"y":0,"x":0}],"b":{"z":1,"a":2}}"#);
}

#[test]
fn nulls_of_the_top_level_are_dropped_or_kept_and_nested_nulls_stay() {
    check(
        r#"{ "c" : null, "a" : { "n" : null }, "b" : [ null ] }"#,
        r#"{"a":{"n":null},"b":[null]}"#,
        r#"{"a":{"n":null},"b":[null],"c":null}"#,
    );
    check(r#"{"a":null}"#, "{}", r#"{"a":null}"#);
    check_same(" { } ", "{}");
}

#[test]
fn only_a_null_of_the_top_level_makes_two_forms() {
    let has_nulls = |body: &str| Members::parse(body.as_bytes()).map(|members| members.has_nulls());
    assert_eq!(has_nulls(r#"{"a":1,"b":null}"#), Some(true));
    for body in ["{}", r#"{"a":"null","null":1}"#, r#"{"a":[null],"b":{"c":null}}"#, r#"{"a":null,"a":0}"#] {
        assert_eq!(has_nulls(body), Some(false), "{body}");
    }
}

#[test]
fn the_last_of_repeated_members_counts_even_when_it_is_null_or_spelled_with_escapes() {
    check_same(r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":3,"b":2}"#);
    check(r#"{"a":1,"a":null}"#, "{}", r#"{"a":null}"#);
    check_same(r#"{"a":null,"a":"null"}"#, r#"{"a":"null"}"#);
}

#[test]
fn names_are_ordered_by_utf16_code_units() {
    // U+1F680 is D83D DE80 in UTF-16, before U+FF21, though its code point is greater.
    check_same(
        r#"{"Ａ":1,"🚀":2,"测":3,"ab":4,"a":5,"\n":6,"":7}"#,
        r#"{"":7,"\n":6,"a":5,"ab":4,"测":3,"🚀":2,"Ａ":1}"#,
    );
}

#[test]
fn strings_are_unescaped_and_escaped_again_in_one_spelling() {
    check_same(
        r#"{"k\"\\\/\u00e9":"\u6d4b\ud83d\ude80\/\u0022\u005c\u0008\u000c\u000a\u000d\u0009\u001f\u0000\u007f\u000b\u000f\u0010"}"#,
        "{\"k\\\"\\\\/é\":\"测🚀/\\\"\\\\\\b\\f\\n\\r\\t\\u001F\\u0000\u{7f}\\u000B\\u000F\\u0010\"}",
    );
}

#[test]
fn numbers_keep_their_text() {
    check_same(
        r#"{"a":[1.50,-0,1E+2,123456789012345678901234567890]}"#,
        r#"{"a":[1.50,-0,1E+2,123456789012345678901234567890]}"#,
    );
}

#[test]
fn what_is_not_one_valid_object_has_no_canonical_form() {
    for body in ["", " ", "[]", "\"{}\"", "1", "{", "{}{}", "{\"a\":01}", "{\"a\":1,}", "{'a':1}", "{\"a\":\"\n\"}"] {
        assert_eq!(render(body.as_bytes(), Nulls::Keep), None, "{body:?}");
    }
    assert_eq!(render(b"\xef\xbb\xbf{}", Nulls::Keep), None, "a byte-order mark");
    assert_eq!(render(b"{\"a\":\"\xff\"}", Nulls::Keep), None, "no UTF-8");
    for lone in [
        r#"{"a":"\ud83d"}"#,
        r#"{"a":"\ude80"}"#,
        r#"{"a":"\ud83dx"}"#,
        r#"{"a":"\ud83d\ue000"}"#,
        r#"{"\ud83d\u0041":1}"#,
    ] {
        assert_eq!(render(lone.as_bytes(), Nulls::Keep), None, "{lone}");
    }
}

#[test]
fn nesting_without_end_does_not_exhaust_the_stack() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    check_same(&deep, &deep);
    assert_eq!(render(&deep.as_bytes()[..deep.len() - 1], Nulls::Keep), None);
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    inputs: Inputs,
    intermediate: Intermediate,
}
#[derive(Deserialize)]
struct Inputs {
    body: String,
}
#[derive(Deserialize)]
struct Intermediate {
    candidate: String,
    payload: String,
}

#[test]
fn every_vector_has_its_payload() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/signature_v2.json")).unwrap();
    assert!(vectors.len() >= 24);
    for vector in vectors {
        let body = vector.inputs.body;
        let payload = match vector.intermediate.candidate.as_str() {
            "raw" => Some(body),
            "sorted" => render(body.as_bytes(), Nulls::Drop),
            "sorted-with-nulls" => render(body.as_bytes(), Nulls::Keep),
            other => panic!("{}: unknown candidate {other}", vector.name),
        };
        assert_eq!(payload.as_deref(), Some(vector.intermediate.payload.as_str()), "{}", vector.name);
    }
}

/// The definition itself, by value trees. Names of the top level may repeat; names in nested objects do not, and
/// come sorted, because that is all serde_json's maps can say.
fn naive(members: &[(String, Value)], nulls: Nulls) -> String {
    let last: BTreeMap<Vec<u16>, (&str, &Value)> =
        members.iter().map(|(name, value)| (name.encode_utf16().collect(), (name.as_str(), value))).collect();
    let members: Vec<String> = last
        .values()
        .filter(|(_, value)| nulls == Nulls::Keep || !value.is_null())
        .map(|(name, value)| {
            format!("{}:{}", naive_escapes(&serde_json::to_string(name).unwrap()), naive_escapes(&value.to_string()))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// serde_json writes `\u001f` where the canonical form has `\u001F`.
fn naive_escapes(json: &str) -> String {
    (0x0A..0x20_u8)
        .fold(json.to_owned(), |json, code| json.replace(&format!("\\u00{code:02x}"), &format!("\\u00{code:02X}")))
}

fn text() -> impl Strategy<Value = String> {
    // The backslash is left out, so that `\u001f` in the output is an escape and never text.
    proptest::collection::vec(
        prop_oneof![any::<char>(), proptest::char::range('\0', '\u{7f}'), Just('测'), Just('🚀'), Just('Ａ')],
        0..6,
    )
    .prop_map(|chars| chars.into_iter().filter(|char| *char != '\\').collect())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Writes JSON in a wilful spelling: escapes where `noise` says so and white space between tokens.
fn spell(value: &Value, noise: &mut impl Iterator<Item = u8>) -> String {
    let gap = |noise: &mut dyn Iterator<Item = u8>| [" ", "\n\t", "", ""][usize::from(noise.next().unwrap_or(0) % 4)];
    let spelled = match value {
        Value::String(text) => spell_text(text, noise),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| spell(item, noise)).collect::<Vec<_>>().join(","))
        }
        Value::Object(map) => {
            let members: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}:{}", spell_text(name, noise), spell(value, noise)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    };
    format!("{}{spelled}{}", gap(noise), gap(noise))
}

fn spell_text(text: &str, noise: &mut impl Iterator<Item = u8>) -> String {
    let chars = text.chars().map(|char| {
        let escape = char < ' ' || matches!(char, '"' | '\\') || noise.next().is_some_and(|byte| byte % 3 == 0);
        if !escape {
            return char.to_string();
        }
        char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
    });
    format!("\"{}\"", chars.collect::<String>())
}

proptest! {
    #[test]
    fn the_rewriter_agrees_with_the_naive_reference(
        members in proptest::collection::vec((text(), value()), 0..8),
        noise in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let mut noise = noise.iter().copied().cycle();
        let spelled: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{}:{}", spell_text(name, &mut noise), spell(value, &mut noise)))
            .collect();
        let body = format!(" {{{}}}\n", spelled.join(" , "));
        for nulls in [Nulls::Drop, Nulls::Keep] {
            let rendered = render(body.as_bytes(), nulls).unwrap();
            prop_assert_eq!(&rendered, &naive(&members, nulls), "{}", body);
            prop_assert!(rendered.len() <= body.len());
            prop_assert_eq!(render(rendered.as_bytes(), nulls).unwrap(), rendered, "canonical text is its own canonical form");
        }
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = render(&body, Nulls::Drop);
    }

    #[test]
    fn any_text_of_json_characters_is_taken_without_a_panic(body in "[{}\\[\\]:,\"\\\\u0d8n1 a测]{0,40}") {
        let _ = render(body.as_bytes(), Nulls::Drop);
    }
}
