//! Canonical JSON.

use koogate::protocol::canonical_json::{Members, Nulls, render};
use serde_json::Value;

/// The canonical form is one, means the same as serde_json says, and exists whenever there can be one.
pub fn canonical(data: &[u8]) {
    let value: Result<Value, _> = serde_json::from_slice(data);
    for nulls in [Nulls::Drop, Nulls::Keep] {
        let Some(text) = render(data, nulls) else {
            assert!(!matches!(value, Ok(Value::Object(_))), "an object without a canonical form");
            continue;
        };
        assert!(text.len() <= data.len() + 6 * data.iter().filter(|&&byte| byte == b'\\').count() + 2, "it grew");
        assert_eq!(render(text.as_bytes(), nulls).as_ref(), Some(&text), "rendered twice");
        // serde_json reads no deeper than 128 levels and no number beyond f64: then it says nothing.
        let Ok(value) = &value else { continue };
        let mut meant = value.as_object().expect("an object").clone();
        if nulls == Nulls::Drop {
            meant.retain(|_, value| !value.is_null());
        }
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::Object(meant), "{text}");
    }
    let Some(members) = Members::parse(data) else { return };
    let names: Vec<Vec<u16>> = members.iter().map(|(name, _)| name.encode_utf16().collect()).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "sorted by UTF-16, each name once");
    assert_eq!(members.has_nulls(), render(data, Nulls::Drop) != render(data, Nulls::Keep));
}
