//! The signature of requests: freshness, candidates, comparison (V2 signature, KooGallery access guide; spec 1-basic-v2
//! §2).
//!
//! The steps of the verification are shared by the basic interfaces and the kit; the formula is not, and comes in as a
//! function. The memory of nonces (step 5) has a state and lives with the dispatcher.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::hmac;

use crate::protocol::canonical_json::{Members, Nulls};
use crate::protocol::key::{self, AccessKey};
use crate::protocol::query::Query;
use crate::protocol::result_code::ResultCode;

/// The three authentication values as received, decoded: parameters of the query, in the kit headers. Empty means the same as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureParameters<'a> {
    /// Unix time in milliseconds; up to 11 digits are seconds.
    pub timestamp: Option<&'a str>,
    /// Random text of the caller, opaque.
    pub nonce: Option<&'a str>,
    /// 64 hex digits of either case.
    pub signature: Option<&'a str>,
}

impl<'a> SignatureParameters<'a> {
    /// The parameters of the basic interfaces, which stand in the query string.
    pub fn from_query(query: &'a Query<'_>) -> Self {
        Self { timestamp: query.first("timestamp"), nonce: query.first("nonce"), signature: query.first("signature") }
    }
}

/// Which text of the body a signature may stand for (spec 1-basic-v2 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadCandidate {
    /// The bytes as received.
    Raw,
    /// Canonical JSON without the `null` members of the top level.
    Sorted,
    /// Canonical JSON with them.
    SortedWithNulls,
}

/// The settings of the verification (spec README §12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRules {
    /// The greatest accepted difference between `timestamp` and the clock, inclusive, in milliseconds.
    pub window_ms: i64,
    /// Whether the window counts for time stamps of the future too.
    pub reject_future: bool,
    /// The texts that are tried. The raw bytes always go first, because they cost least.
    pub candidates: Vec<PayloadCandidate>,
}

impl Default for SignatureRules {
    fn default() -> Self {
        use PayloadCandidate::{Raw, Sorted, SortedWithNulls};
        Self { window_ms: 60_000, reject_future: true, candidates: vec![Raw, Sorted, SortedWithNulls] }
    }
}

/// Why a call is refused before its body is looked at. The texts are for the log and hold no secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureRefusal {
    /// The kit: nothing under its path has this name.
    #[error("no call of this name is known")]
    UnknownCall,
    /// V1: a body that cannot have been signed, because its members cannot be told.
    #[error("the body is no JSON object in UTF-8")]
    UnsignableBody,
    /// The parameters cannot be read at all.
    #[error("the query string is not UTF-8 form data")]
    QueryNotUtf8,
    /// No `timestamp`, or an empty one.
    #[error("the signature's timestamp is missing")]
    MissingTimestamp,
    /// A `timestamp` with anything but digits in it.
    #[error("the signature's timestamp is not all digits")]
    IllFormedTimestamp,
    /// No `nonce`, or an empty one.
    #[error("the signature's nonce is missing")]
    MissingNonce,
    /// Older than the window.
    #[error("the timestamp is {difference_ms} ms behind this server's clock: the call is old or the clock is wrong")]
    Stale {
        /// How far behind the clock the time stamp is, in milliseconds.
        difference_ms: i64,
    },
    /// Further in the future than the window.
    #[error("the timestamp is {difference_ms} ms ahead of this server's clock: this clock or the caller's is wrong")]
    Future {
        /// How far ahead of the clock the time stamp is, in milliseconds.
        difference_ms: i64,
    },
    /// No `signature`, or an empty one.
    #[error("the signature is missing")]
    MissingSignature,
    /// A `signature` that is not 64 hex digits.
    #[error("the signature is not 64 hex digits")]
    IllFormedSignature,
    /// V1: no `authToken`, or an empty one.
    #[error("authToken is missing")]
    MissingAuthToken,
    /// V1: no `timeStamp`, or an empty one.
    #[error("timeStamp is missing")]
    MissingTimeStamp,
    /// V1: a `timeStamp` whose age cannot be told, where the age counts.
    #[error("timeStamp is no time of 14 or 17 digits")]
    IllFormedTimeStamp,
    /// V1: an `authToken` that is not the base64 of 32 bytes.
    #[error("authToken is not 32 bytes in base64 of the standard alphabet with padding (44 characters)")]
    IllFormedAuthToken,
    /// The signature fits none of the keys: another key, a changed request or another formula.
    #[error("the signature fits none of the configured access keys")]
    NoKeyMatches,
}

impl SignatureRefusal {
    /// The result code the refusal is answered with (spec 1-basic-v2 §2.4, 2-basic-v1 §2.2, 3-kit §3).
    pub fn result_code(&self) -> ResultCode {
        match self {
            Self::UnknownCall
            | Self::UnsignableBody
            | Self::QueryNotUtf8
            | Self::MissingTimestamp
            | Self::IllFormedTimestamp
            | Self::MissingNonce
            | Self::MissingTimeStamp
            | Self::IllFormedTimeStamp
            | Self::Stale { .. }
            | Self::Future { .. } => ResultCode::PARAMETER,
            Self::MissingSignature
            | Self::IllFormedSignature
            | Self::MissingAuthToken
            | Self::IllFormedAuthToken
            | Self::NoKeyMatches => ResultCode::AUTHENTICATION,
        }
    }
}

