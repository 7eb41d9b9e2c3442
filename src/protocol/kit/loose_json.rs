//! JSON in a text of a JSON body, with or without quotation marks around names: `[{orgCode:"1", orgName:"a"}]`, as the
//! documentation of the kit prints it (spec 3-kit §5.5).
//!
//! Such names are put in quotation marks and the result is read as JSON, so depth and everything else are as strict as
//! there. Valid JSON holds no bare word before a colon, and comes through unchanged.

use serde_json::Value;

/// Reads such a text; `None` when it is none.
pub(super) fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&with_quoted_names(text))).ok()
}

/// Each bare word before a colon in quotation marks. Texts are passed over, with whatever stands in them.
fn with_quoted_names(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_name) = match first {
            '"' => (string_length(rest), false),
            _ if is_word(first) => {
                let length = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
                let is_before_colon = rest[length..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with(':');
                (length, is_before_colon && !first.is_ascii_digit())
            }
            _ => (first.len_utf8(), false),
        };
        let (piece, after) = rest.split_at(length);
        if is_name {
            quoted.extend(["\"", piece, "\""]);
        } else {
            quoted.push_str(piece);
        }
        rest = after;
    }
    quoted
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '$')
}

/// The length of the string that the text begins with, its quotation marks included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any JSON value of some depth.
    pub fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z{}\\[\\]:,\"\\\\ ]{0,10}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,4}|\\PC{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn the_sample_of_the_documentation_is_read() {
        let text = r#"[{orgCode:"00000001", orgName:"产品部", parentCode:"265789314" }, {"orgCode" : "2",_x$1 :null}]"#;
        let expected = json!([
            {"orgCode": "00000001", "orgName": "产品部", "parentCode": "265789314"},
            {"orgCode": "2", "_x$1": null},
        ]);
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn texts_are_not_mistaken_for_names() {
        for (text, expected) in [
            (r#"{a:"b:c, {d:1}"}"#, json!({"a": "b:c, {d:1}"})),
            (r#"{a:"\", b:", c:"\\"}"#, json!({"a": "\", b:", "c": "\\"})),
            (r#"{a:true,b:[false,null,-1.5e3]}"#, json!({"a": true, "b": [false, null, -1500.0]})),
            (r#"{true:1,null:2}"#, json!({"true": 1, "null": 2})),
            ("{a\n:\n1}", json!({"a": 1})),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let deep = "[".repeat(100_000);
        for text in
            ["", "{a}", "{1a:1}", "{a:b}", "{'a':1}", "{a:1,}", "{名:1}", "[{a:\"]", "{a:1}x", "{\"a:1}", "\\", &deep]
        {
            assert_eq!(parse(text), None, "{}", &text[..text.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn valid_json_comes_through_unchanged(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            prop_assert_eq!(with_quoted_names(&text), text.clone());
            prop_assert_eq!(parse(&text), Some(value));
        }

        #[test]
        fn names_may_be_bare(value in any_json()) {
            let text = serde_json::to_string(&json!({"value": value, "x_1": [{"y": 1}]})).unwrap();
            // Only the names written here are laid bare.
            let bare = text.replacen("{\"value\":", "{value :", 1).replacen("\"x_1\":[{\"y\":1}]}", "x_1:[{y:1}]}", 1);
            let expected: Value = serde_json::from_str(&text).unwrap();
            // The replacement may have hit a value that holds the same text.
            prop_assume!(bare.ends_with("x_1:[{y:1}]}"));
            prop_assert_eq!(parse(&bare), Some(expected));
        }

        #[test]
        fn any_text_is_taken_without_a_panic(text in "\\PC{0,40}|[\\[\\]{}:,\"\\\\a1 ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
