//! The header `authToken`: the authentication of the kit's generation V1 (spec 3-kit §3.1).
//!
//! The token is made as that of the V1 basic interfaces, over the top-level members of the body. Two things are not
//! said by the documents and tried: whether blank values are signed, and whether values are URL-decoded first. Values
//! are read as they stand all the same. So beside what holds for V1 (see `auth_token`), one change of a genuine body goes
//! unnoticed: characters of values that were percent-encoded, or blanks that became `+`.
//!
//! This runs before anything in the body counts. It keeps the canonical form of the body, the values with their escapes
//! resolved and one joined text at a time: each about as long as the body.

use std::borrow::Cow;

use crate::protocol::auth_token::{self, AuthTokenRules, Candidate, Parameters, TIME_STAMP, Token, fresh, present};
use crate::protocol::canonical_json::Members;
use crate::protocol::key::AccessKey;
use crate::protocol::kit::ZONE;
use crate::protocol::query;
use crate::protocol::signature::SignatureRefusal;

/// Which values are signed, Huawei's example first.
const CANDIDATES: [Candidate; 2] = [Candidate::NO_BLANK, Candidate::ALL];

/// Verifies a header value, if there is one, over a body; returns the key that fits.
///
/// `now_ms` is the server's clock in Unix milliseconds; it counts only with [`AuthTokenRules::max_age_ms`].
///
/// # Errors
/// The first that holds: no token, a body without members, no `timeStamp`, too old, an ill-formed token, no key.
pub(super) fn verify<'k>(
    keys: &'k [AccessKey],
    header: Option<&str>,
    body: &[u8],
    now_ms: i64,
    rules: &AuthTokenRules,
) -> Result<&'k AccessKey, SignatureRefusal> {
    let received = present(header.map(unquoted)).ok_or(SignatureRefusal::MissingAuthToken)?;
    let members = Members::parse(body).ok_or(SignatureRefusal::UnsignableBody)?;
    let values = signed_values(&members);
    let parameters = sorted(&values);
    let time_stamp = present(parameters.value(TIME_STAMP)).ok_or(SignatureRefusal::MissingTimeStamp)?;
    fresh(time_stamp, ZONE, now_ms, rules)?;
    let token = Token::read(received, time_stamp)?;
    if let Some(key) = token.signer(keys, &parameters, &CANDIDATES) {
        return Ok(key);
    }
    let decoded = url_decoded(&values).ok_or(SignatureRefusal::NoKeyMatches)?;
    token.signer(keys, &sorted(&decoded), &CANDIDATES).ok_or(SignatureRefusal::NoKeyMatches)
}

/// The token a caller sends with exactly this body: 44 characters of base64. `None` when the body is no JSON object
/// with a `timeStamp`.
pub fn sign(key: &AccessKey, body: &[u8]) -> Option<String> {
    let members = Members::parse(body)?;
    let values = signed_values(&members);
    let parameters = sorted(&values);
    let time_stamp = present(parameters.value(TIME_STAMP))?;
    let text = parameters.text(Candidate::NO_BLANK).or_else(|| parameters.text(Candidate::ALL))?;
    Some(auth_token::token_of(key, time_stamp, &text))
}

type Values<'m> = Vec<(&'m str, Cow<'m, str>)>;

/// Step 2: members with their values as texts, `null` left out. Numbers, lists and objects as compact JSON.
fn signed_values(members: &Members) -> Values<'_> {
    let text = |value| match value {
        "null" => None,
        quoted if quoted.starts_with('"') => Some(unescaped(quoted)),
        other => Some(Cow::Borrowed(other)),
    };
    members.iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

fn sorted<'v>(values: &'v Values<'_>) -> Parameters<'v> {
    Parameters::sort_all(values.iter().map(|(name, value)| (*name, value.as_ref())))
}

/// `None` when there is nothing to decode. A value that decodes to no text stays as it is.
fn url_decoded<'v>(values: &'v Values<'_>) -> Option<Values<'v>> {
    let mut has_decoded = false;
    let decoded = values.iter().map(|(name, value)| {
        let value = query::decode(value).unwrap_or(Cow::Borrowed(value));
        has_decoded |= matches!(value, Cow::Owned(_));
        (*name, value)
    });
    let decoded = decoded.collect();
    has_decoded.then_some(decoded)
}

/// The text of a canonical JSON string.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if inner.contains('\\') {
        // It is valid JSON; anything else would not verify.
        Cow::Owned(serde_json::from_str(quoted).unwrap_or_default())
    } else {
        Cow::Borrowed(inner)
    }
}

/// Without white space around, and without the one pair of quotation marks that documentation prints.
fn unquoted(header: &str) -> &str {
    let text = header.trim();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests;
