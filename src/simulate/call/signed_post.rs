//! `POST …?signature&timestamp&nonce` with a JSON body: what of it is signed, and the ways in which a case spoils it (spec
//! 1-basic-v2 §1, §2).
//!
//! The time and the nonce come in from outside.

use serde_json::Value;

use super::{shape_of, strange_key};
use crate::protocol::canonical_json::{self, Nulls};
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature;

/// What is wrong with a call on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Spoil {
    WrongKey,
    NoSignature,
    ShortSignature,
    NoNonce,
    NoTimestamp,
    TextTimestamp,
    /// The time stamp lies this far from the clock, in milliseconds; negative in the past.
    Off(i64),
}

/// One call, not yet signed.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct SignedPost {
    pub(super) shape: ReplyShape,
    pub(super) body: Vec<u8>,
    /// What is signed instead of the body.
    signed: Option<Vec<u8>>,
    is_changed: bool,
    upper_case: bool,
    spoil: Option<Spoil>,
}

impl SignedPost {
    /// A call with these members: compact and in ascending order, as KooGallery writes it.
    pub(in crate::simulate) fn new(members: &Value) -> Self {
        let shape = shape_of(members["activity"].as_str());
        Self { shape, ..Self::raw(&members.to_string()) }
    }

    /// A call with exactly this text as its body, signed as it stands.
    pub(in crate::simulate) fn raw(body: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { shape: ReplyShape::Plain, body, signed: None, is_changed: false, upper_case: false, spoil: None }
    }

    /// Signs the canonical form instead of the bytes.
    pub(in crate::simulate) fn signed_sorted(mut self, nulls: Nulls) -> Self {
        self.signed = canonical_json::render(&self.body, nulls).map(String::into_bytes);
        self
    }

    /// Sends another body than the one that is signed.
    pub(in crate::simulate) fn changed_to(mut self, members: &Value) -> Self {
        let sent = members.to_string().into_bytes();
        self.signed = Some(std::mem::replace(&mut self.body, sent));
        self.is_changed = true;
        self
    }

    pub(in crate::simulate) fn upper_case(mut self) -> Self {
        self.upper_case = true;
        self
    }

    pub(in crate::simulate) fn spoiled(mut self, spoil: Spoil) -> Self {
        self.spoil = Some(spoil);
        self
    }

    pub(super) fn is_genuine(&self) -> bool {
        self.spoil.is_none() && !self.is_changed
    }

    /// The query string of the call at `now_ms` (Unix milliseconds).
    pub(super) fn query(&self, key: &AccessKey, now_ms: i64, nonce: &str) -> String {
        let stamped_ms = match self.spoil {
            Some(Spoil::Off(difference_ms)) => now_ms + difference_ms,
            _ => now_ms,
        };
        let timestamp =
            if self.spoil == Some(Spoil::TextTimestamp) { "yesterday".to_owned() } else { stamped_ms.to_string() };
        let mut signature = self.signature(key, &timestamp, nonce);
        if self.upper_case {
            signature.make_ascii_uppercase();
        }
        if self.spoil == Some(Spoil::ShortSignature) {
            signature.truncate(40);
        }
        let parameters = [
            ("signature", signature, Spoil::NoSignature),
            ("timestamp", timestamp, Spoil::NoTimestamp),
            ("nonce", nonce.to_owned(), Spoil::NoNonce),
        ];
        let kept = parameters.into_iter().filter(|(_, _, without)| self.spoil != Some(*without));
        kept.map(|(name, value, _)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    fn signature(&self, key: &AccessKey, timestamp: &str, nonce: &str) -> String {
        let payload = self.signed.as_deref().unwrap_or(&self.body);
        // An absent nonce is signed as an empty one, so that only its absence can be why the call is refused.
        let nonce = if self.spoil == Some(Spoil::NoNonce) { "" } else { nonce };
        if self.spoil == Some(Spoil::WrongKey) {
            return signature::sign_v2(&strange_key(), timestamp, nonce, payload);
        }
        signature::sign_v2(key, timestamp, nonce, payload)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::query::Query;
    use crate::protocol::signature::{SignatureParameters, SignatureRefusal, SignatureRules, verify_v2};
    use crate::secret::Secret;

    const NOW_MS: i64 = 1_680_508_066_618;

    fn check(call: &SignedPost, expected: Result<(), SignatureRefusal>) {
        let keys = [AccessKey::new("k".to_owned(), Secret::new("k".to_owned()))];
        let query = call.query(&keys[0], NOW_MS, "n0nce");
        let query = Query::parse(&query).unwrap();
        let parameters = SignatureParameters::from_query(&query);
        let verdict = verify_v2(&keys, &parameters, &call.body, NOW_MS, &SignatureRules::default());
        assert_eq!(verdict.map(|_| ()), expected, "{call:?}");
    }

    fn status(status: &str) -> Value {
        json!({"activity": "updateInstanceStatus", "instanceId": "i", "status": status, "testFlag": "1"})
    }

    #[test]
    fn good_calls_verify() {
        check(&SignedPost::new(&status("FREEZE")), Ok(()));
        check(&SignedPost::new(&status("FREEZE")).upper_case(), Ok(()));
        check(&SignedPost::raw("{ \"b\": null,\n\"a\": 1 }").signed_sorted(Nulls::Drop), Ok(()));
        check(&SignedPost::raw("{ \"b\": null,\n\"a\": 1 }").signed_sorted(Nulls::Keep), Ok(()));
    }

    #[test]
    fn spoiled_calls_are_refused_for_exactly_what_was_spoiled() {
        use SignatureRefusal as Refusal;
        for (spoil, refusal) in [
            (Spoil::WrongKey, Refusal::NoKeyMatches),
            (Spoil::NoSignature, Refusal::MissingSignature),
            (Spoil::ShortSignature, Refusal::IllFormedSignature),
            (Spoil::NoNonce, Refusal::MissingNonce),
            (Spoil::NoTimestamp, Refusal::MissingTimestamp),
            (Spoil::TextTimestamp, Refusal::IllFormedTimestamp),
            (Spoil::Off(-90_000), Refusal::Stale { difference_ms: 90_000 }),
            (Spoil::Off(90_000), Refusal::Future { difference_ms: 90_000 }),
        ] {
            check(&SignedPost::new(&status("FREEZE")).spoiled(spoil), Err(refusal));
        }
        let changed = SignedPost::new(&status("FREEZE")).changed_to(&status("UNFREEZE"));
        check(&changed, Err(Refusal::NoKeyMatches));
    }
}
