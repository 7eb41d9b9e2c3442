//! Signatures by the Standard Webhooks convention, so that existing libraries verify what koogate sends.
//!
//! Pure: the time comes in as an argument; the headers are the caller's to send.

use data_encoding::BASE64;
use ring::hmac;
use thiserror::Error;

use crate::secret::Secret;

/// Header with the message's id, the same in every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the attempt's time in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

const PREFIX: &str = "whsec_";

/// The key that koogate and the receiver share, written `whsec_` and 24 to 64 bytes in base64 (Standard Webhooks 1.0,
/// "signature scheme").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecret(Secret<Vec<u8>>);

/// Why a text is no [`WebhookSecret`]. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebhookSecretError {
    /// Another form.
    #[error("a webhook secret starts with \"{PREFIX}\"")]
    Prefix,
    /// The rest is not base64.
    #[error("after \"{PREFIX}\" a webhook secret is base64 (standard alphabet, with padding)")]
    Base64,
    /// Too weak, or longer than receivers accept.
    #[error("a webhook secret is 24 to 64 bytes long, this one is {length}")]
    Length {
        /// What it is, in bytes.
        length: usize,
    },
}

impl WebhookSecret {
    /// Reads `whsec_<base64>`; white space around it, such as a file's last line break, does not count.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, WebhookSecretError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(WebhookSecretError::Prefix)?;
        let key = Secret::new(BASE64.decode(encoded.as_bytes()).map_err(|_| WebhookSecretError::Base64)?);
        match key.expose().len() {
            24..=64 => Ok(Self(key)),
            length => Err(WebhookSecretError::Length { length }),
        }
    }

    /// The value of [`SIGNATURE_HEADER`] for exactly these bytes: `v1,<base64>`.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut signing = hmac::Context::with_key(&key);
        signing.update(format!("{id}.{unix_seconds}.").as_bytes());
        signing.update(body);
        format!("v1,{}", BASE64.encode(signing.sign().as_ref()))
    }

    /// The key as it is written after the prefix, and as what that stands for where this is text: to recognise it where it must
    /// not appear.
    pub(super) fn spellings(&self) -> Vec<Secret<String>> {
        let text = std::str::from_utf8(self.0.expose()).ok().map(str::to_owned);
        [Some(BASE64.encode(self.0.expose())), text].into_iter().flatten().map(Secret::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use standardwebhooks::Webhook;

    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn the_published_vector_comes_out() {
        let signature = WebhookSecret::parse(SECRET).unwrap().sign(
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            br#"{"email":"test@example.com","username":"test_user"}"#,
        );
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn signatures_equal_those_of_the_reference_library() {
        for key_length in [24, 32, 33, 64] {
            let written = format!("{PREFIX}{}", BASE64.encode(&vec![7; key_length]));
            let ours = WebhookSecret::parse(&written).unwrap();
            let theirs = Webhook::new(&written).unwrap();
            for (id, at, body) in [("op-1", 0, ""), ("a.b", 1_795_000_000, "{\"名\":1}"), ("", -1, "x\r\ny")] {
                assert_eq!(ours.sign(id, at, body.as_bytes()), theirs.sign(id, at, body.as_bytes()).unwrap());
            }
        }
    }

    #[test]
    fn a_malformed_secret_is_refused_without_being_shown() {
        for (text, expected) in [
            ("", WebhookSecretError::Prefix),
            ("C2FVsBQIhrscChlQIMV+b5sSYspob7oD", WebhookSecretError::Prefix),
            ("whsec_C2FVsBQIhrscChlQIMV-b5sSYspob7oD", WebhookSecretError::Base64),
            ("whsec_aGVsbG8=", WebhookSecretError::Length { length: 5 }),
        ] {
            assert_eq!(WebhookSecret::parse(text), Err(expected), "{text}");
        }
        let too_long = format!("{PREFIX}{}", BASE64.encode(&[0; 65]));
        assert_eq!(WebhookSecret::parse(&too_long), Err(WebhookSecretError::Length { length: 65 }));
        assert!(WebhookSecret::parse(&format!("{SECRET}\n")).is_ok());
        assert_eq!(format!("{:?}", WebhookSecret::parse(SECRET).unwrap()), "WebhookSecret(***)");
    }
}
