//! `saasExtendParams`: what a buyer entered for a product, in one V1 parameter (V1 access guide; spec 2-basic-v1 §5).
//!
//! The parameter is the base64 of a JSON array of names and values. What the names mean is the product's matter; the
//! base64 text, not the JSON, is what `authToken` signs.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::json;
use serde_json::value::RawValue;

/// Why a `saasExtendParams` cannot be read. Never shows what it holds, which may be personal data.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExtendParamsFault {
    /// Not base64, with or without padding.
    #[error("saasExtendParams is not base64 of the standard alphabet")]
    NotBase64,
    /// Base64 of something that is no text.
    #[error("saasExtendParams is not UTF-8 after base64 decoding")]
    NotUtf8,
    /// Base64 of another text.
    #[error("saasExtendParams is not JSON after base64 decoding")]
    NotJson,
    /// JSON, but no array.
    #[error("saasExtendParams is not a JSON array")]
    NotAnArray,
    /// An element that is no object with a text `name`.
    #[error("element number {position} of saasExtendParams is not an object with a text as its name")]
    NoName {
        /// Which element it is, counted from 1.
        position: usize,
    },
    /// A text with an escaped lone surrogate, which no Unicode text can hold.
    #[error("the value of element number {position} of saasExtendParams is not Unicode")]
    NotUnicode {
        /// Which element it is, counted from 1.
        position: usize,
    },
}

/// Reads the parameter's value, which was form-decoded once; the empty one stands for no extension parameters.
///
/// Values that are absent or `null` are empty; texts stay as they are, JSON text among them; everything else (numbers,
/// `true`, objects) becomes its JSON text, to the letter. The last of several elements of one name counts, and so does
/// the last of several members.
///
/// # Errors
/// The first [`ExtendParamsFault`] found.
pub fn parse(value: &str) -> Result<BTreeMap<String, String>, ExtendParamsFault> {
    if value.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A blank was a `+` that the caller did not percent-encode (spec 2-basic-v1 §5).
    let base64 = value.replace(' ', "+");
    let json = BASE64_NOPAD.decode(base64.trim_end_matches('=').as_bytes());
    let json = String::from_utf8(json.map_err(|_| ExtendParamsFault::NotBase64)?);
    let json = json.map_err(|_| ExtendParamsFault::NotUtf8)?;
    // Raw values keep numbers to the letter, and skip nested ones without recursion.
    let array: &RawValue = serde_json::from_str(&json).map_err(|_| ExtendParamsFault::NotJson)?;
    let elements: Vec<&RawValue> = serde_json::from_str(array.get()).map_err(|_| ExtendParamsFault::NotAnArray)?;
    let positions = 1..;
    positions.zip(elements).map(|(position, element)| read_element(position, element)).collect()
}

/// The parameter's value for these names and values, in their order and before percent-encoding: base64 of compact JSON.
pub fn render(pairs: &[(&str, &str)]) -> String {
    let elements: Vec<_> = pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    BASE64.encode(json!(elements).to_string().as_bytes())
}

