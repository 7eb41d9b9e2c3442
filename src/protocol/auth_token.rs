//! `authToken`: the authentication of V1 requests, whose parameters stand in the query string (V1 access guide; spec
//! 2-basic-v1 §2).
//!
//! The token is an HMAC over all parameters, decoded, sorted and joined. It holds no nonce, and its time stamp only salts
//! the key: the same token comes again whenever an HTTP client repeats a call, and must be accepted again.
//!
//! So a call that has been seen can be made again, word for word and only so. What tells it from every other is its token
//! ([`Mark`]): the dispatcher knows by it what it has done already.
//!
//! The kit signs the members of a body in the same way; which texts stand for a body is said in `kit::token`.
//!
//! The joined text does not tell `a=1&b=2` as two parameters from one parameter whose value is `1&b=2`. That is the
//! protocol's, not ours: whoever holds a genuine request could cut it up differently, but not make another text of it.

use std::borrow::Cow;

use data_encoding::BASE64;
use jiff::Timestamp;
use jiff::tz::Offset;
use ring::hmac;
use zeroize::Zeroizing;

use crate::protocol::canonical_json::utf16_order;
use crate::protocol::key::AccessKey;
use crate::protocol::query::Query;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::time;

/// The parameter that is never signed.
pub(super) const AUTH_TOKEN: &str = "authToken";
/// The parameter that salts the HMAC key, and is signed like the others.
pub(super) const TIME_STAMP: &str = "timeStamp";
/// Parameters that hold base64, in which a blank can only be a `+` that the caller did not percent-encode.
const BASE64_PARAMETERS: [&str; 3] = ["mobilePhone", "email", "saasExtendParams"];
/// 32 bytes in base64.
const TOKEN_LENGTH: usize = 44;

/// What tells a verified call from every other. The token stands for all parameters with the time stamp, however they are
/// arranged and encoded: whoever makes a call with a token that was seen makes the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The token.
    pub tag: [u8; 32],
    /// When the caller signed it, if the time stamp is one (UTC).
    pub stamped: Option<Timestamp>,
}

impl Mark {
    /// The mark of a call by its query; `None` where there is no token.
    pub fn of(query: &Query<'_>) -> Option<Self> {
        let tag = tag(query.first(AUTH_TOKEN)?)?;
        let stamped = query.first(TIME_STAMP).and_then(|text| time::parse_at(text, Offset::UTC).ok());
        Some(Self { tag, stamped })
    }
}

/// The settings of the verification (spec README §12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthTokenRules {
    /// The greatest accepted age of `timeStamp`, inclusive, in milliseconds. `None`: any text is accepted, as documented.
    pub max_age_ms: Option<i64>,
}

/// Steps 2 to 4 of the verification (step 1 is [`Query::parse`]); returns the key that fits.
///
/// `now_ms` is the server's clock in Unix milliseconds; it counts only with [`AuthTokenRules::max_age_ms`].
///
/// # Errors
/// The first step that fails, in the order of spec 2-basic-v1 §2.2.
pub fn verify<'k>(
    keys: &'k [AccessKey],
    query: &Query<'_>,
    now_ms: i64,
    rules: &AuthTokenRules,
) -> Result<&'k AccessKey, SignatureRefusal> {
    let received = present(query.first(AUTH_TOKEN)).ok_or(SignatureRefusal::MissingAuthToken)?;
    let time_stamp = present(query.first(TIME_STAMP)).ok_or(SignatureRefusal::MissingTimeStamp)?;
    fresh(time_stamp, Offset::UTC, now_ms, rules)?;
    let token = Token::read(received, time_stamp)?;
    token.signer(keys, &Parameters::sort(query.pairs()), &Candidate::EACH).ok_or(SignatureRefusal::NoKeyMatches)
}

/// The token a caller sends with these decoded pairs, in any order: 44 characters of base64, to be percent-encoded.
///
/// The time stamp is the pair `timeStamp`; an `authToken` among the pairs does not count. `None` without a time stamp.
pub fn sign(key: &AccessKey, pairs: &[(&str, &str)]) -> Option<String> {
    let parameters = Parameters::sort(pairs.iter().copied());
    let time_stamp = present(parameters.value(TIME_STAMP))?;
    let text = parameters.text(Candidate::ALL)?;
    Some(token_of(key, time_stamp, &text))
}

/// The token over exactly this text.
pub(super) fn token_of(key: &AccessKey, time_stamp: &str, text: &str) -> String {
    BASE64.encode(hmac::sign(&salted(key, time_stamp), text.as_bytes()).as_ref())
}

/// A decoded value with the `+` restored that its caller did not percent-encode: blanks become `+` in `mobilePhone`,
/// `email` and `saasExtendParams`; other values, where a blank is a blank, stay (spec 2-basic-v1 §2.2).
pub fn repaired<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    if value.contains(' ') && BASE64_PARAMETERS.contains(&name) {
        Cow::Owned(value.replace(' ', "+"))
    } else {
        Cow::Borrowed(value)
    }
}

/// Which text of the parameters a token may stand for (spec 2-basic-v1 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Whether lost `+` are restored first.
    repairs: bool,
    /// Whether parameters are then left out whose value is empty or only white space.
    drops_blank: bool,
}

