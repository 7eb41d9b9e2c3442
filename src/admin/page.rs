//! Lists in pieces. Where the next piece begins is said by a cursor: the key of the last entry shown, in a form that callers
//! hand back and do not read. Entries that come meanwhile are neither skipped nor shown twice.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{Call, unreadable};
use super::reply::{self, Problem};
use crate::http::Reply;

/// What a list is to hold: so many entries at most, beyond the key of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<K> {
    limit: i64,
    /// The key of the last entry of the piece before.
    pub(super) from: Option<K>,
}

impl<K: Serialize + DeserializeOwned> Piece<K> {
    /// Reads `limit`, and the cursor from the parameter of this name.
    pub(super) fn read(call: &Call<'_>, default_limit: i64, cursor: &str) -> Result<Self, Problem> {
        let decode =
            |text: &str| decode(text).ok_or_else(|| unreadable(cursor, "it must be the \"next\" of an answer"));
        Ok(Self { limit: call.limit(default_limit)?, from: call.text(cursor).map(decode).transpose()? })
    }

    /// How many rows to look up: one more than are shown tells whether there are more.
    pub(super) fn rows(&self) -> i64 {
        self.limit.saturating_add(1)
    }

    /// The answer: `{"<name>": […], "next": …}`.
    pub(super) fn reply<R>(
        &self,
        name: &str,
        rows: &[R],
        key: impl Fn(&R) -> K,
        view: impl Fn(&R) -> Value,
    ) -> Result<Reply, Problem> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let shown = &rows[..rows.len().min(limit)];
        let next = if rows.len() > limit { shown.last().map(|last| encode(&key(last))) } else { None };
        Ok(reply::ok(&json!({ name: shown.iter().map(view).collect::<Value>(), "next": next })))
    }
}

/// A cursor of a key.
pub(super) fn encode(key: &impl Serialize) -> String {
    // Keys are numbers and texts: they can always be written.
    BASE64URL_NOPAD.encode(json!(key).to_string().as_bytes())
}

/// The key of a cursor; `None`: it is none of this list's.
pub(super) fn decode<K: DeserializeOwned>(text: &str) -> Option<K> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_another_lists_one_does_not() {
        let key = ("测 1".to_owned(), 7_i64);
        assert_eq!(decode(&encode(&key)), Some(key.clone()));
        assert_eq!(decode(&encode(&i64::MIN)), Some(i64::MIN));
        assert_eq!(decode::<i64>(&encode(&key)), None);
        assert_eq!(decode::<i64>("17"), None);
        assert_eq!(decode::<i64>("测"), None);
    }
}