fn read_element(position: usize, element: &RawValue) -> Result<(String, String), ExtendParamsFault> {
    let no_name = ExtendParamsFault::NoName { position };
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(element.get()).map_err(|_| no_name)?;
    let name = members.get("name").and_then(|name| serde_json::from_str(name.get()).ok()).ok_or(no_name)?;
    let value = match members.get("value").map(|value| value.get()) {
        None | Some("null") => String::new(),
        Some(text) if text.starts_with('"') => {
            serde_json::from_str(text).map_err(|_| ExtendParamsFault::NotUnicode { position })?
        }
        Some(other) => other.to_owned(),
    };
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::protocol::query::Query;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        valid: bool,
        reason: Option<String>,
        inputs: Inputs,
        intermediate: Intermediate,
        expected: Expected,
    }
    #[derive(Deserialize)]
    struct Inputs {
        wire: String,
    }
    #[derive(Deserialize)]
    struct Intermediate {
        decoded_value: String,
        json: Option<String>,
    }
    #[derive(Deserialize)]
    struct Expected {
        params: Option<Vec<Parameter>>,
        error: Option<String>,
    }
    #[derive(Deserialize)]
    struct Parameter {
        name: String,
        value: String,
    }

    fn encoded(json: &str) -> String {
        BASE64.encode(json.as_bytes())
    }

    #[test]
    fn every_vector_is_read_and_written_as_it_says() {
        let vectors = include_str!("../../tests/vectors/saas_extend_params.json");
        let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
        assert_eq!(vectors.len(), 11);
        for Vector { name, valid, reason, inputs, intermediate, expected } in vectors {
            let raw = format!("saasExtendParams={}", inputs.wire);
            let query = Query::parse(&raw).unwrap();
            let value = query.first("saasExtendParams").unwrap();
            assert_eq!(value, intermediate.decoded_value, "{name}");
            let read = parse(value);
            assert_eq!(read.is_ok(), valid, "{name}");
            assert_eq!(expected.error, reason, "{name}");
            let Some(reason) = reason else {
                let params = expected.params.unwrap();
                let pairs: Vec<_> = params.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
                let expected = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                assert_eq!(read, Ok(expected), "{name}");
                if let Some(json) = intermediate.json {
                    assert_eq!(render(&pairs), encoded(&json), "{name}");
                }
                continue;
            };
            let fault = match reason.as_str() {
                "not base64" => ExtendParamsFault::NotBase64,
                "not JSON" => ExtendParamsFault::NotJson,
                "not an array" => ExtendParamsFault::NotAnArray,
                other => panic!("{name}: unknown reason {other}"),
            };
            assert_eq!(read, Err(fault), "{name}");
        }
    }

    #[test]
    fn values_that_are_no_texts_become_texts() {
        let check = |value: &str, expected: &str| {
            let read = parse(&encoded(&format!(r#" [ {{ "name" : "n" , "value" : {value} }} ] "#)));
            assert_eq!(read, Ok(BTreeMap::from([("n".to_owned(), expected.to_owned())])), "{value}");
        };
        check("null", "");
        check(r#""""#, "");
        check(r#""null""#, "null");
        check(r#""\u5f20\ud83d\ude00\n""#, "张😀\n");
        check("110101199003070000", "110101199003070000");
        check("123456789012345678901234567890.50", "123456789012345678901234567890.50");
        check("-1.0E+2", "-1.0E+2");
        check("true", "true");
        check(r#"{"b": 1, "a":[ ]}"#, r#"{"b": 1, "a":[ ]}"#);
        let deep = "[".repeat(500) + &"]".repeat(500);
        check(&deep, &deep);
        assert_eq!(parse(&encoded(r#"[{"name":"n"}]"#)), Ok(BTreeMap::from([("n".to_owned(), String::new())])));
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let read = parse(&encoded(r#"[{"name":"a","value":"1"},{"name":"x","name":"a","value":"2","value":"3"}]"#));
        assert_eq!(read, Ok(BTreeMap::from([("a".to_owned(), "3".to_owned())])));
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let check = |value: &str, expected: ExtendParamsFault| assert_eq!(parse(value), Err(expected), "{value}");
        check(" ", ExtendParamsFault::NotBase64);
        check("W10-", ExtendParamsFault::NotBase64);
        check("W1=0", ExtendParamsFault::NotBase64);
        check("云", ExtendParamsFault::NotBase64);
        check("/w==", ExtendParamsFault::NotUtf8);
        check("==", ExtendParamsFault::NotJson);
        check(&encoded("[]]"), ExtendParamsFault::NotJson);
        check(&encoded("[1,]"), ExtendParamsFault::NotJson);
        check(&encoded("null"), ExtendParamsFault::NotAnArray);
        check(&encoded(r#""[]""#), ExtendParamsFault::NotAnArray);
        let good = r#"{"name":"a","value":"1"}"#;
        for bad in
            ["1", "null", "[]", "{}", r#"{"value":"1"}"#, r#"{"name":1}"#, r#"{"name":null}"#, r#"{"name":"\ud800"}"#]
        {
            check(&encoded(&format!("[{good},{bad}]")), ExtendParamsFault::NoName { position: 2 });
        }
        check(&encoded(r#"[{"name":"a","value":"\ud800"}]"#), ExtendParamsFault::NotUnicode { position: 1 });
    }

    #[test]
    fn no_fault_shows_what_was_sent() {
        let fault = parse(&encoded(r#"[{"name":1,"value":"hunter2"}]"#)).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(params in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)) {
            let pairs: Vec<_> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let written = render(&pairs);
            prop_assert_eq!(parse(&written), Ok(params.clone()));
            prop_assert_eq!(parse(&written.replace('+', " ").replace('=', "")), Ok(params));
        }

        #[test]
        fn any_text_is_taken_without_a_panic(text in any::<String>(), json in r#"([\[\]{}",:]|name|value|null|1){0,20}"#) {
            let _ = parse(&text);
            let _ = parse(&encoded(&text));
            let _ = parse(&encoded(&json));
        }
    }
}