/// Steps 1 to 4 of the verification with the formula of the basic interfaces; returns the key that fits.
///
/// `now_ms` is the server's clock in Unix milliseconds.
///
/// # Errors
/// The first step that fails, in the order of spec 1-basic-v2 §2.4.
pub fn verify_v2<'k>(
    keys: &'k [AccessKey],
    parameters: &SignatureParameters<'_>,
    body: &[u8],
    now_ms: i64,
    rules: &SignatureRules,
) -> Result<&'k AccessKey, SignatureRefusal> {
    verify_with(basic_formula, keys, parameters, body, now_ms, rules)
}

/// The signature a caller of the basic interfaces sends for exactly this payload: 64 lower-case hex digits.
pub fn sign_v2(key: &AccessKey, timestamp: &str, nonce: &str, payload: &[u8]) -> String {
    let stamp = Stamp { timestamp, nonce };
    HEXLOWER.encode(&key::into_bytes(basic_formula(key, &stamp, &Payload::Raw(payload)).sign()))
}

/// `timestamp` and `nonce`, both present and not empty.
#[derive(Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub timestamp: &'a str,
    pub nonce: &'a str,
}

/// A text that may have been signed, fed to the HMAC without being copied.
pub(super) enum Payload<'a> {
    Raw(&'a [u8]),
    Canonical(&'a Members, Nulls),
}

impl Payload<'_> {
    pub(super) fn feed(&self, context: &mut hmac::Context) {
        match self {
            Self::Raw(body) => context.update(body),
            Self::Canonical(members, nulls) => members.feed(*nulls, &mut |piece| context.update(piece.as_bytes())),
        }
    }
}

/// `accessKey + nonce + timestamp + hex(HMAC(payload))`, to be signed (spec 1-basic-v2 §2.2).
fn basic_formula(key: &AccessKey, stamp: &Stamp<'_>, payload: &Payload<'_>) -> hmac::Context {
    let mut inner = key.context();
    payload.feed(&mut inner);
    let mut canonical = key.context();
    for part in [key.secret(), stamp.nonce, stamp.timestamp, &HEXLOWER.encode(inner.sign().as_ref())] {
        canonical.update(part.as_bytes());
    }
    canonical
}

/// The verification steps 1 to 4, for any formula that turns key, stamp and payload into an HMAC.
pub(super) fn verify_with<'k>(
    formula: fn(&AccessKey, &Stamp<'_>, &Payload<'_>) -> hmac::Context,
    keys: &'k [AccessKey],
    parameters: &SignatureParameters<'_>,
    body: &[u8],
    now_ms: i64,
    rules: &SignatureRules,
) -> Result<&'k AccessKey, SignatureRefusal> {
    let stamp = stamp(parameters)?;
    fresh(stamp.timestamp, now_ms, rules)?;
    let tag = tag(parameters)?;
    let key_of =
        |payload: Payload<'_>| keys.iter().find(|key| key.verify_context(formula(key, &stamp, &payload), &tag));
    let tries = |candidate| rules.candidates.contains(&candidate);

    if tries(PayloadCandidate::Raw)
        && let Some(key) = key_of(Payload::Raw(body))
    {
        return Ok(key);
    }
    let (sorted, with_nulls) = (tries(PayloadCandidate::Sorted), tries(PayloadCandidate::SortedWithNulls));
    let members = if sorted || with_nulls { Members::parse(body) } else { None };
    let members = members.ok_or(SignatureRefusal::NoKeyMatches)?;
    if sorted && let Some(key) = key_of(Payload::Canonical(&members, Nulls::Drop)) {
        return Ok(key);
    }
    // Without nulls the two forms are one text, which has just been tried.
    if with_nulls
        && (members.has_nulls() || !sorted)
        && let Some(key) = key_of(Payload::Canonical(&members, Nulls::Keep))
    {
        return Ok(key);
    }
    Err(SignatureRefusal::NoKeyMatches)
}

/// Step 1.
fn stamp<'a>(parameters: &SignatureParameters<'a>) -> Result<Stamp<'a>, SignatureRefusal> {
    let timestamp = present(parameters.timestamp).ok_or(SignatureRefusal::MissingTimestamp)?;
    let nonce = present(parameters.nonce).ok_or(SignatureRefusal::MissingNonce)?;
    if !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureRefusal::IllFormedTimestamp);
    }
    Ok(Stamp { timestamp, nonce })
}

/// Step 2.
fn fresh(timestamp: &str, now_ms: i64, rules: &SignatureRules) -> Result<(), SignatureRefusal> {
    // Digits only, so the one way to fail is a number too great, and that is a far future.
    let number: i64 = timestamp.parse().unwrap_or(i64::MAX);
    // One page says seconds, all examples are milliseconds: up to 11 digits are seconds (spec 1-basic-v2 §2.1).
    let stamped_ms = if timestamp.len() <= 11 { number.saturating_mul(1000) } else { number };
    let age_ms = now_ms.saturating_sub(stamped_ms);
    if age_ms > rules.window_ms {
        return Err(SignatureRefusal::Stale { difference_ms: age_ms });
    }
    let ahead_ms = age_ms.saturating_neg();
    if rules.reject_future && ahead_ms > rules.window_ms {
        return Err(SignatureRefusal::Future { difference_ms: ahead_ms });
    }
    Ok(())
}

/// Step 3, and the decoding that step 4 needs.
fn tag(parameters: &SignatureParameters<'_>) -> Result<[u8; 32], SignatureRefusal> {
    let signature = present(parameters.signature).ok_or(SignatureRefusal::MissingSignature)?;
    let mut tag = [0; 32];
    if signature.len() != 64 || HEXLOWER_PERMISSIVE.decode_mut(signature.as_bytes(), &mut tag).is_err() {
        return Err(SignatureRefusal::IllFormedSignature);
    }
    Ok(tag)
}

fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
