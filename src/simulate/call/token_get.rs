//! `GET …?activity=…&timeStamp=…&authToken=…`: how parameters are written, and the ways in which a case spoils them (spec
//! 2-basic-v1 §1, §2).
//!
//! The time comes in from outside.

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{shape_of, strange_key};
use crate::protocol::auth_token;
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::time;

/// What Java's URL encoder leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// What is wrong with a call on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Spoil {
    WrongKey,
    NoToken,
    /// The token is made with the access key alone, as `Body-Sign` is.
    UnsaltedToken,
    /// Neither sent nor signed nor in the key, so that only its absence can be why the call is refused.
    NoTimeStamp,
}

/// One call, not yet signed.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct TokenGet {
    pub(super) shape: ReplyShape,
    /// Names and values, not encoded, in the order sent.
    sent: Vec<(String, String)>,
    /// What is signed instead.
    signed: Option<Vec<(String, String)>>,
    has_plus_blanks: bool,
    loses_plus: bool,
    spoil: Option<Spoil>,
}

impl TokenGet {
    /// A call with these members as parameters, in ascending order.
    pub(in crate::simulate) fn new(members: &Value) -> Self {
        Self {
            shape: shape_of(members["activity"].as_str()),
            sent: parameters(members),
            signed: None,
            has_plus_blanks: false,
            loses_plus: false,
            spoil: None,
        }
    }

    /// Sends other parameters than those that are signed.
    pub(in crate::simulate) fn changed_to(mut self, members: &Value) -> Self {
        self.signed = Some(std::mem::replace(&mut self.sent, parameters(members)));
        self
    }

    /// Sends the parameters in descending order.
    pub(in crate::simulate) fn descending(mut self) -> Self {
        self.sent.reverse();
        self
    }

    /// Writes blanks as `+` instead of `%20`.
    pub(in crate::simulate) fn with_plus_blanks(mut self) -> Self {
        self.has_plus_blanks = true;
        self
    }

    /// Sends a token with a `+` that is not percent-encoded, and is a blank when it arrives.
    pub(in crate::simulate) fn losing_a_plus(mut self) -> Self {
        self.loses_plus = true;
        self
    }

    pub(in crate::simulate) fn spoiled(mut self, spoil: Spoil) -> Self {
        self.spoil = Some(spoil);
        self
    }

    pub(super) fn is_genuine(&self) -> bool {
        self.spoil.is_none() && self.signed.is_none()
    }

    /// The query string of the call at `now`.
    pub(super) fn query(&self, key: &AccessKey, now: Timestamp) -> String {
        let (stamp, token) = self.stamped(key, now);
        let encode = |text: &str| {
            let encoded = utf8_percent_encode(text, ENCODED).to_string();
            if self.has_plus_blanks { encoded.replace("%20", "+") } else { encoded }
        };
        let mut pieces: Vec<String> =
            self.sent.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        if self.spoil != Some(Spoil::NoTimeStamp) {
            pieces.push(format!("timeStamp={stamp}"));
        }
        if self.spoil != Some(Spoil::NoToken) {
            let token = encode(&token);
            let token = if self.loses_plus { token.replace("%2B", "+") } else { token };
            pieces.push(format!("authToken={token}"));
        }
        pieces.join("&")
    }

    /// A time stamp and its token. Where the token is to have a `+`, which every second has, the stamp goes back until
    /// it has one.
    fn stamped(&self, key: &AccessKey, now: Timestamp) -> (String, String) {
        let mut at = now;
        loop {
            let stamp = time::print_milliseconds(at);
            let token = self.token(key, &stamp);
            let earlier = at.checked_sub(SignedDuration::from_millis(1));
            match earlier {
                Ok(earlier) if self.loses_plus && !token.contains('+') => at = earlier,
                _ => return (stamp, token),
            }
        }
    }

    fn token(&self, key: &AccessKey, stamp: &str) -> String {
        let signed = self.signed.as_ref().unwrap_or(&self.sent);
        let mut pairs: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if self.spoil != Some(Spoil::NoTimeStamp) {
            pairs.push(("timeStamp", stamp));
        }
        let token = match self.spoil {
            Some(Spoil::UnsaltedToken | Spoil::NoTimeStamp) => {
                pairs.sort_unstable();
                let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                Some(BASE64.encode(&key.sign(joined.join("&").as_bytes())))
            }
            Some(Spoil::WrongKey) => auth_token::sign(&strange_key(), &pairs),
            _ => auth_token::sign(key, &pairs),
        };
        // There is a time stamp, so there is a token.
        token.unwrap_or_default()
    }
}

/// Members as parameters: texts as they are, other values as their JSON.
fn parameters(members: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::auth_token::{AuthTokenRules, verify};
    use crate::protocol::query::Query;
    use crate::protocol::signature::SignatureRefusal;
    use crate::secret::Secret;

    const NOW_MS: i64 = 1_680_508_066_618;

    /// The query string of a call; it must be verified so.
    fn check(call: &TokenGet, expected: Result<(), SignatureRefusal>) -> String {
        let keys = [AccessKey::new("k".to_owned(), Secret::new("k".to_owned()))];
        let raw = call.query(&keys[0], Timestamp::from_millisecond(NOW_MS).unwrap());
        let query = Query::parse(&raw).unwrap();
        let verdict = verify(&keys, &query, NOW_MS, &AuthTokenRules { max_age_ms: Some(60_000) });
        assert_eq!(verdict.map(|_| ()), expected, "{call:?}");
        raw
    }

    fn get() -> TokenGet {
        TokenGet::new(&json!({"activity": "newInstance", "amount": 3, "customerName": "测 a+b&c=", "empty": ""}))
    }

    #[test]
    fn good_calls_verify_however_they_are_written() {
        let raw = check(&get(), Ok(()));
        let start = "activity=newInstance&amount=3&customerName=%E6%B5%8B%20a%2Bb%26c%3D&empty=&timeStamp=20230403074746618&authToken=";
        assert!(raw.starts_with(start), "{raw}");
        assert!(check(&get().with_plus_blanks(), Ok(())).contains("=%E6%B5%8B+a%2Bb"));
        assert!(check(&get().descending(), Ok(())).starts_with("empty=&customerName="));
        let raw = check(&get().losing_a_plus(), Ok(()));
        assert!(raw.rsplit_once("authToken=").unwrap().1.contains('+'), "{raw}");
    }

    #[test]
    fn spoiled_calls_are_refused_for_exactly_what_was_spoiled() {
        use SignatureRefusal as Refusal;
        for (spoil, refusal) in [
            (Spoil::WrongKey, Refusal::NoKeyMatches),
            (Spoil::NoToken, Refusal::MissingAuthToken),
            (Spoil::UnsaltedToken, Refusal::NoKeyMatches),
            (Spoil::NoTimeStamp, Refusal::MissingTimeStamp),
        ] {
            check(&get().spoiled(spoil), Err(refusal));
        }
        check(&get().changed_to(&json!({"activity": "releaseInstance"})), Err(Refusal::NoKeyMatches));
    }
}