impl Candidate {
    /// As received; what [`sign`] makes.
    pub(super) const ALL: Self = Self { repairs: false, drops_blank: false };
    /// As received, without blank values.
    pub(super) const NO_BLANK: Self = Self { repairs: false, drops_blank: true };

    /// The order in which they are tried.
    const EACH: [Self; 4] = [
        Self::ALL,
        Self::NO_BLANK,
        Self { repairs: true, drops_blank: false },
        Self { repairs: true, drops_blank: true },
    ];
}

/// Decoded parameters, sorted by name, each name once.
pub(super) struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    /// The parameters of a query, where the token is one of them and is not signed.
    fn sort(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self::sort_all(pairs.filter(|(name, _)| *name != AUTH_TOKEN))
    }

    /// Sorts by UTF-16 code units; of one name the first value counts.
    pub(super) fn sort_all(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut pairs: Vec<_> = pairs.collect();
        // The sort is stable, so the first of a name stays the first.
        pairs.sort_by(|(a, _), (b, _)| utf16_order(a.as_bytes(), b.as_bytes()));
        pairs.dedup_by(|(later, _), (kept, _)| later == kept);
        Self(pairs)
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| *value)
    }

    /// The signed text: `name=value` joined with `&`, nothing encoded (spec 2-basic-v1 §2.1).
    ///
    /// `None` when the candidate repairs or leaves out and there is nothing to repair or to leave out: then its text is
    /// that of a candidate before it.
    pub(super) fn text(&self, candidate: Candidate) -> Option<String> {
        let mut text = String::new();
        let (mut has_repaired, mut has_dropped) = (false, false);
        for &(name, received) in &self.0 {
            let value = if candidate.repairs { repaired(name, received) } else { Cow::Borrowed(received) };
            has_repaired |= matches!(value, Cow::Owned(_));
            if candidate.drops_blank && value.trim().is_empty() {
                has_dropped = true;
                continue;
            }
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            text.push_str(&value);
        }
        (has_repaired == candidate.repairs && has_dropped == candidate.drops_blank).then_some(text)
    }
}

/// A received token and the time stamp that salts the key it was made with.
pub(super) struct Token<'a> {
    tag: [u8; 32],
    time_stamp: &'a str,
}

impl<'a> Token<'a> {
    /// Step 3.
    pub(super) fn read(received: &str, time_stamp: &'a str) -> Result<Self, SignatureRefusal> {
        let tag = tag(received).ok_or(SignatureRefusal::IllFormedAuthToken)?;
        Ok(Self { tag, time_stamp })
    }

    /// Step 4: the key under which the token stands for one of these texts.
    pub(super) fn signer<'k>(
        &self,
        keys: &'k [AccessKey],
        parameters: &Parameters<'_>,
        candidates: &[Candidate],
    ) -> Option<&'k AccessKey> {
        let salted: Vec<_> = keys.iter().map(|key| (key, salted(key, self.time_stamp))).collect();
        let signed = |text: &str, hmac: &hmac::Key| hmac::verify(hmac, text.as_bytes(), &self.tag).is_ok();
        let mut texts = candidates.iter().filter_map(|candidate| parameters.text(*candidate));
        texts.find_map(|text| salted.iter().find(|(_, hmac)| signed(&text, hmac)).map(|(key, _)| *key))
    }
}

/// The HMAC key: access key and time stamp, joined (spec 2-basic-v1 §2.1).
fn salted(key: &AccessKey, time_stamp: &str) -> hmac::Key {
    let parts = [key.secret().as_bytes(), time_stamp.as_bytes()];
    hmac::Key::new(hmac::HMAC_SHA256, &Zeroizing::new(parts.concat()))
}

/// The limit of age, which is not documented and off by default (spec 2-basic-v1 §2.3). `zone` is that of the time stamp.
pub(super) fn fresh(
    time_stamp: &str,
    zone: Offset,
    now_ms: i64,
    rules: &AuthTokenRules,
) -> Result<(), SignatureRefusal> {
    let Some(max_age_ms) = rules.max_age_ms else {
        return Ok(());
    };
    let stamped = time::parse_at(time_stamp, zone).map_err(|_| SignatureRefusal::IllFormedTimeStamp)?;
    let difference_ms = now_ms.saturating_sub(stamped.as_millisecond());
    if difference_ms > max_age_ms { Err(SignatureRefusal::Stale { difference_ms }) } else { Ok(()) }
}

/// The bytes of a received token: blanks become `+`, white space at its ends does not count (spec 2-basic-v1 §2.2).
///
/// Both at once are possible, because a token has 44 characters and ends in `=`. White space after it is none of it, and
/// before it everything is that lies beyond the 44 last characters; a blank within them is a `+`, the first included.
fn tag(received: &str) -> Option<[u8; 32]> {
    let text = received.trim_end();
    let (before, token) = text.split_at_checked(text.len().checked_sub(TOKEN_LENGTH)?)?;
    if !before.trim_start().is_empty() {
        return None;
    }
    BASE64.decode(token.replace(' ', "+").as_bytes()).ok()?.try_into().ok()
}

pub(super) fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
