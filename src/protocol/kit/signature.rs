//! The headers `x-sign`, `x-timestamp` and `x-nonce`: the authentication of the kit's generation V2 (spec 3-kit §3.2).
//!
//! Steps and candidates are those of the V2 basic interfaces. The formula is not: the payload itself is joined, where
//! the basic interfaces join its HMAC. So neither signature verifies on the other interface, even under one key.

use data_encoding::HEXLOWER;
use ring::hmac;

use crate::protocol::Received;
use crate::protocol::key::{self, AccessKey};
use crate::protocol::signature::{Payload, SignatureParameters, SignatureRefusal, SignatureRules, Stamp, verify_with};

/// The header with the signature.
pub const X_SIGN: &str = "x-sign";
/// The header with the time stamp, Unix milliseconds.
pub const X_TIMESTAMP: &str = "x-timestamp";
/// The header with the text that must not come twice.
pub const X_NONCE: &str = "x-nonce";

/// Verifies a request; returns the key that fits, and the nonce.
///
/// `now_ms` is the server's clock in Unix milliseconds.
///
/// # Errors
/// As `signature::verify_v2`.
pub(super) fn verify<'k>(
    keys: &'k [AccessKey],
    received: &Received<'_>,
    now_ms: i64,
    rules: &SignatureRules,
) -> Result<(&'k AccessKey, Option<String>), SignatureRefusal> {
    let header = |name: &str| (received.header)(name).map(str::trim);
    let parameters =
        SignatureParameters { timestamp: header(X_TIMESTAMP), nonce: header(X_NONCE), signature: header(X_SIGN) };
    let key = verify_with(formula, keys, &parameters, received.body, now_ms, rules)?;
    Ok((key, parameters.nonce.map(str::to_owned)))
}

/// The signature a caller sends for exactly this payload: 64 lower-case hex digits.
pub fn sign(key: &AccessKey, timestamp: &str, nonce: &str, payload: &[u8]) -> String {
    let stamp = Stamp { timestamp, nonce };
    HEXLOWER.encode(&key::into_bytes(formula(key, &stamp, &Payload::Raw(payload)).sign()))
}

/// `accessKey + nonce + timestamp + payload`, to be signed.
fn formula(key: &AccessKey, stamp: &Stamp<'_>, payload: &Payload<'_>) -> hmac::Context {
    let mut canonical = key.context();
    for part in [key.secret(), stamp.nonce, stamp.timestamp] {
        canonical.update(part.as_bytes());
    }
    payload.feed(&mut canonical);
    canonical
}

#[cfg(test)]
mod tests;
