//! What the handlers of lists have in common: where a piece begins, and how actions are recorded.

use std::fmt::Display;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz;
use ring::digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::page::{decode, encode};
use super::visit::{Fault, Visit};
use crate::page::list::Continued;
use crate::page::trouble::Trouble;
use crate::page::{Flash, Words, words};
use crate::store::pages::Next;
use crate::store::{StoreError, Tx};

/// So many rows stand on a page.
pub(super) const ROWS: i64 = 50;

/// The place after which a piece begins, from the parameter `after`.
pub(super) fn place<P: DeserializeOwned>(visit: &Visit<'_>) -> Result<Option<P>, Fault> {
    place_in(visit, "after")
}

/// The same from another parameter.
pub(super) fn place_in<P: DeserializeOwned>(visit: &Visit<'_>, name: &str) -> Result<Option<P>, Fault> {
    let Some(text) = visit.text(name) else { return Ok(None) };
    let unreadable = || {
        let message = words(
            format!("参数 {name} 无效，请从列表第一页重新开始。"),
            format!("The parameter {name} is none of this list's: begin at its first page."),
        );
        Fault::from(Trouble::BadRequest(message))
    };
    decode(text).map(Some).ok_or_else(unreadable)
}

/// The address of the piece after a place.
pub(super) fn cursor(place: &impl Serialize) -> String {
    encode(place)
}

/// How a list goes on. `address` makes the address of the list with more parameters.
pub(super) fn continued<P: Serialize>(
    visit: &Visit<'_>,
    next: &Next<P>,
    address: impl Fn(&[(&str, &str)]) -> String,
) -> Continued {
    let after = |place: &P| address(&[("after", &cursor(place))]);
    let newest = visit.text("after").map(|_| address(&[]));
    match next {
        Next::End => Continued { newest, more: None, looked_enough: false },
        Next::More(place) => Continued { newest, more: Some(after(place)), looked_enough: false },
        Next::Further(place) => Continued { newest, more: Some(after(place)), looked_enough: true },
    }
}

/// A minute in Beijing, as browsers write it: `2026-11-26T14:47`. `name` is the parameter's that has it.
pub(super) fn minute(text: Option<&str>, name: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = text else { return Ok(None) };
    parse_minute(text).map(Some).ok_or_else(|| {
        let message = words(
            format!("参数 {name} 不是有效时间，例如 2026-11-26T14:47（北京时间）。"),
            format!("The parameter {name} is no time such as 2026-11-26T14:47 (Beijing)."),
        );
        Trouble::BadRequest(message).into()
    })
}

fn parse_minute(text: &str) -> Option<Timestamp> {
    let at: DateTime = text.parse().ok()?;
    tz::offset(8).to_timestamp(at).ok()
}

/// A number in the path; nothing has another one.
pub(super) fn number(visit: &Visit<'_>, name: &str) -> Result<i64, Fault> {
    visit.path(name).parse().map_err(|_| Trouble::NotFound.into())
}

/// What an action was done to, and by whom, for the record.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    peer: String,
    action: &'static str,
    subject: String,
    detail: Option<String>,
    at: Timestamp,
}

impl Deed {
    pub(super) fn new(visit: &Visit<'_>, action: &'static str, subject: impl Into<String>) -> Self {
        Self { peer: visit.request.peer.to_string(), action, subject: subject.into(), detail: None, at: visit.now }
    }

    pub(super) fn about(self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self }
    }

    pub(super) fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Records it, in the transaction that does it.
    pub(super) fn record(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.add_operator_action(&self.peer, self.action, &self.subject, self.detail.as_deref(), self.at).map(drop)
    }
}

/// What somebody saw, part by part.
pub(super) struct Seen(digest::Context);

impl Default for Seen {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Seen {
    pub(super) fn add(&mut self, part: impl Display) {
        self.0.update(format!("{part};").as_bytes());
    }

    /// A few characters that are others when any of the parts is another one: they tell whether it still stands.
    pub(super) fn digest(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0.finish().as_ref()[..8])
    }
}

/// The same of parts that are at hand.
pub(super) fn digest_of<T: Display>(parts: impl Iterator<Item = T>) -> String {
    let mut seen = Seen::default();
    parts.for_each(|part| seen.add(part));
    seen.digest()
}

/// Nothing was done, because things do not stand any more as the operator saw them.
pub(super) fn changed_meanwhile() -> Fault {
    Trouble::Conflict(words(
        "在您查看之后情况已变化（可能已自动完成，或由他人处理）。未执行任何操作，请返回重新查看。",
        "Things have changed since you looked: the work went on by itself, or somebody else did it. Nothing was done. Go back and \
         look again.",
    ))
    .into()
}

/// An action that cannot be done: why.
pub(super) fn conflict(zh: impl Into<String>, en: impl Into<String>) -> Fault {
    Trouble::Conflict(words(zh, en)).into()
}

/// A message for the next page: it was done.
pub(super) fn done(message: Words) -> Option<Flash> {
    Some(Flash { is_good: true, message })
}

/// A message for the next page: nothing was done.
pub(super) fn not_done(message: Words) -> Option<Flash> {
    Some(Flash { is_good: false, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_one_of_beijing() {
        let at = |text: &str| parse_minute(text).map(|at| at.to_string());
        assert_eq!(at("2026-11-26T08:00").as_deref(), Some("2026-11-26T00:00:00Z"));
        assert_eq!(at("2026-11-26T07:59:30").as_deref(), Some("2026-11-25T23:59:30Z"));
        for text in ["", "yesterday", "2026-13-01T00:00", "2026-11-26T25:00"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn what_has_changed_has_another_digest() {
        let digest = |parts: &[&str]| digest_of(parts.iter());
        assert_eq!(digest(&["1 dead", "2 dead"]), digest(&["1 dead", "2 dead"]));
        assert_ne!(digest(&["1 dead", "2 dead"]), digest(&["1 dead", "2 waiting"]));
        assert_ne!(digest(&["1"]), digest(&["1", ""]));
    }
}
