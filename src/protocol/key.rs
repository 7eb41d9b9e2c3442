//! Access keys: the secrets KooGallery and the seller share, one per interface type (spec README §4).
//!
//! Here lives the HMAC-SHA256 that all formulas are built from. Which bytes a formula feeds into it is said by the
//! formula's own module; where keys come from is the configuration's matter.

use std::fmt;

use ring::hmac;

use crate::secret::Secret;

/// One access key, ready to sign: the HMAC key schedule is computed once.
///
/// Whoever makes one has made sure that the secret is not empty; with an empty one anybody could sign.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: Secret<String>,
    hmac: hmac::Key,
}

impl AccessKey {
    /// Takes the secret as UTF-8 into use. `id` is a short label by which logs and records can name the key.
    pub fn new(id: String, secret: Secret<String>) -> Self {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self { id, secret, hmac }
    }

    /// The label, fit for logs and records; it tells nothing about the secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// HMAC-SHA256 of `data`.
    pub fn sign(&self, data: &[u8]) -> [u8; 32] {
        into_bytes(hmac::sign(&self.hmac, data))
    }

    /// Whether `tag` is the HMAC-SHA256 of `data`, in constant time. A tag of another length never is.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.hmac, data, tag).is_ok()
    }

    /// The secret, for the formulas that join it with other text (V2 canonical string, V1 HMAC key).
    pub(super) fn secret(&self) -> &str {
        self.secret.expose()
    }

    /// An HMAC-SHA256 to be fed piece by piece.
    pub(super) fn context(&self) -> hmac::Context {
        hmac::Context::with_key(&self.hmac)
    }

    /// Whether `tag` is what `context` computes, in constant time.
    ///
    /// ring compares in constant time only inside `hmac::verify`, which wants its data in one piece. So both tags are
    /// signed once more: those two are equal exactly when the tags are.
    pub(super) fn verify_context(&self, context: hmac::Context, tag: &[u8]) -> bool {
        let given = hmac::sign(&self.hmac, tag);
        hmac::verify(&self.hmac, context.sign().as_ref(), given.as_ref()).is_ok()
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The 32 bytes of an HMAC-SHA256 tag.
pub(super) fn into_bytes(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> AccessKey {
        AccessKey::new("basic-1".to_owned(), Secret::new(secret.to_owned()))
    }

    #[test]
    fn debug_output_shows_the_label_and_not_the_secret() {
        let key = key("hunter2");
        assert_eq!(format!("{key:?}"), r#"AccessKey { id: "basic-1", .. }"#);
        assert_eq!((key.id(), key.secret()), ("basic-1", "hunter2"));
    }

    #[test]
    fn a_tag_verifies_only_with_its_own_key_data_and_length() {
        let key_a = key("a");
        let tag = key_a.sign(b"data");
        assert!(key_a.verify(b"data", &tag));
        assert!(!key_a.verify(b"date", &tag));
        assert!(!key_a.verify(b"data", &tag[..31]));
        assert!(!key_a.verify(b"data", b""));
        assert!(!key("b").verify(b"data", &tag));
    }

    #[test]
    fn data_fed_in_pieces_verifies_like_data_in_one_piece() {
        let key = key("a");
        let mut context = key.context();
        context.update(b"da");
        context.update(b"ta");
        assert!(key.verify_context(context.clone(), &key.sign(b"data")));
        assert!(!key.verify_context(context.clone(), &key.sign(b"date")));
        assert!(!key.verify_context(context, &key.sign(b"data")[..31]));
    }
}
